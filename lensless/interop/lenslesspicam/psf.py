"""The PSF that a LenslessPiCam model works with: the camera's, its own, or one that a network has corrected."""

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require
from lensless.interop.lenslesspicam.processors import PiCamProcessor


class PiCamScaledPSF(nn.Module):
    """norm psf / ||psf||, over all channels: its penalties are absolute, so a PSF must have the scale of training.

    norm: of the PSFs in training. single_channel: take the sum of the channels for each of them first.
    Raises InputError for a norm that is not positive.
    """

    def __init__(self, norm: float = 1.0, *, single_channel: bool = False):
        super().__init__()
        require(norm > 0, f"norm: expected a positive number, got {norm}")
        self.norm = norm
        self.single_channel = single_channel

    def forward(self, psf: Tensor) -> Tensor:
        """PSFs (B, C, h, w) to the same shape."""
        if self.single_channel:
            psf = psf.sum(1, keepdim=True).expand_as(psf)
        return psf * (self.norm / psf.square().sum((1, 2, 3), keepdim=True).sqrt())


class PiCamStoredPSF(nn.Module):
    """A PSF that comes with the weights and replaces the camera's, as it is.

    shape: (1, C, h, w). Raises InputError, when called, for a camera of another size.
    """

    def __init__(self, shape: tuple[int, int, int, int]):
        super().__init__()
        self.shape = tuple(shape)
        self.stored_psf = nn.Parameter(torch.zeros(self.shape))

    def forward(self, psf: Tensor) -> Tensor:
        """PSFs (B, C, h, w) to the stored one."""
        if psf.shape[1:] != self.stored_psf.shape[1:]:
            raise InputError(
                f"psf: this model brings its own PSF {self.shape[1:]} and fits no other sensor, got {tuple(psf.shape)}"
            )
        return self.stored_psf


class PiCamPSFCorrection(nn.Module):
    """N(psf), or psf + N(psf) where ``residual``, of the PSF that ``source`` gives; not normalised again."""

    def __init__(self, source: nn.Module, *, processor: PiCamProcessor, residual: bool):
        super().__init__()
        self.source = source
        self.processor = processor
        self.residual = residual

    def forward(self, psf: Tensor) -> Tensor:
        """PSFs (B, C, h, w) to the same shape."""
        psf = self.source(psf)
        corrected = self.processor(psf)
        return psf + corrected if self.residual else corrected
