"""MWDN: a U-Net that deconvolves its features, at every scale, with features of the PSF."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lensless.errors import require
from lensless.physics.convolution import psf_spectrum
from lensless.physics.fft import GridFFT, centred_slice, crop_centred, fast_shape, pad_centred
from lensless.physics.filtering import filter_images
from lensless.physics.operator import LinearOperator
from lensless.recon.inverse_filter import check_k, convolution_camera, inverse_filter
from lensless.recon.wiener import fade_to_grid


class MultiWiener(nn.Module):
    """x = decode(f_L, d_(L-1), ..., d_0),  d_l = F^-1[ conj(G_l) / (|G_l|^2 + k_l) F(f_l) ]  on every scale l.

    f_l and g_l are the features of measurement and PSF on scale l, from one encoder each that halves the size from
    scale to scale; G_l is the spectrum of g_l / sum|g_l|, so k_l > 0, learned, is relative to the largest |G_l|^2.
    Li et al., "MWDNs: reconstruction in multi-scale feature spaces for lensless imaging", Optics Express 31(23), 2023.
    Linear, not circular: features are extended by :func:`~lensless.recon.wiener.fade_to_grid` to twice their size.
    Any size: images are extended by their borders to a multiple of the coarsest scale's pixel.
    Measurement and PSF enter in units of their mean, so doubling y doubles x and doubling the PSF halves it.

    widths: channels on every scale, finest first; the coarsest is not deconvolved. channels: C of the measurements.
    psf_channels: C, or 1 for the mean of the PSF's channels. k: what every k_l starts from. The published size, widths
    as in the default, has 8,106,693 weights; two of those are left out here, a PSF gain that the first convolution
    absorbs and a k of the coarsest scale. Raises InputError for fewer than two widths, psf_channels besides 1 and
    C, k <= 0 and, when called, for another camera than a LenslessConvolution of ``channels``.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256, 436),
        *,
        channels: int = 3,
        psf_channels: int = 1,
        k: float = 1e-3,
    ):
        super().__init__()
        require(len(widths) > 1, f"widths: expected at least two, got {tuple(widths)}")
        require(psf_channels in (1, channels), f"psf_channels: expected 1 or {channels}, got {psf_channels}")
        check_k(k)
        self.widths = tuple(widths)
        self.channels = channels
        self.psf_channels = psf_channels
        self.k = k
        self.encoder = nn.ModuleList(map(double_conv, (channels, *widths[:-1]), widths))
        self.psf_encoder = nn.ModuleList(map(double_conv, (psf_channels, *widths[:-2]), widths[:-1]))
        self.log_factor = nn.Parameter(torch.zeros(len(widths) - 1))
        # halved towards the finer scale, which has about half the channels
        outputs = (widths[0], *[width // 2 for width in widths[1:-1]])
        inputs = [skip + below for skip, below in zip(widths, (*outputs[1:], widths[-1]), strict=False)]
        self.decoder = nn.ModuleList(double_conv(n, out, n // 2) for n, out in zip(inputs, outputs, strict=True))
        self.head = nn.Conv2d(widths[0], channels, 1)

    @property
    def multiple(self) -> int:
        """Height and width of what :meth:`network` takes are multiples of this: 16 with five widths."""
        return 2 ** (len(self.widths) - 1)

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Measurements (B, C, h, w) to scenes (B, *physics.scene_shape)."""
        camera = convolution_camera(y, physics, channels=self.channels, needed_by="MultiWiener")
        largest = map(max, camera.sensor_shape[1:], camera.scene_shape[1:])
        area = tuple(-(-n // self.multiple) * self.multiple for n in largest)
        exposure = y.abs().mean((1, 2, 3), keepdim=True)
        light = camera.psf.abs().sum((-2, -1), keepdim=True).mean(1, keepdim=True)
        psf = camera.psf if self.psf_channels > 1 else camera.psf.mean(1, keepdim=True)
        x = self.network(
            extend(y / exposure.clamp_min(torch.finfo(y.dtype).tiny), area),
            pad_centred(psf * (y[0, 0].numel() / light), area),
        )
        return crop_centred(x, camera.scene_shape[1:]) * (exposure / light)

    def network(self, y: Tensor, psf: Tensor) -> Tensor:
        """Scenes of the shape of ``y`` (B, C, H, W), given PSFs (B or 1, psf_channels, H, W); neither is scaled."""
        x, skips = y, []
        for level, (encode, encode_psf) in enumerate(zip(self.encoder, self.psf_encoder, strict=False)):
            x, psf = encode(x), encode_psf(psf)
            skips.append(self.deconvolve(x, psf, level))
            x, psf = F.max_pool2d(x, 2), F.max_pool2d(psf, 2)
        x = self.encoder[-1](x)
        for decode in reversed(self.decoder):
            finer = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = decode(torch.cat([skips.pop(), finer], 1))
        return self.head(x)

    def deconvolve(self, features: Tensor, psf_features: Tensor, level: int) -> Tensor:
        """d_l for features (B, N, H, W) and PSF features (B or 1, N, H, W) on scale ``level``, in full precision."""
        features, psf_features = features.to(self.log_factor.dtype), psf_features.to(self.log_factor.dtype)
        size = tuple(features.shape[-2:])
        fft = GridFFT(fast_shape((2 * size[0], 2 * size[1])))
        total = psf_features.abs().sum((-2, -1), keepdim=True).clamp_min(torch.finfo(features.dtype).tiny)
        inverse = inverse_filter(psf_spectrum(psf_features / total, fft), self.k * self.log_factor[level].exp())
        return filter_images(fade_to_grid(features, fft.shape), inverse, fft, size)


def double_conv(width_in: int, width_out: int, width_between: int | None = None) -> nn.Sequential:
    """Twice: 3 x 3 convolution without bias, batch normalisation, ReLU."""
    between = width_out if width_between is None else width_between
    layers: list[nn.Module] = []
    for n, m in ((width_in, between), (between, width_out)):
        layers += [nn.Conv2d(n, m, 3, padding=1, bias=False), nn.BatchNorm2d(m), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def extend(y: Tensor, shape: tuple[int, int]) -> Tensor:
    """Images (B, C, h, w) continued by their border pixels to ``shape``, centre on centre."""
    rows, columns = centred_slice(shape[0], y.shape[-2]), centred_slice(shape[1], y.shape[-1])
    margins = (columns.start, shape[1] - columns.stop, rows.start, shape[0] - rows.stop)
    return F.pad(y, margins, mode="replicate")
