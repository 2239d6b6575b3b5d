"""Tikhonov's closed form for separable cameras (FlatCam)."""

from torch import Tensor

from lensless.errors import InputError
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.recon.base import Reconstructor, check_measurement, per_sample


class SeparableTikhonov(Reconstructor):
    """argmin_X ||L X R^T - Y||^2 + k ||A||^2 ||X||^2, with ||A|| the camera's norm, solved exactly.

    With L = U_L diag(s_L) V_L^T, R = U_R diag(s_R) V_R^T and S = s_L s_R^T:

        X = V_L [ S . (U_L^T Y U_R) / (S^2 + k ||A||^2) ] V_R^T

    Asif et al., "FlatCam: thin, lensless cameras using coded aperture and computation", IEEE Trans.
    Computational Imaging 3(3), 2017. The SVDs are kept by the camera; gradients reach y, not L and R.

    k: strength, relative to the squared norm of the camera (the strongest of its channels), positive.
    Raises InputError for a camera that is not a SeparableMask, and for k that is not positive.
    """

    def __init__(self, k: float = 1e-3):
        if not k > 0:
            raise InputError(f"k: expected a positive number, got {k}")
        self.k = k

    def __call__(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Y (B, C, h, w) to X (B, C, H, W)."""
        if not isinstance(physics, SeparableMask):
            raise InputError(f"physics: expected a SeparableMask, got {type(physics).__name__}; use FISTA")
        check_measurement(y, physics)
        left, right = physics.svd()
        gains = left.s[..., :, None] * right.s[..., None, :]
        shrink = gains / (gains.square() + self.k * per_sample(physics.norm_squared(), 4))
        return left.v @ (shrink * (left.u.mT @ y @ right.u)) @ right.v.mT
