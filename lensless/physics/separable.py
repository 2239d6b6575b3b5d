"""The separable lensless camera: rows and columns of the scene are mixed by one matrix each."""

from typing import NamedTuple

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.operator import LinearOperator


class SVD(NamedTuple):
    """M = u diag(s) v^T with s decreasing."""

    u: Tensor
    s: Tensor
    v: Tensor


class SeparableMask(LinearOperator):
    """Y = L X R^T in every channel: a mask that is the product of a pattern of rows and one of columns.

    Asif et al., "FlatCam: thin, lensless cameras using coded aperture and computation", IEEE Trans.
    Computational Imaging 3(3), 2017.

    left: (h, H), right: (w, W), floating point; where channels or cameras differ, (C, h, H) or (B, C, h, H),
    and the leading axes of both broadcast. Scenes are (B, C, H, W), measurements (B, C, h, w).
    Raises InputError on any other input.
    """

    def __init__(self, left: Tensor, *, right: Tensor):
        self.left = _check_matrix(left, "left")
        self.right = _check_matrix(right, "right").to(left)
        try:
            self.batch, channels = torch.broadcast_shapes(self.left.shape[:2], self.right.shape[:2])
        except RuntimeError as error:
            raise InputError(
                f"right: expected the channels and the batch of left, {tuple(left.shape[:-2])}, or 1, "
                f"got {tuple(right.shape[:-2])}"
            ) from error
        self.scene_shape = (channels, self.left.shape[-1], self.right.shape[-1])
        self.sensor_shape = (channels, self.left.shape[-2], self.right.shape[-2])
        self._refresh()

    def _tensors(self) -> dict[str, Tensor]:
        return {"left": self.left, "right": self.right}

    def _refresh(self) -> None:
        self._svd: tuple[SVD, SVD] | None = None

    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor:
        y = self.left @ x @ self.right.mT
        return y if out is None else out.copy_(y)

    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor:
        x = self.left.mT @ y @ self.right
        return x if out is None else out.copy_(x)

    def svd(self) -> tuple[SVD, SVD]:
        """Thin SVDs of L and R, computed once and kept; without gradient."""
        if self._svd is None:
            self._svd = _thin_svd(self.left), _thin_svd(self.right)
        return self._svd

    def norm_squared(self, *, iterations: int = 50, tolerance: float = 1e-4) -> Tensor:
        """(s_max(L) s_max(R))^2 of the strongest channel, (batch,): exact, whatever the arguments."""
        left, right = self.svd()
        return (left.s[..., 0] * right.s[..., 0]).square().amax(1).expand(self.batch)


def _check_matrix(matrix: Tensor, name: str) -> Tensor:
    """``matrix`` as (B or 1, C or 1, rows, columns)."""
    if not isinstance(matrix, Tensor) or not matrix.is_floating_point():
        got = matrix.dtype if isinstance(matrix, Tensor) else type(matrix).__name__
        raise InputError(f"{name}: expected a floating-point tensor, got {got}")
    if matrix.ndim not in (2, 3, 4):
        layout = "(sensor, scene), (C, sensor, scene) or (B, C, sensor, scene)"
        raise InputError(f"{name}: expected {layout}, got {tuple(matrix.shape)}")
    if not bool(torch.isfinite(matrix).all()) or not bool(matrix.any()):
        raise InputError(f"{name}: expected finite values that are not all zero")
    return matrix.reshape(*[1] * (4 - matrix.ndim), *matrix.shape)


def _thin_svd(matrix: Tensor) -> SVD:
    u, s, vh = torch.linalg.svd(matrix.detach(), full_matrices=False)
    return SVD(u, s, vh.mT)
