"""Cameras that add up planes on the sensor: depths of a scene, or bands of wavelength."""

import copy

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution, check_psf
from lensless.physics.operator import LinearOperator


class DepthStack(LinearOperator):
    """y = crop(sum_d psf_d * x_d): a scene of D depth planes, whose light adds up on the sensor.

    Antipa et al., "DiffuserCam: lensless single-exposure 3D imaging", Optica 5(1), 2018. The planes are summed
    in the frequency domain: D forward FFTs and one inverse for each channel; the adjoint takes one and D.

    psf: (D, C, h, w) or (B, D, C, h, w), one for each depth, floating point; h x w is the sensor.
    scene_shape: (H, W), default the sensor's. fft_shape: as for LenslessConvolution. Scenes are
    (B, D, C, H, W), measurements (B, C, h, w). Raises InputError on any other input.
    """

    def __init__(
        self,
        psf: Tensor,
        *,
        scene_shape: tuple[int, int] | None = None,
        fft_shape: tuple[int, int] | None = None,
        backend: str = "auto",
    ):
        if isinstance(psf, Tensor) and psf.ndim == 4:
            psf = psf[None]
        check_psf(psf, 5, "(D, C, h, w) or (B, D, C, h, w)")
        self.planes = LenslessConvolution(
            psf.flatten(1, 2), scene_shape=scene_shape, fft_shape=fft_shape, backend=backend
        )
        self.batch = self.planes.batch
        self.scene_shape = (*psf.shape[1:3], *self.planes.scene_shape[1:])
        self.sensor_shape = tuple(psf.shape[2:])
        self._refresh()

    def _tensors(self) -> dict[str, Tensor | LinearOperator]:
        return {"planes": self.planes}

    def _refresh(self) -> None:
        self._scratch: Tensor | None = None

    @property
    def spectrum(self) -> Tensor:
        """H of every plane and channel, (B or 1, D, C, P, Q // 2 + 1)."""
        return self.planes.spectrum.unflatten(1, self.scene_shape[:2])

    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor:
        fft, spectrum, size = self.planes.fft, self.spectrum, self.sensor_shape[1:]
        if not self._in_place(x):
            return fft.inverse((fft.forward(x) * spectrum).sum(1), size, out=out)
        if out is None:
            out = x.new_empty(x.shape[0], *self.sensor_shape)
        total, term = self._buffers()
        for sample in range(x.shape[0]):
            for channel in range(x.shape[2]):
                gains = spectrum[sample % self.batch, :, channel]
                total.zero_()
                for plane, gain in zip(x[sample, :, channel], gains, strict=True):
                    total.addcmul_(fft.forward(plane, out=term), gain)
                fft.inverse(total, size, out=out[sample, channel])
        return out

    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor:
        fft, spectrum, size = self.planes.fft, self.spectrum, self.scene_shape[2:]
        if not self._in_place(y):
            return fft.inverse(fft.forward(y)[:, None] * spectrum.conj(), size, out=out)
        if out is None:
            out = y.new_empty(y.shape[0], *self.scene_shape)
        conjugate, term = self._buffers()
        for sample in range(y.shape[0]):
            for channel in range(y.shape[1]):
                gains = spectrum[sample % self.batch, :, channel]
                fft.forward(y[sample, channel], out=conjugate).conj_physical_()
                for plane, gain in zip(out[sample, :, channel], gains, strict=True):
                    torch.mul(conjugate, gain, out=term).conj_physical_()
                    fft.inverse(term, size, out=plane)
        return out

    def _in_place(self, x: Tensor) -> bool:
        tracked = torch.is_grad_enabled() and (x.requires_grad or self.planes.spectrum.requires_grad)
        return x.device.type == "cpu" and not tracked

    def _buffers(self) -> Tensor:
        """Two spectra, kept between calls."""
        if self._scratch is None:
            self._scratch = self.planes.spectrum.new_empty(2, *self.planes.fft.spectrum_shape)
        return self._scratch

    def whole_field(self) -> "DepthStack":
        """The same camera with the whole grid as its scene (shares the spectra)."""
        whole = copy.copy(self)
        whole.planes = self.planes.whole_field()
        whole.scene_shape = (*self.scene_shape[:2], *whole.planes.scene_shape[1:])
        return whole

    def to_field_of_view(self, x: Tensor) -> Tensor:
        """Central (..., H, W) of a scene on the whole grid."""
        return self.planes.to_field_of_view(x)


class SpectralStack(LinearOperator):
    """y_c = sum_l response[c, l] crop(psf_l * x_l): a scene of L bands seen by C colour channels.

    psf: (L, h, w) or (B, L, h, w), one for each band, floating point; h x w is the sensor. response: (C, L),
    what channel c makes of band l (quantum efficiency times filter transmission). scene_shape: (H, W),
    default the sensor's. fft_shape: as for LenslessConvolution. Scenes are (B, L, H, W), measurements
    (B, C, h, w). Raises InputError on any other input.
    """

    def __init__(
        self,
        psf: Tensor,
        *,
        response: Tensor,
        scene_shape: tuple[int, int] | None = None,
        fft_shape: tuple[int, int] | None = None,
        backend: str = "auto",
    ):
        self.bands = LenslessConvolution(psf, scene_shape=scene_shape, fft_shape=fft_shape, backend=backend)
        self.batch = self.bands.batch
        self.scene_shape = self.bands.scene_shape
        bands = self.scene_shape[0]
        if not isinstance(response, Tensor) or response.ndim != 2 or response.shape[1] != bands:
            got = tuple(response.shape) if isinstance(response, Tensor) else type(response).__name__
            raise InputError(f"response: expected a tensor (C, {bands}), a column for each PSF, got {got}")
        if not bool(torch.isfinite(response).all()) or not bool(response.any()):
            raise InputError("response: expected finite values that are not all zero")
        self.response = response.to(psf)
        self.sensor_shape = (response.shape[0], *self.bands.sensor_shape[1:])

    def _tensors(self) -> dict[str, Tensor | LinearOperator]:
        return {"bands": self.bands, "response": self.response}

    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor:
        y = torch.einsum("cl,blhw->bchw", self.response, self.bands(x))
        return y if out is None else out.copy_(y)

    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor:
        return self.bands.adjoint(torch.einsum("cl,bchw->blhw", self.response, y), out=out)

    def whole_field(self) -> "SpectralStack":
        """The same camera with the whole grid as its scene (shares the spectra)."""
        whole = copy.copy(self)
        whole.bands = self.bands.whole_field()
        whole.scene_shape = whole.bands.scene_shape
        return whole

    def to_field_of_view(self, x: Tensor) -> Tensor:
        """Central (..., H, W) of a scene on the whole grid."""
        return self.bands.to_field_of_view(x)
