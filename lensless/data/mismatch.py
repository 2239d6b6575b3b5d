"""What a calibration gets wrong about a PSF."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import affine_transform
from torch import Tensor

from lensless.errors import require


@dataclass(frozen=True, kw_only=True)
class PSFError:
    """psf'(k) = s (psf * g)(R^-1 (k - shift) / scale) + e: turned, enlarged, moved, blurred and noisy.

    All about the centre pixel. g is a Gaussian, e is white, e ~ N(0, sigma^2) with 10 log10(sum psf^2 / E sum e^2) =
    snr_db, and s keeps the light of all channels together. The result is clipped at 0, as a measured PSF is.

    rotation: radians, anticlockwise on the screen. scale: of the PSF's size; 1 + d / s changes with both distances.
    shift: (down, right), pixels. blur: standard deviation, pixels. snr_db: decibels, None for no noise, which is that
    of Bezzam et al. 2025 (arXiv 2502.01102). Raises InputError for a scale that is not positive and a negative blur.
    """

    rotation: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    snr_db: float | None = None

    def __post_init__(self):
        require(self.scale > 0, f"scale: expected a factor > 0, got {self.scale}")
        require(self.blur >= 0, f"blur: expected pixels >= 0, got {self.blur}")

    def __call__(self, psf: Tensor, generator: torch.Generator) -> Tensor:
        """PSF (C, h, w) as it would have been measured; ``generator`` draws the noise alone."""
        wrong = psf
        if (self.rotation, self.scale, *self.shift) != (0, 1, 0, 0):
            wrong = self._moved(wrong)
        if self.blur:
            wrong = _blurred(wrong, self.blur)
        wrong = wrong.clamp_min(0)
        wrong = wrong * (psf.sum() / wrong.sum())
        if self.snr_db is not None:
            sigma = psf.square().mean().sqrt() * 10 ** (-self.snr_db / 20)
            wrong = (wrong + sigma * torch.empty_like(psf).normal_(generator=generator)).clamp_min(0)
        return wrong

    def _moved(self, psf: Tensor) -> Tensor:
        cos, sin = math.cos(self.rotation) / self.scale, math.sin(self.rotation) / self.scale
        # from (row, column) of the result to that of the PSF; rows count downwards
        backwards = np.array([[cos, sin], [-sin, cos]])
        centre = np.array([side // 2 for side in psf.shape[-2:]])
        offset = centre - backwards @ (centre + self.shift)
        planes = [affine_transform(plane, backwards, offset, order=3, mode="constant") for plane in psf.numpy()]
        return torch.from_numpy(np.stack(planes))


def _blurred(psf: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(4 * sigma)
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    line = (line / line.sum()).to(psf)
    images = F.conv2d(psf[:, None], line[None, None, :, None], padding=(reach, 0))
    return F.conv2d(images, line[None, None, None, :], padding=(0, reach))[:, 0]
