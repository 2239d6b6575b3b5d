"""A camera whose PSF changes over the field: a blend of a few shift-invariant regions."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.fft import crop_centred
from lensless.physics.operator import LinearOperator
from lensless.physics.stack import DepthStack


class MultiPSF(LinearOperator):
    """y = crop(sum_k psf_k * (w_k . x)): every scene pixel spreads by its own blend of K PSFs.

    Each psf_k is centred as if its region lay at the scene's centre. Denis et al., "Fast approximations of
    shift-variant blur", Int. J. Computer Vision 115, 2015. Beyond the scene, :meth:`whole_field` continues
    the weights of the scene's border.

    psf: (K, C, h, w) or (B, K, C, h, w), floating point; h x w is the sensor. weights: (K, H, W), not
    negative, summing to 1 at every pixel (:func:`bilinear_weights`); H x W is the scene. fft_shape: as for
    LenslessConvolution. Scenes are (B, C, H, W), measurements (B, C, h, w). Raises InputError on any other
    input.
    """

    def __init__(
        self, psf: Tensor, *, weights: Tensor, fft_shape: tuple[int, int] | None = None, backend: str = "auto"
    ):
        if not isinstance(weights, Tensor) or weights.ndim != 3:
            got = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
            raise InputError(f"weights: expected a tensor (K, H, W), got {got}")
        self.regions = DepthStack(psf, scene_shape=weights.shape[1:], fft_shape=fft_shape, backend=backend)
        regions = self.regions.scene_shape[0]
        if weights.shape[0] != regions:
            raise InputError(f"weights: expected {regions}, one for each PSF, got {weights.shape[0]}")
        excess = float((weights.sum(0) - 1).abs().max())
        if bool((weights < 0).any()) or not excess <= 1e-5:
            raise InputError(
                f"weights: expected non-negative values that sum to 1 at every pixel, got a least value of "
                f"{float(weights.min()):g} and sums off by {excess:g}; divide them by weights.sum(0)"
            )
        self.weights = weights.to(psf)
        self.batch = self.regions.batch
        self.scene_shape = self.regions.scene_shape[1:]
        self.sensor_shape = self.regions.sensor_shape

    def _tensors(self) -> dict[str, Tensor | LinearOperator]:
        return {"regions": self.regions, "weights": self.weights}

    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor:
        return self.regions(self.weights[:, None] * x[:, None], out=out)

    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor:
        x = (self.weights[:, None] * self.regions.adjoint(y)).sum(1)
        return x if out is None else out.copy_(x)

    def whole_field(self) -> "MultiPSF":
        """The same camera with the whole grid as its scene (shares the spectra)."""
        whole = copy.copy(self)
        whole.regions = self.regions.whole_field()
        whole.scene_shape = whole.regions.scene_shape[1:]
        rows, columns = (
            (torch.arange(outer, device=self.device) - outer // 2 + inner // 2).clamp(0, inner - 1)
            for outer, inner in zip(whole.scene_shape[1:], self.scene_shape[1:], strict=True)
        )
        whole.weights = self.weights[:, rows][:, :, columns]
        return whole

    def to_field_of_view(self, x: Tensor) -> Tensor:
        """Central (..., H, W) of a scene on the whole grid."""
        return crop_centred(x, self.scene_shape[1:])


def bilinear_weights(scene_shape: tuple[int, int], *, rows: Sequence[float], columns: Sequence[float]) -> Tensor:
    """Blending weights (Ky * Kx, H, W) for PSFs measured on a grid of ``rows`` x ``columns``, row by row.

    w_k(i, j) = a_m(i) b_n(j), k = m * Kx + n, where a_m is 1 at rows[m], falls linearly to 0 at its
    neighbours, and is constant beyond the first and the last row; b_n likewise. Non-negative, summing to 1.

    scene_shape: (H, W). rows, columns: where the regions' centres lie in scene pixels, increasing.
    Raises InputError on positions that do not increase.
    """
    hats = []
    for name, positions, size in (("rows", rows, scene_shape[0]), ("columns", columns, scene_shape[1])):
        if len(positions) == 0 or not bool((np.diff(positions) > 0).all()):
            raise InputError(f"{name}: expected increasing positions in pixels, got {list(positions)}")
        hats.append(np.stack([np.interp(np.arange(size), positions, one) for one in np.eye(len(positions))]))
    return torch.from_numpy(np.einsum("mi,nj->mnij", *hats).reshape(-1, *scene_shape))
