"""Masks: what a thin element does to light, as a complex transmission on any grid fine enough to hold it.

A mask is a map of cells of known pitch, cell (H // 2, W // 2) on the optical axis; outside the map it is opaque. It
is thin: a ray leaves where it came in, and the transmission does not depend on the angle of incidence.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.physics.fft import COMPLEX
from lensless.physics.propagation import Grid

# Share of a phase mask's cells that may be steeper than its stated steepness.
MOST_ALIASED = 1e-3


class Mask(nn.Module, ABC):
    """t(x, lambda): the field behind the mask divided by the field before it, |t| <= 1.

    shape: cells (H, W). pitch: (dy, dx) of a cell in metres. Raises InputError unless all are positive.
    """

    def __init__(self, shape: tuple[int, int], *, pitch: tuple[float, float]):
        super().__init__()
        self.cells = Grid(shape, pitch)

    def grid(self, pitch: tuple[float, float]) -> Grid:
        """The smallest grid of ``pitch`` (metres), with an odd number of samples a side, that covers the mask."""
        shape = tuple(
            2 * math.ceil((n // 2 + 0.5) * cell / p - 0.5 - 1e-6) + 1
            for n, cell, p in zip(self.cells.shape, self.cells.pitch, pitch, strict=True)
        )
        return Grid(shape, pitch)

    def aperture(self, grid: Grid) -> Tensor:
        """Share of each sample's cell that lies on the mask's map, (H, W) of ``grid``, float64."""
        return area_resample(torch.ones(self.cells.shape, dtype=torch.float64), self.cells, grid)

    @abstractmethod
    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        """Complex t (..., H, W) on ``grid`` at one wavelength (metres), differentiable in the mask's parameters.

        Raises InputError if the grid is too coarse for the mask.
        """

    def steepness(self, grid: Grid, wavelength: float) -> float:
        """How fast the mask alone turns the phase along y or x, in waves a sample of ``grid``; 0 if it does not."""
        return 0.0


class AmplitudeMask(Mask):
    """t = a, the same at every wavelength; a sample of the grid holds the mean of a over its cell.

    amplitude: (..., H, W) float32 or float64 in [0, 1], the square root of a transmittance; leading axes are masks that
    share the geometry. pitch: (dy, dx) of its cells in metres. trainable: let gradients reach it (project back
    into [0, 1] after a step). float32 gives complex64. Raises InputError on values outside [0, 1].
    """

    def __init__(self, amplitude: Tensor, *, pitch: tuple[float, float], trainable: bool = False):
        amplitude = _as_map(amplitude, "amplitude")
        low, high = float(amplitude.min()), float(amplitude.max())
        if low < 0 or high > 1:
            raise InputError(f"amplitude: expected values in [0, 1], got {low:.4g} to {high:.4g}; divide by the peak")
        super().__init__(amplitude.shape[-2:], pitch=pitch)
        self.amplitude = nn.Parameter(amplitude, requires_grad=trainable)

    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        amplitude = area_resample(self.amplitude, self.cells, grid)
        return amplitude.to(COMPLEX[amplitude.dtype])


class PhaseMask(Mask):
    """t = exp(2 pi i (n(lambda) - 1) h / lambda) on the mask's map; heights are interpolated linearly.

    height: (..., H, W) float32 or float64 in metres; leading axes are masks that share the geometry. pitch: (dy, dx) of
    its cells in metres. index: refractive index, or Cauchy's (A, B) with n = A + B / lambda^2, B in m^2.
    trainable: let gradients reach the height. float32 gives complex64. ``transmission`` raises InputError on an
    index outside [1, 5], and where over 0.1 % of the mask lies on slopes steeper than half a wave a sample; steps
    (lens borders, multi-level masks) are no slopes.
    """

    def __init__(
        self,
        height: Tensor,
        *,
        pitch: tuple[float, float],
        index: float | tuple[float, float],
        trainable: bool = False,
    ):
        height = _as_map(height, "height")
        super().__init__(height.shape[-2:], pitch=pitch)
        self.height = nn.Parameter(height, requires_grad=trainable)
        self.index = index

    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        steepness = self.steepness(grid, wavelength)
        if steepness > 0.5:
            finest = tuple(float(f"{p / (2 * steepness):.3g}") for p in grid.pitch)
            raise InputError(
                f"height: rises by {steepness:.3g} waves a sample of {grid.pitch} m, expected at most half a wave; use "
                f"a grid of at most {finest} m, make oversample {2 * steepness:.3g} times what it is"
            )
        phase = linear_resample(self.height * (2 * math.pi * self._waves(wavelength)), self.cells, grid)
        return torch.polar(self.aperture(grid).to(phase).expand_as(phase), phase)

    def steepness(self, grid: Grid, wavelength: float) -> float:
        steepest = 0.0
        for axis, cell, pitch in zip((-2, -1), self.cells.pitch, grid.pitch, strict=True):
            rise = self.height.detach().diff(dim=axis)
            if rise.shape[axis] < 2:
                continue
            before, after = rise.narrow(axis, 0, rise.shape[axis] - 1), rise.narrow(axis, 1, rise.shape[axis] - 1)
            slope = torch.minimum(before.abs(), after.abs()).mul_(before * after > 0).flatten()
            typical = slope.topk(int(MOST_ALIASED * slope.numel()) + 1).values[-1]
            steepest = max(steepest, float(typical) * pitch / cell)
        return steepest * self._waves(wavelength)

    def _waves(self, wavelength: float) -> float:
        """Waves of delay a metre of height."""
        return (refractive_index(self.index, wavelength) - 1) / wavelength


def refractive_index(index: float | tuple[float, float], wavelength: float) -> float:
    """n, or Cauchy's n = A + B / lambda^2 with B in m^2. Raises InputError unless 1 <= n <= 5."""
    a, b = (index, 0.0) if isinstance(index, int | float) else index
    n = a + b / wavelength**2
    if not 1 <= n <= 5:
        raise InputError(
            f"index: expected n between 1 and 5 at {wavelength:.4g} m, got {n:.4g} from {index}; is B in m^2 "
            "(1 um^2 = 1e-12 m^2)?"
        )
    return n


def area_resample(values: Tensor, cells: Grid, grid: Grid) -> Tensor:
    """Mean over each sample's cell of the piecewise constant map (..., h, w), zero outside: (..., H, W).

    Raises InputError if a cell of the map is smaller than a sample of the grid.
    """
    for axis, (ratio, position) in zip((-2, -1), _positions(cells, grid, values.device), strict=True):
        edge = position + ratio / 2 + 0.5
        upper = edge.floor()
        share = ((edge - upper) / ratio).clamp(max=1)
        last = values.shape[axis] - 1
        lower_share = (1 - share) * ((upper >= 1) & (upper <= last + 1))
        upper_share = share * ((upper >= 0) & (upper <= last))
        values = _two_taps(values, axis, upper, lower_share, upper_share)
    return values


def linear_resample(values: Tensor, cells: Grid, grid: Grid) -> Tensor:
    """Linear interpolation between the cell centres of a map (..., h, w), constant beyond them: (..., H, W).

    Raises InputError if a cell of the map is smaller than a sample of the grid.
    """
    for axis, (_, position) in zip((-2, -1), _positions(cells, grid, values.device), strict=True):
        lower = position.floor()
        share = position - lower
        values = _two_taps(values, axis, lower + 1, 1 - share, share)
    return values


def _positions(cells: Grid, grid: Grid, device: torch.device) -> list[tuple[float, Tensor]]:
    """For each axis: pitch of the grid in cells, and positions of its samples in cell indices."""
    if any(p > cell * (1 + 1e-6) for p, cell in zip(grid.pitch, cells.pitch, strict=True)):
        raise InputError(
            f"pitch: the mask's cells of {cells.pitch} m are finer than the grid of {grid.pitch} m can hold; expected "
            "a grid at least as fine, raise oversample"
        )
    return [
        (p / cell, x.flatten() / cell + n // 2)
        for p, x, cell, n in zip(grid.pitch, grid.coordinates(device), cells.pitch, cells.shape, strict=True)
    ]


def _two_taps(values: Tensor, axis: int, upper: Tensor, lower_share: Tensor, upper_share: Tensor) -> Tensor:
    """lower_share * values[upper - 1] + upper_share * values[upper] along ``axis``, indices held at the borders."""
    last = values.shape[axis] - 1
    along = (-1, 1) if axis == -2 else (-1,)
    lower_share, upper_share = (share.to(values.dtype).reshape(along) for share in (lower_share, upper_share))
    upper = upper.long()
    below = values.index_select(axis, (upper - 1).clamp(0, last))
    return below * lower_share + values.index_select(axis, upper.clamp(0, last)) * upper_share


def _as_map(values: Tensor, name: str) -> Tensor:
    values = torch.as_tensor(values).detach().clone()
    if values.ndim < 2 or not values.numel() or values.dtype not in COMPLEX:
        raise InputError(f"{name}: expected float32 or float64 (..., H, W), got {values.dtype} {tuple(values.shape)}")
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"{name}: expected finite values, got {int((~torch.isfinite(values)).sum())} NaN or infinite")
    return values
