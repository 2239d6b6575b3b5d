"""A liquid-crystal display as a programmable amplitude mask."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.physics.fft import COMPLEX
from lensless.physics.masks import Mask
from lensless.physics.patterns.cells import draw_cells
from lensless.physics.propagation import Grid

RGB_STRIPES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class LCD:
    """Sub-pixels (cells) with a transparent opening each, dead space around it, and a colour filter by row.

    Cell (i, j) set to v in [0, 1] lets through the intensity

        T = f(i mod n, lambda) (1 / k + (1 - 1 / k) q(v))

    with f the colour filter, k the contrast and q the rounding to 2^bits levels. The amplitude sqrt(T) fills the
    opening; dead space is opaque. Where cells lie: :func:`~lensless.physics.patterns.cells.draw_cells`.

    cell: pitch (y, x) of the sub-pixels, metres. opening: (height, width) of the transparent part, metres.
    colour_filter: n rows of L transmittances in [0, 1] at the ``wavelengths`` (L,) in metres, linear in between; the
    rows repeat down the display. contrast: intensity of v = 1 over that of v = 0, above 1. bits: of the display's
    levels, None for continuous ones. rotation: radians. offset: (y, x) of cell (I // 2, J // 2), metres.
    Lengths and angles may be tensors that require gradients; rounding passes gradients straight through.
    Raises InputError for a contrast, filter or bits out of range.

    Defaults: the Adafruit 1.8" TFT with ST7735R. Its data sheet (JD-T1800) gives 128 x 160 pixels of three
    sub-pixels on 28.03 x 35.04 mm, hence the pitch; a sub-pixel is open over 0.06 x 0.18 mm (Bezzam et al.,
    slm-controller). Contrast and filters are not published: 500 and pure colours are assumed.
    """

    cell: tuple[float, float] | Tensor = (28.03e-3 / 384, 35.04e-3 / 160)
    opening: tuple[float, float] | Tensor = (0.06e-3, 0.18e-3)
    colour_filter: tuple[tuple[float, ...], ...] = RGB_STRIPES
    wavelengths: tuple[float, ...] = (620e-9, 540e-9, 460e-9)
    contrast: float = 500.0
    bits: int | None = 8
    rotation: float | Tensor = 0.0
    offset: tuple[float, float] | Tensor = (0.0, 0.0)

    def __post_init__(self):
        if not 1 < self.contrast < math.inf:
            raise InputError(f"contrast: expected a finite ratio above 1, got {self.contrast}")
        if self.bits is not None and not 1 <= self.bits <= 16:
            raise InputError(f"bits: expected 1 to 16, or None for continuous values, got {self.bits}")
        for row in self.colour_filter:
            if len(row) != len(self.wavelengths) or not all(0 <= transmittance <= 1 for transmittance in row):
                raise InputError(
                    f"colour_filter: expected rows of {len(self.wavelengths)} transmittances in [0, 1], one for each "
                    f"of the wavelengths, got {row}"
                )

    @property
    def fill_factor(self) -> float:
        """Open share of the display's area: opening / cell."""
        return math.prod(_numbers(self.opening)) / math.prod(_numbers(self.cell))

    def amplitude(self, values: Tensor, grid: Grid, wavelength: float) -> Tensor:
        """Amplitude transmission (..., H, W) on ``grid`` at one wavelength (metres) for values (..., I, J).

        Any number of patterns at once. Raises InputError for values outside [0, 1].
        """
        return self._draw(self.cell_amplitudes(values, wavelength), grid)

    def shadow(self, values: Tensor, grid: Grid) -> Tensor:
        """The PSF of geometrical optics: light straight behind the display, (..., L, H, W), for values (..., I, J).

            psf_l(r) = sum_ij T_ij(lambda_l) (share of sample r that lies in the opening of cell (i, j))

        at each of the display's wavelengths, in units of the light that falls on a sample. Diffraction, which
        :func:`~lensless.physics.psf.point_source_psf` computes, blurs it by about sqrt(lambda d) on a sensor d away.
        Raises InputError for values outside [0, 1].
        """
        return self._draw(self._opened(values), grid, row_factors=self._filters(values, self.wavelengths))

    def cell_amplitudes(self, values: Tensor, wavelength: float) -> Tensor:
        """sqrt(T) of every opening, (..., I, J), at one wavelength (metres) for values (..., I, J)."""
        opened = self._opened(values)
        return self._filters(values, (wavelength,)).sqrt().mT * opened.sqrt()

    def _filters(self, values: Tensor, wavelengths: Sequence[float]) -> Tensor:
        """Transmittance of the colour filter at wavelengths (L,) in every row of values (..., I, J), (L, I)."""
        order = np.argsort(self.wavelengths)
        at = np.asarray(self.wavelengths)[order]
        rows = np.stack([np.interp(wavelengths, at, np.asarray(row)[order]) for row in self.colour_filter])
        return torch.from_numpy(rows[np.arange(values.shape[-2]) % len(rows)].T).to(values)

    def _opened(self, values: Tensor) -> Tensor:
        """Transmittance of every opening without its colour filter."""
        lowest, highest = (float(value) for value in values.detach().aminmax())
        if values.ndim < 2 or not (lowest >= 0 and highest <= 1):
            raise InputError(
                f"values: expected (..., rows, columns) in [0, 1], got {tuple(values.shape)} from {lowest:.3g} to "
                f"{highest:.3g}"
            )
        leak = 1 / self.contrast
        return leak + (1 - leak) * self._quantised(values)

    def _draw(self, cells: Tensor, grid: Grid, *, row_factors: Tensor | None = None) -> Tensor:
        return draw_cells(
            cells,
            grid,
            cell=self.cell,
            opening=self.opening,
            rotation=self.rotation,
            offset=self.offset,
            row_factors=row_factors,
        )

    def _quantised(self, values: Tensor) -> Tensor:
        if self.bits is None:
            return values
        steps = 2**self.bits - 1
        return values + ((values * steps).round() / steps - values).detach()


class LCDMask(Mask):
    """An :class:`LCD` that shows one pattern or many: t = its amplitude, colour by colour.

    values: (..., I, J) in [0, 1], one a cell; leading axes are patterns on the same display. lcd: the display.
    trainable: let gradients reach the values (clamp them to [0, 1] after a step). float32 gives complex64.
    ``transmission`` raises InputError for values outside [0, 1].

    Bezzam, Perron, Vetterli, "Towards robust and generalizable lensless imaging with modular learned
    reconstruction", IEEE TCI 2025 (the DigiCam).
    """

    def __init__(self, values: Tensor, *, lcd: LCD, trainable: bool = False):
        super().__init__(values.shape[-2:], pitch=_numbers(lcd.cell))
        self.values = nn.Parameter(values.detach().clone(), requires_grad=trainable)
        self.lcd = lcd

    def grid(self, pitch: tuple[float, float]) -> Grid:
        """The smallest odd-sized grid of ``pitch`` (metres) around the axis that holds the turned, offset display."""
        rotation, offset = _numbers(self.lcd.rotation), _numbers(self.lcd.offset)
        cos, sin = abs(math.cos(rotation)), abs(math.sin(rotation))
        height, width = ((n // 2 + 0.5) * c for n, c in zip(self.cells.shape, self.cells.pitch, strict=True))
        reach = (cos * height + sin * width + abs(offset[0]), sin * height + cos * width + abs(offset[1]))
        shape = (2 * math.ceil(r / p - 0.5 - 1e-6) + 1 for r, p in zip(reach, pitch, strict=True))
        return Grid(tuple(shape), pitch)

    def aperture(self, grid: Grid) -> Tensor:
        """Share of each sample that lies on the cells in use, openings and dead space, (H, W), float64."""
        ones = torch.ones(self.cells.shape, dtype=torch.float64, device=self.values.device)
        lcd = self.lcd
        with torch.no_grad():
            return draw_cells(ones, grid, cell=lcd.cell, rotation=lcd.rotation, offset=lcd.offset)

    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        amplitude = self.lcd.amplitude(self.values, grid, wavelength)
        return amplitude.to(COMPLEX[amplitude.dtype])


def subpixels(frames: Tensor) -> Tensor:
    """Cell values (..., 3 rows, columns) of RGB frames (..., rows, columns, 3), red above green above blue."""
    return frames.movedim(-1, -2).flatten(-3, -2)


def random_pattern(seed: int, shape: tuple[int, int]) -> Tensor:
    """Independent values, uniform in [0, 1), for (rows, columns) cells; float32, a function of ``seed``."""
    return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))


def _numbers(value: float | tuple[float, float] | Tensor):
    return torch.as_tensor(value, dtype=torch.float64).detach().tolist()
