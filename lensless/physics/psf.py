"""Point spread functions: the light of one point, through the mask, on the pixels of the sensor.

A source at distance s (or infinity) is seen from the mask's centre under ``angle`` = (y, x) in radians, that is at
s (tan angle_y, tan angle_x) off the axis. Its chief ray meets the sensor, d behind the mask, at -d tan(angle); a finite
distance magnifies the mask's shadow by 1 + d / s. Both follow from the wave, neither is put in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.masks import Mask
from lensless.physics.propagation import Grid, angular_spectrum


@dataclass(frozen=True, kw_only=True)
class Optics:
    """What lies behind the mask: pixels at a distance, and the wavelengths that they see.

    sensor_shape: pixels (h, w). pixel_pitch: (dy, dx) in metres. distance: mask to sensor, metres.
    wavelengths: (L,) in metres. response: (C, L), what each channel makes of each wavelength's light (source
    spectrum times sensor response), default one channel a wavelength. oversample: samples a pixel along each axis;
    enough when the PSF no longer changes. least_captured: smallest share of the light behind the mask that must
    land on the sensor, else the PSF is refused as wider than the sensor. Raises InputError on any other input.
    """

    sensor_shape: tuple[int, int]
    pixel_pitch: tuple[float, float]
    distance: float
    wavelengths: tuple[float, ...]
    response: tuple[tuple[float, ...], ...] | None = None
    oversample: int = 1
    least_captured: float = 0.5

    def __post_init__(self):
        wavelengths = tuple(float(wavelength) for wavelength in self.wavelengths)
        count = len(wavelengths)
        if not count or not all(1e-8 < wavelength < 1e-3 for wavelength in wavelengths):
            raise InputError(f"wavelengths: expected lengths in metres such as 550e-9, got {wavelengths}")
        response = torch.eye(count).tolist() if self.response is None else self.response
        response = tuple(tuple(float(share) for share in row) for row in response)
        if not response or any(len(row) != count or min(row) < 0 for row in response):
            raise InputError(f"response: expected rows (C, {count}) of non-negative numbers, got {response}")
        if self.oversample < 1 or self.oversample % 1:
            raise InputError(f"oversample: expected a whole number, at least 1, got {self.oversample}")
        if not 0 < self.distance < math.inf:
            raise InputError(f"distance: expected a positive length in metres, got {self.distance}")
        pixels = Grid(self.sensor_shape, self.pixel_pitch)
        for name, value in (
            ("sensor_shape", pixels.shape),
            ("pixel_pitch", pixels.pitch),
            ("wavelengths", wavelengths),
            ("response", response),
        ):
            object.__setattr__(self, name, value)

    @property
    def window(self) -> Grid:
        """The sensor's samples: ``oversample`` along each axis of a pixel."""
        k = self.oversample
        return Grid(tuple(n * k for n in self.sensor_shape), tuple(p / k for p in self.pixel_pitch))

    @property
    def window_centre(self) -> tuple[float, float]:
        """Where sample (h k // 2, w k // 2) lies when the middle of pixel (h // 2, w // 2) is on the axis, metres."""
        k = self.oversample
        return tuple(
            (n * k // 2 - n // 2 * k - (k - 1) / 2) * p / k
            for n, p in zip(self.sensor_shape, self.pixel_pitch, strict=True)
        )

    def demagnified(self, source_distance: float) -> "Optics":
        """The camera whose PSF in collimated light is this one's for an on-axis source at ``source_distance``, metres.

        A distance and pixels smaller by M = 1 + d / s, exact for paraxial light (Fresnel scaling): no spherical
        wave has to be sampled, so it serves sources too near for the grid.
        """
        magnification = 1 + self.distance / source_distance
        pitch = tuple(p / magnification for p in self.pixel_pitch)
        return replace(self, distance=self.distance / magnification, pixel_pitch=pitch)


def point_source_psf(
    mask: Mask,
    optics: Optics,
    *,
    source_distance: float = math.inf,
    angle: tuple[float, float] = (0.0, 0.0),
    follow: bool = False,
) -> Tensor:
    """Light of one point on each pixel, as a share of the light of that point that falls on the whole mask.

    psf_c(pixel) = sum_l response(c, l)  integral over the pixel of |U_l|^2  /  integral over the mask of |V_l|^2

    with V_l the source's wave at the mask, t_l the mask's transmission and U_l the propagated t_l V_l. One factor for
    all channels; with the default response a channel's sum is the share of the light that reaches the sensor.

    source_distance: source to mask, metres. angle: (y, x) in radians. follow: move the sensor along to the chief
    ray's foot, any fraction of a pixel. Returns (..., C, h, w), real, differentiable in the mask; leading axes
    are the mask's. One wavelength at a time; each takes about 50 bytes (float32, no gradients) for every sample
    of the mask and the sensor put side by side along both axes, 2.5 GB for a 3040 x 4056 sensor under a mask of
    its size, times oversample squared. Raises InputError where mask, wave or sensor do not fit the grid.
    """
    window = optics.window
    grid = mask.grid(window.pitch)
    foot = [-optics.distance * math.tan(a) if follow else 0.0 for a in angle]
    centre = tuple(c + f for c, f in zip(optics.window_centre, foot, strict=True))
    aperture = mask.aperture(grid)
    psf = 0.0
    for wavelength, *response in zip(optics.wavelengths, *optics.response, strict=True):
        transmission = mask.transmission(grid, wavelength)
        steepness = mask.steepness(grid, wavelength)
        wave, carrier = point_source_wave(
            grid, wavelength=wavelength, distance=source_distance, angle=angle, steepness=steepness
        )
        incident = float((_intensity(wave) * aperture).sum())
        field = transmission * wave.to(transmission)
        landed = angular_spectrum(
            field,
            grid,
            wavelength=wavelength,
            distance=optics.distance,
            out_shape=window.shape,
            out_centre=centre,
            carrier=carrier,
        )
        pixels = _pixel_sums(_intensity(landed), optics.oversample)
        _check_captured(pixels, field, optics, angle)
        psf = psf + torch.stack([pixels * (share / incident) for share in response], dim=-3)
    return psf


def psf_stack(mask: Mask, optics: Optics, source_distances: Sequence[float]) -> Tensor:
    """PSFs (D, ..., C, h, w) of on-axis sources at each of ``source_distances``, metres: :func:`point_source_psf`."""
    return torch.stack([point_source_psf(mask, optics, source_distance=s) for s in source_distances])


def shift_invariance(
    mask: Mask,
    optics: Optics,
    angles: Sequence[tuple[float, float]],
    *,
    source_distance: float = math.inf,
) -> Tensor:
    """How far one PSF serves the whole field: likeness of each off-axis PSF to the shifted on-axis one, (A, ...).

    rho(angle) = <p_angle, p_0> / (|p_angle| |p_0|),    p_angle taken around its chief ray's foot -d tan(angle)

    1 where the shift-invariant model is exact. It falls with obliquity, which stretches the PSF; a mask's thickness
    is not modelled. angles: pairs (y, x) in radians. source_distance: metres.
    """
    on_axis = point_source_psf(mask, optics, source_distance=source_distance).flatten(-3)
    likenesses = []
    for angle in angles:
        psf = point_source_psf(mask, optics, source_distance=source_distance, angle=angle, follow=True)
        likenesses.append(F.cosine_similarity(psf.flatten(-3), on_axis, dim=-1))
    return torch.stack(likenesses)


def point_source_wave(
    grid: Grid, *, wavelength: float, distance: float, angle: tuple[float, float], steepness: float = 0.0
) -> tuple[Tensor, tuple[float, float]]:
    """A point source's wave on a plane, 1 at the origin, without its carrier; and that carrier, cycles per metre.

    V(x) = (R / r) exp(2 pi i (r - R + x . x_s / R) / lambda),    r = |(x - x_s, s)|,  R = |(x_s, s)|,
    x_s = s tan(angle);  the carrier is -x_s / (lambda R). For s = infinity V = 1.

    Returns complex128 (H, W) and (fy, fx). steepness: waves a sample by which the mask turns the phase besides.
    Raises InputError if V turns by more than a quarter wave a sample, or both together by more than half a wave.
    """
    tangent = [math.tan(a) for a in angle]
    secant = math.hypot(1.0, *tangent)
    carrier = tuple(-t / (secant * wavelength) for t in tangent)
    if distance == math.inf:
        return torch.ones(grid.shape, dtype=torch.complex128), carrier
    if not distance > 0:
        raise InputError(f"source_distance: expected a positive length in metres, got {distance}")
    y, x = grid.coordinates()
    source_y, source_x = (distance * t for t in tangent)
    chief = distance * secant
    ray = ((y - source_y) ** 2 + (x - source_x) ** 2 + distance**2).sqrt()
    square, across = y**2 + x**2, y * source_y + x * source_x
    # r - R + x . x_s / R without differences of large numbers
    path = (square + across * (square - 2 * across) / (chief * (ray + chief))) / (ray + chief)
    turns = [float(path.diff(dim=axis).abs().max()) / wavelength for axis in (0, 1) if grid.shape[axis] > 1]
    turn = max(turns, default=0.0)
    too_coarse = max(4 * turn, 2 * (turn + steepness))
    if too_coarse > 1:
        raise InputError(
            f"source_distance: the wave from {distance:.4g} m turns by {turn:.3g} waves a sample at the mask's edge, "
            f"the mask by {steepness:.3g}; expected at most a quarter, and half together; make oversample "
            f"{too_coarse:.3g} times what it is, move the source away, or take optics.demagnified({distance:.4g})"
        )
    return torch.polar(chief / ray, path * (2 * math.pi / wavelength)), carrier


def _intensity(field: Tensor) -> Tensor:
    return torch.view_as_real(field).square().sum(-1)


def _pixel_sums(light: Tensor, k: int) -> Tensor:
    """Sums over k x k samples, (..., h k, w k) to (..., h, w)."""
    return light.unflatten(-1, (-1, k)).sum(-1).unflatten(-2, (-1, k)).sum(-2)


def _check_captured(pixels: Tensor, field: Tensor, optics: Optics, angle: tuple[float, float]) -> None:
    passed = _intensity(field.detach()).sum((-2, -1))
    if not bool((passed > 0).all()):
        raise InputError("mask: expected light to pass somewhere, got an opaque mask")
    captured = float((pixels.detach().sum((-2, -1)) / passed).min())
    if captured < optics.least_captured:
        raise InputError(
            f"least_captured: {captured:.1%} of the light behind the mask lands on the sensor, expected "
            f"{optics.least_captured:.1%}: at {optics.distance:.4g} m from the mask and an angle of {tuple(angle)} rad "
            "the PSF is wider than the sensor or lies beside it; check distance and angle, take a larger "
            "sensor_shape or a smaller mask, or lower least_captured"
        )
