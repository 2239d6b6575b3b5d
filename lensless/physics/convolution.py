"""The shift-invariant lensless camera: y = crop(psf * x)."""

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.fft import COMPLEX, GridFFT, crop_centred, fast_shape, fast_size, pad_centred
from lensless.physics.filtering import filter_images
from lensless.physics.operator import LinearOperator


def check_psf(psf: Tensor, ndim: int, layout: str) -> None:
    """Raise InputError unless ``psf`` is a finite, floating-point, not everywhere zero tensor of ``ndim`` axes."""
    if not isinstance(psf, Tensor):
        raise InputError(f"psf: expected a torch tensor {layout}, got {type(psf).__name__}")
    if psf.ndim != ndim:
        raise InputError(f"psf: expected {layout}, got {tuple(psf.shape)}")
    if psf.dtype not in COMPLEX:
        raise InputError(f"psf: expected float32 or float64, got {psf.dtype}; divide counts by full scale first")
    if psf.shape[-1] in (3, 4) and psf.shape[-3] > 4:
        raise InputError(f"psf: expected {layout}, got {tuple(psf.shape)}; channels last? use psf.movedim(-1, -3)")
    if not bool(torch.isfinite(psf).all()):
        raise InputError(f"psf: expected finite values, got {int((~torch.isfinite(psf)).sum())} NaN or infinite")
    if not bool(psf.flatten(-3).any(-1).all()):
        raise InputError("psf: expected light somewhere, got a PSF of zeros; is the background level too high?")


class LenslessConvolution(LinearOperator):
    """y = crop(psf * x): a scene convolved with the PSF, of which the sensor sees the central part.

    In coordinates relative to the centre pixels, y(i) = sum_j psf(i - j) x(j): a point at the scene's centre
    gives exactly the PSF. Computed as y = crop(irfft2(H . rfft2(pad(x)))) with H the spectrum of the PSF, its
    centre at the origin. The convolution is linear: no wrap-around reaches the sensor as long as
    fft_shape >= sensor + scene // 2, which the default grid of twice the sensor keeps for scenes up to the whole
    grid (:meth:`whole_field`).

    psf: (C, h, w) or (B, C, h, w), floating point; h x w is the sensor. scene_shape: (H, W), default the sensor's.
    fft_shape: (P, Q) with Q even, default the next fast sizes. Raises InputError on any other input.
    To train a PSF make a new operator for every backward pass: its spectrum is computed here, once.
    """

    def __init__(
        self,
        psf: Tensor,
        *,
        scene_shape: tuple[int, int] | None = None,
        fft_shape: tuple[int, int] | None = None,
        backend: str = "auto",
    ):
        if isinstance(psf, Tensor) and psf.ndim == 3:
            psf = psf[None]
        check_psf(psf, 4, "(C, h, w) or (B, C, h, w)")
        self.psf = psf
        sensor = tuple(psf.shape[-2:])
        scene = sensor if scene_shape is None else tuple(int(n) for n in scene_shape)
        if fft_shape is None:
            fft_shape = fast_shape(tuple(max(2 * s, least_grid(s, n)) for s, n in zip(sensor, scene, strict=True)))
        check_grid(fft_shape, sensor, scene)
        self.batch = psf.shape[0]
        self.scene_shape = (psf.shape[1], *scene)
        self.sensor_shape = tuple(psf.shape[1:])
        self.fft = GridFFT(fft_shape, backend=backend)
        self._refresh()

    def _tensors(self) -> dict[str, Tensor]:
        return {"psf": self.psf}

    def _refresh(self) -> None:
        self.spectrum = psf_spectrum(self.psf, self.fft)
        self._conjugate: Tensor | None = None

    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor:
        return filter_images(x, self.spectrum, self.fft, self.sensor_shape[1:], out=out)

    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor:
        if self._conjugate is None or self.spectrum.requires_grad:
            self._conjugate = self.spectrum.conj().resolve_conj()
        return filter_images(y, self._conjugate, self.fft, self.scene_shape[1:], out=out)

    def whole_field(self) -> "LenslessConvolution":
        """The same camera with the whole grid as its scene (shares the spectrum).

        Raises InputError where ``fft_shape`` was given and is too small for that: less than twice the sensor.
        """
        check_grid(self.fft.shape, self.sensor_shape[1:], self.fft.shape)
        whole = LenslessConvolution.__new__(LenslessConvolution)
        whole.__dict__.update(self.__dict__, scene_shape=(self.scene_shape[0], *self.fft.shape))
        return whole

    def to_field_of_view(self, x: Tensor) -> Tensor:
        """Central (..., H, W) of a scene on the whole grid."""
        return crop_centred(x, self.scene_shape[1:])


def psf_spectrum(psf: Tensor, fft: GridFFT) -> Tensor:
    """Half spectrum of a PSF (..., h, w) with its centre pixel (h // 2, w // 2) moved to the grid's origin."""
    centred = pad_centred(psf, fft.shape)
    return torch.fft.rfft2(torch.roll(centred, (-(fft.shape[0] // 2), -(fft.shape[1] // 2)), (-2, -1)))


def least_grid(sensor: int, scene: int) -> int:
    """Smallest periodic grid on which no wrap-around of a sensor-sized PSF reaches the sensor: s + n // 2, or n.

    A sensor and a scene pixel are at most s - 1 - s // 2 + n // 2 apart; one period less must fall short of the
    PSF, which starts at -(s // 2).
    """
    return max(sensor + scene // 2, scene)


def check_grid(fft_shape: tuple[int, int], sensor: tuple[int, int], scene: tuple[int, int]) -> None:
    """Raise InputError unless a linear convolution of ``scene`` seen by ``sensor`` fits the FFT grid."""
    if min(scene) < 1:
        raise InputError(f"scene_shape: expected positive sizes, got {tuple(scene)}")
    for axis, (p, s, n) in enumerate(zip(fft_shape, sensor, scene, strict=True)):
        if p < least_grid(s, n):
            raise InputError(
                f"fft_shape: axis {axis} has {p} samples, too few for a sensor of {s} and a scene of {n} pixels; "
                f"expected at least {least_grid(s, n)} ({fast_size(least_grid(s, n))} is fast)"
            )
