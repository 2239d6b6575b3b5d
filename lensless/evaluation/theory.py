"""Why a reconstruction errs: bias, mismatch and noise of Wiener and of gradient descent, by the formula and measured.

A calibrated camera H^ is never the true one, H = H^ - D, so that  y = H x + n = H^ x + e  with  e = n - D x.  A linear
reconstruction R that is made for H^ errs by

    R y - x  =  (R H^ - I) x     bias: what R gets wrong with a perfect calibration and without noise
                - R D x          mismatch: what the camera does and its calibration does not know
                + R n            noise

so that, over the noise n, E mean (R y - x)^2 = bias^2 + mismatch^2 + 2 bias mismatch + E noise^2, means over pixels.
Wiener's filter and K gradient steps of length a from 0 are

    R = (H^* H^ + k max|H^|^2)^-1 H^*        R = sum_{j<K} (I - a H^* H^)^j a H^*,    R H^ - I = -(I - a H^* H^)^K

On a periodic grid, :class:`PeriodicCamera`, all of these are diagonal in the Fourier domain: :func:`predict_periodic`
sums over frequencies. A sensor sees a part of the convolution and nothing is diagonal: there, :func:`predict` applies
the operators as they are written above to x, to D x and, for the noise, to a unit vector for each pixel.

The split is that of Bezzam, Perron & Vetterli (arXiv 2502.01102), whose sum for gradient descent this is.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lensless.errors import require
from lensless.physics.convolution import LenslessConvolution, check_psf
from lensless.physics.fft import GridFFT, pad_centred
from lensless.physics.filtering import filter_images, full_weights
from lensless.recon.base import Reconstructor
from lensless.recon.inverse_filter import inverse_filter, largest_power, power
from lensless.recon.wiener import fade_to_grid

# unit vectors that are spread at once
CHUNK = 256


class PeriodicCamera(LenslessConvolution):
    """y(i) = sum_j psf((i - j) mod grid) x(j): the sensor is one period of a scene that repeats, so nothing is cropped.

    psf: (C, h, w), w even; scene and sensor have its size, which is the grid's. No camera is like this, but every
    solver of a LenslessConvolution takes it, and is then a product in the Fourier domain: there is no border to fade
    and no field beyond the scene. Raises InputError on another PSF.
    """

    def __init__(self, psf: Tensor):
        check_psf(psf, 3, "(C, h, w)")
        self.psf = psf[None]
        self.batch = 1
        self.scene_shape = self.sensor_shape = tuple(psf.shape)
        self.fft = GridFFT(tuple(psf.shape[-2:]))
        self._refresh()

    def whole_field(self) -> "PeriodicCamera":
        return self


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of the terms over pixels and channels; cross is 2 mean (bias . mismatch), of either sign."""

    bias: float
    mismatch: float
    cross: float
    noise: float

    @property
    def total(self) -> float:
        return self.bias + self.mismatch + self.cross + self.noise


@dataclass(frozen=True)
class Terms:
    """The terms as images that sum to R y - x: bias and mismatch (1, C, h, w), noise (B, C, h, w) of B measurements."""

    bias: Tensor
    mismatch: Tensor
    noise: Tensor

    def mean_squares(self) -> MeanSquares:
        """noise: mean over the B measurements."""
        cross = 2 * (self.bias * self.mismatch).mean()
        return MeanSquares(*(float(v) for v in (_mean(self.bias), _mean(self.mismatch), cross, _mean(self.noise))))


@torch.no_grad()
def measure(
    reconstruct: Reconstructor,
    believed: LenslessConvolution,
    true: LenslessConvolution,
    *,
    scene: Tensor,
    noise: Tensor,
) -> Terms:
    """The terms of an actual reconstruction: of H^ x, of H x, and of H x + n, each told that the camera is H^.

    reconstruct: linear in the measurement, as Wiener with a given k and GradientDescent with
    ``regulariser=Unconstrained()`` and a fixed number of iterations are. scene: (1, C, h, w). noise: (B, C, h, w).
    """
    clean = true(scene)
    perfect, mistaken = reconstruct(believed(scene), believed), reconstruct(clean, believed)
    return Terms(perfect - scene, mistaken - perfect, reconstruct(clean + noise, believed) - mistaken)


class Formula(ABC):
    """A linear reconstruction R for the camera H^, ``believed``, as written above."""

    believed: LenslessConvolution

    @abstractmethod
    def gain(self) -> Tensor:
        """The transfer function of R on a periodic grid, a half spectrum (1, C, P, Q // 2 + 1)."""

    @abstractmethod
    def bias(self, scene: Tensor) -> Tensor:
        """(R H^ - I) x, (B, C, H, W)."""

    @abstractmethod
    def spread(self, error: Tensor) -> Tensor:
        """R e of errors e of the measurement, (B, C, h, w): how inversion spreads them over the scene."""


class WienerFormula(Formula):
    """R = crop F^-1 g F fade with g = conj(H^) / (|H^|^2 + k max|H^|^2); fade extends a sensor's image to the grid."""

    def __init__(self, believed: LenslessConvolution, *, k: float):
        self.believed, self.k = believed, k

    def gain(self) -> Tensor:
        return inverse_filter(self.believed.spectrum, self.k * largest_power(self.believed))

    def bias(self, scene: Tensor) -> Tensor:
        return self.spread(self.believed(scene)) - scene

    def spread(self, error: Tensor) -> Tensor:
        camera = self.believed
        return filter_images(fade_to_grid(error, camera.fft.shape), self.gain(), camera.fft, camera.scene_shape[1:])


class GradientFormula(Formula):
    """R = crop sum_{j<K} (I - a H^* H^)^j a H^* on the whole field that the sensor sees, of which x is the centre.

    steps: K. step_size: a in units of 1 / ||H^||^2, less the percent that the solver spares.
    """

    def __init__(self, believed: LenslessConvolution, *, steps: int, step_size: float = 1.0):
        self.believed, self.steps = believed, steps
        self.field = believed.whole_field()
        self.length = step_size / (1.01 * float(self.field.norm_squared()))

    def gain(self) -> Tensor:
        squared = power(self.believed.spectrum)
        left = (1 - self.length * squared) ** self.steps
        return self.believed.spectrum.conj() * ((1 - left) / squared.clamp_min(torch.finfo(squared.dtype).tiny))

    def bias(self, scene: Tensor) -> Tensor:
        left = pad_centred(scene, self.field.scene_shape[1:])
        for _ in range(self.steps):
            left = self._contracted(left)
        return -self.believed.to_field_of_view(left)

    def spread(self, error: Tensor) -> Tensor:
        added = self.length * self.field.adjoint(error)
        total = added.clone()
        for _ in range(self.steps - 1):
            added = self._contracted(added)
            total += added
        return self.believed.to_field_of_view(total)

    def _contracted(self, x: Tensor) -> Tensor:
        return x - self.length * self.field.adjoint(self.field(x))


@torch.no_grad()
def predict(formula: Formula, true: LenslessConvolution, *, scene: Tensor, variance: Tensor) -> MeanSquares:
    """E of the mean squares for any camera, by applying the operators; noise costs a spread for each sensor pixel.

    true: H. scene: (1, C, h, w). variance: of the noise in each sensor pixel, (C, h, w), independent of its neighbours.
    """
    bias, mismatch = formula.bias(scene), formula.spread(true(scene) - formula.believed(scene))
    noise = (variance * energies(formula)).sum() / scene.numel()
    return MeanSquares(*(float(v) for v in (_mean(bias), _mean(mismatch), 2 * (bias * mismatch).mean(), noise)))


@torch.no_grad()
def energies(formula: Formula) -> Tensor:
    """||R e_i||^2 for the unit error e_i of each sensor pixel i, (C, h, w)."""
    channels, height, width = formula.believed.sensor_shape
    found = torch.empty(channels, height * width, dtype=formula.believed.dtype)
    for pixels in torch.arange(height * width).split(CHUNK):
        units = torch.zeros(len(pixels), height * width, dtype=found.dtype).scatter_(1, pixels[:, None], 1)
        images = units.reshape(-1, 1, height, width).expand(-1, channels, -1, -1)  # channels do not mix
        found[:, pixels] = formula.spread(images.contiguous()).square().sum((2, 3)).T
    return found.reshape(channels, height, width)


@torch.no_grad()
def predict_periodic(formula: Formula, true: PeriodicCamera, *, scene: Tensor, variance: Tensor) -> MeanSquares:
    """The same on a periodic grid, frequency by frequency; arguments as for :func:`predict`.

    With X, H^, D and g on the frequencies f of P Q pixels, and v the mean variance of the noise,

        bias: sum_f |(g H^ - 1) X|^2 / (P Q)^2    mismatch: sum_f |g D X|^2 / (P Q)^2    noise: v sum_f |g|^2 / (P Q)

    Raises InputError for another camera than a PeriodicCamera.
    """
    camera = formula.believed
    for name, one in (("true", true), ("believed", camera)):
        require(isinstance(one, PeriodicCamera), f"{name}: expected a PeriodicCamera, got {type(one).__name__}")
    spectrum, gain = camera.fft.forward(scene), formula.gain()
    bias, mismatch = (gain * camera.spectrum - 1) * spectrum, gain * (true.spectrum - camera.spectrum) * spectrum
    pixels = camera.fft.shape[0] * camera.fft.shape[1]
    weights = full_weights(camera.fft, dtype=scene.dtype, device=scene.device)

    def mean(products: Tensor) -> float:
        return float((weights * products).sum((2, 3)).mean()) / pixels**2

    noise = (variance.mean((1, 2)) * (weights * power(gain[0])).sum((1, 2))).mean() / pixels
    cross = 2 * mean((bias.conj() * mismatch).real)
    return MeanSquares(mean(power(bias)), mean(power(mismatch)), cross, float(noise))


def shot_variance(y: Tensor, snr_db: float) -> Tensor:
    """Variance y / s of each pixel's shot noise, :func:`lensless.physics.noise.add_noise_at_snr`; y (1, C, h, w)."""
    return y[0] * float(y.square().sum() / y.sum()) / 10 ** (snr_db / 10)


def _mean(image: Tensor) -> Tensor:
    return image.square().mean()
