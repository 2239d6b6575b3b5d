"""LenslessPiCam's camera inversions: its grid and PSF centre, its absolute penalties, its gain."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lensless.errors import require
from lensless.physics.convolution import LenslessConvolution, psf_spectrum
from lensless.physics.fft import GridFFT, fast_size
from lensless.physics.filtering import filter_images
from lensless.physics.operator import LinearOperator
from lensless.recon.inverse_filter import convolution_camera
from lensless.recon.spatially_varying import inverse_distance_weights
from lensless.recon.unrolled import Unrolled
from lensless.recon.unrolled_admm import unrolled_admm

CHANNELS = 3
# of the inverse distances of PiCamSpatiallyVaryingAdjoint, in pixels
SOFTENING = 1e-2


class PiCamUnrolledADMM(Unrolled):
    """Unrolled ADMM with the absolute values of learned, absolute penalties mu1, mu2, mu3 and tau, (K,) each.

    Nothing is scaled, so the soft threshold depends on the exposure. Negative values of a scene become 0.
    """

    def __init__(self, iterations: int):
        super().__init__(iterations)
        self.mu1, self.mu2, self.mu3, self.tau = (nn.Parameter(torch.ones(iterations)) for _ in range(4))

    def unroll(self, y: Tensor, physics: LinearOperator, iterations: int, *, every: bool) -> list[Tensor]:
        camera = sensor_sized_camera(y, physics, "PiCamUnrolledADMM")
        size = camera.sensor_shape[1:]
        grid = picam_grid(size)
        penalties = torch.stack([self.mu1, self.mu2, self.mu3, self.tau], 1)[:iterations].abs()
        spectrum = picam_spectrum(camera.psf, grid)
        scenes = unrolled_admm(y, spectrum, penalties, fft=grid, size=size, every=every)
        return [x.clamp(min=0) for x in scenes]


class PiCamAdjoint(nn.Module):
    """max(A* y, 0) / sqrt(P Q), on its grid P x Q: what its "trainable inversion" computes.

    It is no inverse, and its one number K has no effect. For models that were trained with it; an inverse is
    :class:`lensless.recon.trainable_inversion.TrainableInversion`.
    """

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Measurements (B, 3, h, w) to scenes of the same shape."""
        return picam_adjoint(y, sensor_sized_camera(y, physics, "PiCamAdjoint").psf).clamp(min=0)


class PiCamSpatiallyVaryingAdjoint(nn.Module):
    """max(sum_r w_r A_r* y, 0) / sqrt(P Q): what its "SVDeconvNet" computes with its own K x K PSFs.

    w_r are inverse distances to the regions' centres, in whole pixels. The camera's PSF has no effect. An inverse is
    :class:`lensless.recon.spatially_varying.SpatiallyVaryingDeconvolution`.

    shape: of the PSFs, (K * K, 3, h, w). Raises InputError for a number that is no square, and for another sensor.
    """

    def __init__(self, shape: tuple[int, int, int, int]):
        super().__init__()
        self.shape = tuple(shape)
        self.regions = math.isqrt(shape[0])
        require(self.regions**2 == shape[0], f"shape: expected a square number of PSFs, got {shape[0]}")
        self.stored_psf = nn.Parameter(torch.zeros(self.shape))

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Measurements (B, 3, h, w) to scenes of the same shape."""
        camera = sensor_sized_camera(y, physics, "PiCamSpatiallyVaryingAdjoint")
        require(
            camera.sensor_shape == self.shape[1:],
            f"physics: this model brings PSFs of {self.shape[1:]} and fits no other sensor, got {camera.sensor_shape}",
        )
        size = camera.sensor_shape[1:]
        rows, columns = ([int((i + 0.5) * n / self.regions) for i in range(self.regions)] for n in size)
        weights = inverse_distance_weights(size, rows=rows, columns=columns, softening=SOFTENING).to(y)
        x = sum(weight * picam_adjoint(y, psf[None]) for weight, psf in zip(weights, self.stored_psf, strict=True))
        return x.clamp(min=0)


def picam_adjoint(y: Tensor, psf: Tensor) -> Tensor:
    """A* y / sqrt(P Q) for y (B, C, h, w) and psf (B or 1, C, h, w)."""
    size = tuple(y.shape[-2:])
    grid = picam_grid(size)
    conjugate = picam_spectrum(psf, grid).conj() / math.sqrt(grid.shape[0] * grid.shape[1])
    return filter_images(y, conjugate, grid, size)


def picam_grid(size: tuple[int, int]) -> GridFFT:
    """Its FFT grid: the smallest 5-smooth numbers of at least 2 N - 1.

    Where one of those is odd its adjoint is displaced by a pixel, which nothing can undo: the next even one is taken.
    """
    return GridFFT((fast_size(2 * size[0] - 1), fast_size(2 * size[1] - 1)))


def picam_spectrum(psf: Tensor, grid: GridFFT) -> Tensor:
    """Half spectrum of PSFs (..., h, w) about its centre pixel, N // 2 for an even and (N + 1) // 2 for an odd size N.

    A row of zeros behind an odd number of rows makes (N + 1) // 2 the centre of what is then an even number.
    """
    height, width = psf.shape[-2:]
    return psf_spectrum(F.pad(psf, (0, width % 2, 0, height % 2)), grid)


def sensor_sized_camera(y: Tensor, physics: LinearOperator, needed_by: str) -> LenslessConvolution:
    """``physics`` as a colour camera whose scene has the sensor's size. Raises InputError for any other."""
    camera = convolution_camera(y, physics, channels=physics.sensor_shape[0], needed_by=needed_by)
    require(
        camera.sensor_shape[0] == CHANNELS and camera.scene_shape == camera.sensor_shape,
        f"physics: {needed_by} needs a colour camera ({CHANNELS}, h, w) with a scene of that shape, got a sensor "
        f"{camera.sensor_shape} and a scene {camera.scene_shape}",
    )
    return camera
