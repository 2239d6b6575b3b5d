"""LenslessPiCam's multi-Wiener network: circular, and one column short at odd widths."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lensless.interop.lenslesspicam.inversions import CHANNELS, sensor_sized_camera
from lensless.interop.lenslesspicam.processors import surround
from lensless.physics.operator import LinearOperator
from lensless.recon.inverse_filter import inverse_filter
from lensless.recon.multi_wiener import MultiWiener


class PiCamMultiWiener(nn.Module):
    """max((decode(f_L, d_(L-1), ..., d_0) + 1) / 2, 0), layers of MultiWiener, d_l by :func:`circular_wiener`.

    Nothing is scaled but the PSF, by learned gains. Made for evaluation: its batch normalisation uses running means.

    widths: channels on every scale, finest first. psf_channels: 3, or 1 for the first channel of the PSF alone.
    """

    def __init__(self, widths: tuple[int, ...], *, psf_channels: int):
        super().__init__()
        self.widths = tuple(widths)
        self.psf_channels = psf_channels
        layers = MultiWiener(widths, channels=CHANNELS, psf_channels=psf_channels)
        self.encoder, self.psf_encoder, self.head = layers.encoder, layers.psf_encoder, layers.head
        self.decoder = nn.ModuleList(reversed(layers.decoder))
        self.psf_gain = nn.Parameter(torch.ones(1, psf_channels, 1, 1))
        self.noise = nn.Parameter(torch.zeros(len(widths)))

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Measurements (B, 3, h, w) to scenes of the same shape."""
        camera = sensor_sized_camera(y, physics, "PiCamMultiWiener")
        x, window = surround(y)
        psf, _ = surround(camera.psf[:, : self.psf_channels] * self.psf_gain)
        skips = []
        for encode, encode_psf, noise in zip(self.encoder, self.psf_encoder, self.noise, strict=False):
            x, psf = encode(x), encode_psf(psf)
            skips.append(circular_wiener(x, psf, noise))
            x, psf = F.max_pool2d(x, 2), F.max_pool2d(psf, 2)
        x = self.encoder[-1](x)
        for decode in self.decoder:
            skip = skips.pop()
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = decode(torch.cat([skip, widen(x, tuple(skip.shape[-2:]))], 1))
        return ((self.head(x) + 1) / 2)[window].clamp(min=0)


def circular_wiener(x: Tensor, psf: Tensor, noise: Tensor) -> Tensor:
    """F^-1[conj(G) / (|G|^2 + noise) F(x)] of x (B, C, h, w) and psf (B or 1, C, h, w), without padding.

    The inverse transform is not told the width: for an odd one its result is a column narrower (and squeezed to fit).
    The published models for 135 x 240 pixels were trained with that.
    """
    filtered = torch.fft.irfft2(torch.fft.rfft2(x) * inverse_filter(torch.fft.rfft2(psf), noise))
    height, width = filtered.shape[-2:]
    return filtered.roll((-(height // 2), -(width // 2)), (-2, -1))


def widen(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Zeros around (..., h, w) up to ``size``, the odd one at the bottom and right."""
    rows, columns = size[0] - x.shape[-2], size[1] - x.shape[-1]
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
