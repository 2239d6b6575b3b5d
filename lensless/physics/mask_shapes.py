"""Masks of a few numbers (zone aperture, pinholes, lenses), drawn anew on whatever grid the light is on.

They have no cells, hence no resolution of their own, and ``trainable`` lets gradients reach their numbers. Each class
is the ``_target_`` of a file in ``configs/mask``. size: (height, width) in metres around the axis; opaque outside.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.physics.fft import COMPLEX
from lensless.physics.masks import Mask
from lensless.physics.patterns.lenslets import lens_array, voronoi_lenslets
from lensless.physics.patterns.pinholes import pinholes
from lensless.physics.patterns.placement import nearest_disc
from lensless.physics.patterns.zone import fresnel_zone_aperture
from lensless.physics.propagation import Grid

Places = Tensor | Sequence[tuple[float, float]]


class ZoneMask(Mask):
    """A :func:`~lensless.physics.patterns.zone.fresnel_zone_aperture`; radius in metres and phase are trainable."""

    def __init__(
        self,
        size: tuple[float, float],
        *,
        radius: float,
        phase: float = 0.0,
        binary: bool = False,
        trainable: bool = False,
    ):
        super().__init__((1, 1), pitch=size)
        self.radius = _parameter(radius, trainable)
        self.phase = _parameter(phase, trainable)
        self.binary = binary

    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        amplitude = fresnel_zone_aperture(grid, radius=self.radius, phase=self.phase, binary=self.binary)
        return (amplitude * self.aperture(grid).to(amplitude)).to(COMPLEX[self.radius.dtype])


class PinholeMask(Mask):
    """:func:`~lensless.physics.patterns.pinholes.pinholes` of one radius (metres) at (y, x) centres; these train."""

    def __init__(self, size: tuple[float, float], *, centres: Places, radius: float, trainable: bool = False):
        super().__init__((1, 1), pitch=size)
        self.centres = _places(centres, trainable)
        self.radius = radius

    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        amplitude = pinholes(grid, centres=self.centres, radius=self.radius)
        return (amplitude * self.aperture(grid).to(amplitude)).to(COMPLEX[self.centres.dtype])


class LensMask(Mask):
    """t = exp(2 pi i (n - 1) h / lambda), h the height of plano-convex lenses on a clear plate.

    centres: (N, 2) as (y, x), metres. focal_lengths: metres, taken in turn by the lenses. radius: of round lenses,
    metres (:func:`~lensless.physics.patterns.lenslets.lens_array`), or None for lenses of one focal length that
    fill the plate (:func:`~lensless.physics.patterns.lenslets.voronoi_lenslets`). index: n at every wavelength.
    Centres and focal lengths train. Raises InputError for a plate filled with several focal lengths and, in
    ``transmission``, where the lenses turn the phase by more than half a wave a sample.
    """

    def __init__(
        self,
        size: tuple[float, float],
        *,
        centres: Places,
        focal_lengths: Sequence[float],
        radius: float | None,
        index: float,
        trainable: bool = False,
    ):
        if not focal_lengths or (radius is None and len(focal_lengths) > 1):
            raise InputError(f"focal_lengths: expected one, or several for round lenses, got {focal_lengths}")
        super().__init__((1, 1), pitch=size)
        self.centres = _places(centres, trainable)
        self.focal_lengths = _parameter(focal_lengths, trainable)
        self.radius = radius
        self.index = index

    def height(self, grid: Grid) -> Tensor:
        """Height of the plate at the grid's samples, metres, (H, W)."""
        if self.radius is None:
            return voronoi_lenslets(grid, centres=self.centres, focal_length=self.focal_lengths[0], index=self.index)
        taken = torch.arange(len(self.centres)) % len(self.focal_lengths)
        return lens_array(
            grid,
            centres=self.centres,
            focal_lengths=self.focal_lengths[taken],
            radii=self.centres.new_full((len(self.centres),), self.radius),
            index=self.index,
        )

    def transmission(self, grid: Grid, wavelength: float) -> Tensor:
        steepness = self.steepness(grid, wavelength)
        if steepness > 0.5:
            raise InputError(
                f"focal_lengths: the lenses turn the phase by {steepness:.3g} waves a sample of {grid.pitch} m, "
                f"expected at most half a wave; make oversample {2 * steepness:.3g} times what it is"
            )
        phase = self.height(grid) * (2 * math.pi * (self.index - 1) / wavelength)
        return torch.polar(self.aperture(grid).to(phase), phase).to(COMPLEX[self.centres.dtype])

    @torch.no_grad()
    def steepness(self, grid: Grid, wavelength: float) -> float:
        reach = self.radius
        if reach is None:
            coarse = Grid((256, 256), tuple(length / 256 for length in self.cells.pitch))
            _, squared = nearest_disc(coarse, self.centres, self.centres.new_zeros(len(self.centres)))
            reach = float(squared.max().sqrt())
        curvature = (self.index - 1) * float(self.focal_lengths.min())
        slope = reach / math.sqrt(curvature**2 - reach**2) if reach < curvature else math.inf
        return slope * max(grid.pitch) * (self.index - 1) / wavelength


def _places(centres: Places, trainable: bool) -> nn.Parameter:
    places = _parameter(centres, trainable)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise InputError(f"centres: expected (N, 2) as (y, x) in metres, got {tuple(places.shape)}")
    return places


def _parameter(value: float | Places | Sequence[float], trainable: bool) -> nn.Parameter:
    value = torch.as_tensor(value, dtype=torch.float32).detach().clone()
    return nn.Parameter(value, requires_grad=trainable)
