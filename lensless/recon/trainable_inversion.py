"""FlatNet's trainable inversions: one for shift-invariant cameras, one for separable ones.

Khan, Sundar, Boominathan, Veeraraghavan & Mitra, "FlatNet: towards photorealistic scene reconstruction from lensless
measurements", IEEE TPAMI 2020. The paper learns a filter, or two matrices, initialised from the calibrated camera.
Here the camera stays an argument and the difference from its inverse is learned, zero at first: with one camera that
is the paper's method, and a batch may still hold a different PSF for every sample.
"""

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require
from lensless.physics.convolution import psf_spectrum
from lensless.physics.filtering import filter_images
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SVD, SeparableMask
from lensless.recon.base import check_measurement
from lensless.recon.inverse_filter import check_k, convolution_camera, inverse_filter, largest_power
from lensless.recon.wiener import fade_to_grid


class TrainableInversion(nn.Module):
    """X = (conj(H) / (|H|^2 + k_c h^2) + D_c / h) Y  with  h = max|H|,  k_c > 0 and D_c learned for every channel c.

    Y is the spectrum of the measurement extended to the camera's grid by :func:`~lensless.recon.wiener.fade_to_grid`;
    before training k_c = k and D_c = 0, and this is Wiener(k). Doubling y doubles x, doubling the PSF halves it.

    k: noise-to-signal ratio to start from, relative to the largest |H|^2. channels: C of the measurements.
    filter_shape: (rows, columns) in pixels of the learned filter whose spectrum is D; the camera's fft.shape frees
    every frequency, less learns a smooth correction, None learns k alone. Raises InputError for k <= 0 and, when
    called, for another camera than a LenslessConvolution, other channels, or a grid smaller than the filter.
    """

    def __init__(self, k: float = 3e-3, *, channels: int = 3, filter_shape: tuple[int, int] | None = None):
        super().__init__()
        check_k(k)
        self.k = k
        self.channels = channels
        self.filter_shape = None if filter_shape is None else tuple(filter_shape)
        self.log_factor = nn.Parameter(torch.zeros(channels, 1, 1))
        self.filter = None if filter_shape is None else nn.Parameter(torch.zeros(channels, *filter_shape))

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Measurements (B, C, h, w) to scenes (B, *physics.scene_shape)."""
        camera = convolution_camera(y, physics, channels=self.channels, needed_by="TrainableInversion")
        largest = largest_power(camera)
        inverse = inverse_filter(camera.spectrum, self.k * self.log_factor.exp() * largest)
        if self.filter is not None:
            require(
                all(n <= p for n, p in zip(self.filter_shape, camera.fft.shape, strict=True)),
                f"filter_shape: expected at most the camera's grid {camera.fft.shape}, got {self.filter_shape}",
            )
            inverse = inverse + psf_spectrum(self.filter, camera.fft) / largest.sqrt()
        return filter_images(fade_to_grid(y, camera.fft.shape), inverse, camera.fft, camera.scene_shape[1:])


class SeparableTrainableInversion(nn.Module):
    """X = W_L Y W_R^T  with  W = V diag(s / (s^2 + k s_0^2)) U^T + D / s_0  for each of L = U diag(s) V^T and R.

    s_0 is the largest singular value; k > 0 and D are learned for either side, D for every channel. Before
    training D = 0: the regularised inverse of the calibrated matrices Y = L X R^T (Asif et al., "FlatCam", 2017).

    sensor_shape: (h, w) of the measurements, scene_shape: (H, W) of the scenes, pixels. channels: C. k: relative
    regularisation to start from. Raises InputError for k <= 0 and, when called, for another camera than a
    SeparableMask, or one of other shapes.
    """

    def __init__(
        self, sensor_shape: tuple[int, int], *, scene_shape: tuple[int, int], channels: int = 3, k: float = 1e-3
    ):
        super().__init__()
        check_k(k)
        self.sensor_shape = tuple(sensor_shape)
        self.scene_shape = tuple(scene_shape)
        self.channels = channels
        self.k = k
        self.log_factor = nn.Parameter(torch.zeros(2))
        sides = zip(self.scene_shape, self.sensor_shape, strict=True)
        self.differences = nn.ParameterList(torch.zeros(channels, n, m) for n, m in sides)

    def forward(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Y (B, C, h, w) to X (B, C, H, W)."""
        if not isinstance(physics, SeparableMask):
            raise InputError(
                f"physics: SeparableTrainableInversion needs a SeparableMask, got {type(physics).__name__}"
            )
        check_measurement(y, physics)
        expected = ((self.channels, *self.scene_shape), (self.channels, *self.sensor_shape))
        require(
            (physics.scene_shape, physics.sensor_shape) == expected,
            f"physics: this inversion was made for scenes {expected[0]} and measurements {expected[1]}, the camera has "
            f"{physics.scene_shape} and {physics.sensor_shape}",
        )
        left, right = (
            _regularised_inverse(svd, k) + difference / _largest(svd)
            for svd, k, difference in zip(
                physics.svd(), self.k * self.log_factor.exp(), self.differences, strict=True
            )
        )
        return left @ y @ right.mT


def _regularised_inverse(svd: SVD, k: Tensor) -> Tensor:
    """V diag(s / (s^2 + k s_0^2)) U^T."""
    s = svd.s[..., None, :]
    return svd.v * (s / (s.square() + k * _largest(svd).square())) @ svd.u.mT


def _largest(svd: SVD) -> Tensor:
    """The largest singular value over the channels of each camera, (B or 1, 1, 1, 1)."""
    return svd.s[..., 0].amax(1)[:, None, None, None]
