"""A network that corrects a calibrated PSF before anything is inverted with it."""

import torch
from torch import Tensor, nn

from lensless.models.processor import Processor


class PSFCorrection(nn.Module):
    """psf' = s max(psf + N(psf), 0), or without ``residual`` s max(N(psf), 0); s keeps the total light of all channels.

    Bezzam, Perron & Vetterli, "Towards robust and generalizable lensless imaging with modular learned reconstruction",
    IEEE Trans. Computational Imaging 2025. Doubling the PSF doubles the result, so scenes keep their scale.

    network: N, wrapped in a :class:`~lensless.models.processor.Processor`; as many channels out as the PSF has.
    residual: whether N gives the change of the PSF or the whole. Raises InputError as Processor does.
    """

    def __init__(self, network: nn.Module, *, residual: bool = True):
        super().__init__()
        self.processor = Processor(network, nonnegative=False)
        self.residual = residual

    @property
    def network(self) -> nn.Module:
        return self.processor.network

    def forward(self, psf: Tensor) -> Tensor:
        """PSFs (B, C, h, w) to PSFs of the same shape and light."""
        changed = self.processor(psf)
        corrected = (psf + changed if self.residual else changed).clamp(min=0)
        return corrected * (_light(psf) / _light(corrected).clamp_min(torch.finfo(psf.dtype).tiny))


def _light(psf: Tensor) -> Tensor:
    return psf.sum((1, 2, 3), keepdim=True)
