"""A figure for one mask: what it looks like, and how good a PSF it makes, alone or beside a measured one."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lensless.evaluation.figures import as_picture, white_level
from lensless.images.gamma import linear_to_srgb
from lensless.physics.mask_report import autocorrelation, condition, effective_rank, mtf, peak_to_sidelobe
from lensless.physics.mask_shapes import LensMask
from lensless.physics.masks import Mask, PhaseMask
from lensless.physics.propagation import Grid

LENGTH_UNIT = 1e-3


@dataclass(frozen=True)
class Spot:
    """A PSF (C, h, w), the pitch (dy, dx) of its pixels in metres, and its name; numbers are of the channels' mean."""

    name: str
    psf: Tensor
    pitch: tuple[float, float]

    @property
    def gray(self) -> Tensor:
        return self.psf.mean(0)

    def numbers(self) -> dict[str, float]:
        """What :mod:`~lensless.physics.mask_report` says of it."""
        return {
            "peak_to_sidelobe": peak_to_sidelobe(self.gray),
            "effective_rank": effective_rank(self.gray),
            "condition": condition(self.gray),
        }


def mtf_difference_db(spot: Spot, reference: Spot, *, lowest: float) -> float:
    """Root mean square of 20 log10(MTF / MTF_reference) over the rings that both have, from ``lowest`` (1 / m) on.

    Below ``lowest`` it is the size of the aperture that decides, not its surface.
    """
    frequency, modulation = mtf(spot.gray, spot.pitch)
    other_frequency, other = mtf(reference.gray, reference.pitch)
    shared = (frequency >= lowest) & (frequency <= other_frequency[-1])
    above = torch.searchsorted(other_frequency, frequency[shared]).clamp(1, len(other) - 1)
    share = (frequency[shared] - other_frequency[above - 1]) / (other_frequency[above] - other_frequency[above - 1])
    decibels = 20 * torch.lerp(other[above - 1].log10(), other[above].log10(), share)
    return float((20 * modulation[shared].log10() - decibels).square().mean().sqrt())


def mask_figure(mask: Mask, grid: Grid, wavelengths: tuple[float, ...], spots: list[Spot]) -> Figure:
    """The mask as drawn on ``grid``, the first PSF's picture, autocorrelation and MTF, and a row for each further PSF.

    wavelengths: metres, at which an amplitude mask's colour is shown; three are red, green and blue.
    """
    rows = [["mask", f"psf {k}", f"autocorrelation {k}", "mtf"] for k in range(len(spots))]
    figure = Figure(figsize=(15, 0.6 + 3 * len(spots)), layout="constrained")
    axes = figure.subplot_mosaic(rows, width_ratios=[1.3, 1.3, 1.3, 1])
    draw_mask(axes["mask"], mask, grid, wavelengths)
    for k, spot in enumerate(spots):
        picture_axis, correlation_axis = axes[f"psf {k}"], axes[f"autocorrelation {k}"]
        draw_psf(picture_axis, spot)
        correlation = autocorrelation(spot.gray).clamp_min(0).sqrt()
        extent = _extent(Grid(tuple(correlation.shape), spot.pitch))
        correlation_axis.imshow(correlation.numpy(), cmap="magma", extent=extent)
        correlation_axis.set_xlim(extent[0] / 4, extent[1] / 4)
        correlation_axis.set_ylim(extent[2] / 4, extent[3] / 4)
        ratio = spot.numbers()["peak_to_sidelobe"]
        correlation_axis.set_title(f"square root of autocorrelation\npeak / sidelobe {ratio:.3g}", fontsize=10)
        frequency, modulation = mtf(spot.gray, spot.pitch)
        axes["mtf"].semilogy((frequency * LENGTH_UNIT).numpy(), modulation.numpy(), label=spot.name)
    axes["mtf"].set_title("MTF", fontsize=10)
    axes["mtf"].set_xlabel("cycles / mm")
    axes["mtf"].grid(alpha=0.3, which="both")
    axes["mtf"].legend(fontsize=8)
    return figure


@torch.no_grad()
def draw_mask(axis: Axes, mask: Mask, grid: Grid, wavelengths: tuple[float, ...]) -> None:
    """Height in micrometres where the mask has one, else the light behind it, colour by colour."""
    extent = _extent(grid)
    if isinstance(mask, PhaseMask | LensMask):
        height = mask.height(grid) if isinstance(mask, LensMask) else mask.height
        shown = axis.imshow((height * 1e6).numpy(), cmap="viridis", extent=extent)
        axis.figure.colorbar(shown, ax=axis, label="um", shrink=0.7)
        axis.set_title("height of the mask", fontsize=10)
    else:
        light = torch.stack([mask.transmission(grid, wavelength).abs().square() for wavelength in wavelengths])
        axis.imshow(_shown(light), cmap="gray", extent=extent, vmin=0, vmax=1)
        axis.set_title("light behind the mask", fontsize=10)
    axis.set_xlabel("mm")


def draw_psf(axis: Axes, spot: Spot) -> None:
    """The PSF in its colours, over millimetres."""
    picture = as_picture(spot.psf)
    extent = _extent(Grid(tuple(picture.shape[-2:]), spot.pitch))
    axis.imshow(_shown(picture / white_level(picture)), cmap="gray", extent=extent, vmin=0, vmax=1)
    axis.set_title(f"{spot.name} PSF", fontsize=10)
    axis.set_xlabel("mm")


def _shown(light: Tensor) -> np.ndarray:
    return linear_to_srgb(as_picture(light).clamp(0, 1)).movedim(0, -1).numpy()


def _extent(grid: Grid) -> tuple[float, float, float, float]:
    """left, right, bottom, top of the grid's cells in millimetres, for imshow."""
    (top, bottom), (left, right) = (
        ((-(n // 2) - 0.5) * p / LENGTH_UNIT, (n - n // 2 - 0.5) * p / LENGTH_UNIT)
        for n, p in zip(grid.shape, grid.pitch, strict=True)
    )
    return left, right, bottom, top
