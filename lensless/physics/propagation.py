"""Light between two parallel planes in free space: complex fields on grids of known pitch, in metres.

A field is a complex tensor (..., H, W) in the convention exp(i k z): a wave travelling to positive z gains phase.
Sums of |field|^2 over the samples are conserved, apart from light that leaves the output window.
"""

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.fft import complex_fft2, complex_ifft2, fast_size

# Width of the soft edge of the band limit, in Fresnel zones sqrt(lambda d): a hard edge rings by several per cent.
SOFT_EDGE = 3.0
# Largest phase (rad) that the paraxial approximation may neglect on the steepest ray.
PARAXIAL_PHASE = 1.0


@dataclass(frozen=True)
class Grid:
    """Sample positions in a plane: shape (H, W), pitch (dy, dx) in metres, sample (H // 2, W // 2) on the axis.

    Raises InputError unless both sizes and both pitches are positive.
    """

    shape: tuple[int, int]
    pitch: tuple[float, float]

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "pitch", tuple(float(p) for p in self.pitch))
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise InputError(f"shape: expected two positive sizes (H, W), got {self.shape}")
        if len(self.pitch) != 2 or not all(0 < p < math.inf for p in self.pitch):
            raise InputError(f"pitch: expected two positive lengths (dy, dx) in metres, got {self.pitch}")

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width covered by the samples' cells, in metres."""
        return self.shape[0] * self.pitch[0], self.shape[1] * self.pitch[1]

    def coordinates(self, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """y (H, 1) and x (1, W) of the samples in metres, float64."""
        y, x = (
            (torch.arange(n, dtype=torch.float64, device=device) - n // 2) * p
            for n, p in zip(self.shape, self.pitch, strict=True)
        )
        return y[:, None], x[None, :]

    def frequencies(self, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
        """Spatial frequencies (H, 1) and (1, W) of the grid's Fourier transform in cycles per metre, float64."""
        fy, fx = (
            torch.fft.fftfreq(n, p, dtype=torch.float64, device=device)
            for n, p in zip(self.shape, self.pitch, strict=True)
        )
        return fy[:, None], fx[None, :]


def angular_spectrum(
    field: Tensor,
    grid: Grid,
    *,
    wavelength: float,
    distance: float,
    out_shape: tuple[int, int] | None = None,
    out_centre: tuple[float, float] = (0.0, 0.0),
    carrier: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Field at ``distance`` by the band-limited angular spectrum method, at any angle.

    U_out = F^-1[ H(f) F[U](f) ],    H(f) = w(f) exp(2 pi i d sqrt(1 / lambda^2 - |f|^2))

    A plane wave of frequency f lands d f / sqrt(1 / lambda^2 - |f|^2) away from where it started. The grid is
    zero-padded to the sum of the input's and the output's size, so that the convolution is linear; waves that land
    further away connect no input with an output sample, would alias, and are left out. Where a grid's waves reach
    that far (d > N pitch^2 / lambda for N padded samples) w falls smoothly over 3 sqrt(lambda d), for which the
    padding grows; nearer w = 1. Evanescent waves are left out.

    field: complex (..., H, W) on ``grid``. wavelength, distance: metres; a negative distance goes back.
    out_shape: size of the output window, same pitch, default (H, W). out_centre: position (y, x) in metres of its
    sample (h // 2, w // 2), any real numbers. carrier: frequency (fy, fx) in cycles per metre of a plane wave left
    out of both ``field`` and the result, U = field * exp(2 pi i carrier . x): steep light needs no finer grid.
    Returns (..., *out_shape). Takes about 50 bytes (complex64) for each sample of the padded grid, more with
    gradients. Raises InputError if the field is not complex or not on the grid, if the distance is so long that the
    windows are smaller than a Fresnel zone, or if the light passes beside the output window.

    Matsushima & Shimobaba, Opt. Express 17, 19662 (2009); off-axis: Matsushima, Opt. Express 18, 18453 (2010).
    """
    _check_field(field, grid, wavelength)
    out = Grid(grid.shape if out_shape is None else out_shape, grid.pitch)
    padded, edges = _band_limited_grid(grid, out, wavelength, distance, out_centre, carrier)
    spectrum = complex_fft2(field, padded.shape)
    spectrum = spectrum * _transfer_function(padded, edges, wavelength, distance, out_centre, carrier, field.real)
    return complex_ifft2(spectrum, out.shape)


def _transfer_function(
    padded: Grid, edges: list[float], wavelength: float, distance: float, out_centre, carrier, like: Tensor
) -> Tensor:
    """H(f + carrier) exp(2 pi i f . out_centre) on the padded grid, in the precision and on the device of ``like``."""
    fy, fx = padded.frequencies(like.device)
    ray_y, ray_x = fy + carrier[0], fx + carrier[1]
    axial_squared = wavelength**-2 - ray_y**2 - ray_x**2
    weight = (axial_squared > 0).to(like.dtype)
    axial = axial_squared.clamp_min_(1.0).sqrt_()
    for ray, centre, edge, extent in zip((ray_y, ray_x), out_centre, edges, padded.extent, strict=True):
        if edge > 0:
            inside = ((extent / 2 - (distance * ray / axial - centre).abs()) / edge).clamp_(0, 1)
            weight *= inside**3 * (10 - 15 * inside + 6 * inside**2)
    cycles = axial.mul_(distance).add_(fy * out_centre[0]).add_(fx * out_centre[1])
    phase = cycles.sub_(cycles.round()).mul_(2 * math.pi)
    return torch.polar(weight, phase.to(like.dtype))


def _band_limited_grid(
    grid: Grid, out: Grid, wavelength: float, distance: float, out_centre, carrier
) -> tuple[Grid, list[float]]:
    """The padded grid, and how wide (metres, 0 for none) the soft edge of its band limit is along each axis."""
    cosine_squared = 1 - wavelength**2 * (carrier[0] ** 2 + carrier[1] ** 2)
    if cosine_squared <= 0:
        raise InputError(f"carrier: expected a frequency below 1 / lambda = {1 / wavelength:.4g} / m, got {carrier}")
    cosine = math.sqrt(cosine_squared)
    zone = math.sqrt(wavelength * abs(distance) / cosine**3)
    steepest = [abs(f) + 1 / (2 * p) for f, p in zip(carrier, grid.pitch, strict=True)]
    least_axial = math.sqrt(max(wavelength**-2 - steepest[0] ** 2 - steepest[1] ** 2, 1.0))
    shape, edges = [], []
    for axis, n, m, p, f, centre in zip("yx", grid.shape, out.shape, grid.pitch, carrier, out_centre, strict=True):
        half = (n + m) * p / 2
        landing = distance * wavelength * f / cosine
        if abs(landing - centre) > half:
            raise InputError(
                f"out_centre: the light lands at {axis} = {landing:.4g} m, beside the output window around "
                f"{centre:.4g} m; expected within {half:.4g} m of it, move or widen the window"
            )
        if zone > half:
            raise InputError(
                f"distance: expected at most {half**2 * cosine**3 / wavelength:.4g} m for windows of {2 * half:.4g} m "
                f"together along {axis}, got {distance:.4g} m; take wider windows, or fresnel for paraxial light"
            )
        reach = max(abs(distance * (f + side / (2 * p)) / least_axial - centre) for side in (-1, 1))
        edges.append(min(max(reach - half, 0.0), SOFT_EDGE * zone))
        shape.append(fast_size(math.ceil(2 * (half + edges[-1]) / p - 1e-6)))
    return Grid(tuple(shape), grid.pitch), edges


def fresnel(
    field: Tensor,
    grid: Grid,
    *,
    wavelength: float,
    distance: float,
    out_shape: tuple[int, int] | None = None,
) -> Tensor:
    """Field at ``distance`` in the paraxial approximation, also where it is too long for the angular spectrum.

    U_out(x) = exp(ikd) / (i lambda d) integral U(x') exp(i pi |x - x'|^2 / (lambda d)) dx'

    The kernel is separable and sampled, along each axis, where it is slow enough: as exp(-i pi lambda d f^2) over
    frequency up to d = N pitch^2 / lambda (N samples of the padded grid), beyond that over space.

    Arguments, shapes and padding as in :func:`angular_spectrum`. Raises InputError if the field is not complex or
    not on the grid, or if the phase pi d theta^4 / (4 lambda) that the approximation neglects on the steepest ray
    that the grid and the windows hold exceeds 1 rad.

    Voelz & Roggemann, Appl. Opt. 48, 6132 (2009); Goodman, Introduction to Fourier Optics, chapter 4.
    """
    _check_field(field, grid, wavelength)
    out = Grid(grid.shape if out_shape is None else out_shape, grid.pitch)
    padded = Grid(tuple(fast_size(n + m) for n, m in zip(grid.shape, out.shape, strict=True)), grid.pitch)
    _check_paraxial(padded, wavelength, distance)
    kernel_y, kernel_x = (
        _fresnel_spectrum(Grid((1, n), (1.0, p)), wavelength, distance)
        for n, p in zip(padded.shape, padded.pitch, strict=True)
    )
    kernel_y = kernel_y * cmath.exp(2j * math.pi * (distance / wavelength % 1))
    spectrum = complex_fft2(field, padded.shape)
    spectrum = spectrum * kernel_y.mT.to(spectrum) * kernel_x.to(spectrum)
    return complex_ifft2(spectrum, out.shape)


def _fresnel_spectrum(line: Grid, wavelength: float, distance: float) -> Tensor:
    """Spectrum (1, N) of the one-dimensional Fresnel kernel on a grid of one line."""
    samples, pitch = line.shape[1], line.pitch[1]
    if abs(distance) <= samples * pitch**2 / wavelength:
        _, f = line.frequencies()
        return torch.exp(-1j * math.pi * wavelength * distance * f**2)
    _, x = line.coordinates()
    kernel = torch.exp(1j * math.pi / (wavelength * distance) * x**2)
    kernel = kernel * (pitch * cmath.sqrt(1 / (1j * wavelength * distance)))
    return complex_fft2(kernel.roll(-(samples // 2), -1), line.shape)


def _check_field(field: Tensor, grid: Grid, wavelength: float) -> None:
    if not isinstance(field, Tensor) or not field.is_complex():
        kind = field.dtype if isinstance(field, Tensor) else type(field).__name__
        raise InputError(f"field: expected a complex tensor (..., H, W), got {kind}; use torch.complex(real, imag)")
    if tuple(field.shape[-2:]) != grid.shape:
        raise InputError(f"field: expected (..., {grid.shape[0]}, {grid.shape[1]}), got {tuple(field.shape)}")
    if not 0 < wavelength < math.inf:
        raise InputError(f"wavelength: expected a positive length in metres, got {wavelength}")


def _check_paraxial(padded: Grid, wavelength: float, distance: float) -> None:
    if distance == 0:
        return
    slopes = [
        min(wavelength / (2 * pitch), extent / (2 * abs(distance)))
        for pitch, extent in zip(padded.pitch, padded.extent, strict=True)
    ]
    neglected = math.pi * abs(distance) / (4 * wavelength) * (slopes[0] ** 2 + slopes[1] ** 2) ** 2
    if neglected > PARAXIAL_PHASE:
        raise InputError(
            f"distance: the Fresnel approximation neglects {neglected:.3g} rad on the steepest ray of this grid at "
            f"{distance:.4g} m, expected at most {PARAXIAL_PHASE:g}; use angular_spectrum, or a coarser pitch"
        )
