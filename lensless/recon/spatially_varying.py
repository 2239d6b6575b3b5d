"""SVDeconv, the first stage of PhoCoLens: Wiener deconvolutions for several regions of the field, blended."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require
from lensless.physics.convolution import psf_spectrum
from lensless.physics.filtering import filter_images
from lensless.physics.operator import LinearOperator
from lensless.recon.inverse_filter import check_k, convolution_camera, inverse_filter, largest_power
from lensless.recon.wiener import fade_to_grid


class SpatiallyVaryingDeconvolution(nn.Module):
    """x = sum_r w_r . F^-1[ conj(H_r) / (|H_r|^2 + k max|H|^2) Y ]  with a learned PSF for each of K x K regions r.

    Cai, You, Zhang, Liu, Gu & Xue, "PhoCoLens: photorealistic and consistent reconstruction in lensless imaging",
    NeurIPS 2024. H_r is the spectrum of the camera's one PSF plus a learned difference, which starts from zero and is
    in units of that PSF's root mean square; k > 0 is learned too. Before training this is Wiener(k). The w_r are
    :func:`inverse_distance_weights` of the regions' centres. Doubling y doubles x, doubling the PSF halves it.

    sensor_shape: (C, h, w) of the measurements and of the PSF. regions: K, along either axis. k: what k starts from.
    Raises InputError for k <= 0, regions below 1 and, when called, for another camera than a LenslessConvolution with
    ``sensor_shape``.
    """

    def __init__(self, sensor_shape: tuple[int, int, int], *, regions: int = 3, k: float = 3e-3):
        super().__init__()
        check_k(k)
        require(regions >= 1, f"regions: expected at least 1, got {regions}")
        self.sensor_shape = tuple(sensor_shape)
        self.regions = regions
        self.k = k
        self.log_factor = nn.Parameter(torch.zeros(()))
        self.differences = nn.Parameter(torch.zeros(regions**2, *sensor_shape))

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Measurements (B, C, h, w) to scenes (B, *physics.scene_shape)."""
        name = "SpatiallyVaryingDeconvolution"
        camera = convolution_camera(y, physics, channels=self.sensor_shape[0], needed_by=name)
        if camera.sensor_shape != self.sensor_shape:
            raise InputError(
                f"physics: this {name} was made for a sensor {self.sensor_shape}, the camera has {camera.sensor_shape}"
            )
        size = camera.scene_shape[1:]
        centres = [[(i + 0.5) * n / self.regions - 0.5 for i in range(self.regions)] for n in size]
        weights = inverse_distance_weights(size, rows=centres[0], columns=centres[1]).to(y)
        extended = fade_to_grid(y, camera.fft.shape)
        k = self.k * self.log_factor.exp() * largest_power(camera)
        unit = camera.psf.square().mean((1, 2, 3), keepdim=True).sqrt()
        x = 0
        for weight, difference in zip(weights, self.differences, strict=True):
            spectrum = camera.spectrum + unit * psf_spectrum(difference, camera.fft)
            x = x + weight * filter_images(extended, inverse_filter(spectrum, k), camera.fft, size)
        return x


def inverse_distance_weights(
    shape: tuple[int, int], *, rows: Sequence[float], columns: Sequence[float], softening: float = 1.0
) -> Tensor:
    """Blending weights (K, H, W), w_r(i) = a_r(i) / sum_s a_s(i)  with  a_r(i) = (|i - c_r|^2 + e^2)^(-1/2).

    shape: (H, W). rows, columns: where the regions' centres c_r lie, pixels; K = len(rows) len(columns), row by row.
    softening: e, pixels.
    """
    squares = [
        (torch.arange(size, dtype=torch.float64) - torch.tensor(centres, dtype=torch.float64)[:, None]).square()
        for size, centres in zip(shape, (rows, columns), strict=True)
    ]
    distance = squares[0][:, None, :, None] + squares[1][None, :, None, :] + softening**2
    closeness = distance.rsqrt().flatten(0, 1)
    return closeness / closeness.sum(0)
