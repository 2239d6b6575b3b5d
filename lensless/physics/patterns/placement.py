"""Places for discs: at random and clear of one another, and which disc a place belongs to."""

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.patterns.limits import require_positive
from lensless.physics.propagation import Grid

CANDIDATES = 4_000


def scatter_discs(count: int, *, radius: float, size: tuple[float, float], gap: float = 0.0, seed: int) -> Tensor:
    """Random centres (count, 2) as (y, x), metres, of discs in a rectangle with edges at least ``gap`` apart.

    Random sequential placement: each disc goes to the first of 4000 uniform candidates c with
    |c - c_k| >= 2 radius + gap for all k placed before. radius, gap: metres. size: (height, width) of the rectangle
    around the origin, metres. Raises InputError where a disc finds no place.
    """
    require_positive("radius", radius)
    room = torch.tensor(size, dtype=torch.float64) / 2 - radius
    generator = torch.Generator().manual_seed(seed)
    centres = torch.empty(count, 2, dtype=torch.float64)
    for placed in range(count):
        candidates = (2 * torch.rand(CANDIDATES, 2, generator=generator, dtype=torch.float64) - 1) * room
        free = (torch.cdist(candidates, centres[:placed]) >= 2 * radius + gap).all(1).nonzero()
        if bool((room < 0).any()) or not len(free):
            raise InputError(
                f"count: only {placed} of {count} discs of radius {radius:.3g} m with gaps of {gap:.3g} m found room "
                f"in {size[0]:.3g} x {size[1]:.3g} m; expected fewer, smaller or closer ones"
            )
        centres[placed] = candidates[free[0, 0]]
    return centres


def nearest_disc(grid: Grid, centres: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
    """For every sample r of the grid: the disc k with least |r - c_k| - a_k, and |r - c_k|^2, each (H, W).

    centres: (N, 2) as (y, x), metres; the squared distance is differentiable in them. radii: (N,), metres.
    """
    y, x = grid.coordinates(centres.device)
    owner = torch.zeros(grid.shape, dtype=torch.long, device=centres.device)
    with torch.no_grad():
        least = torch.full(grid.shape, torch.inf, dtype=y.dtype, device=centres.device)
        for k, ((cy, cx), radius) in enumerate(zip(centres, radii, strict=True)):
            clearance = ((y - cy) ** 2 + (x - cx) ** 2).sqrt_().sub_(radius)
            owner[clearance < least] = k
            least = torch.minimum(least, clearance)
    squared = (y - centres[owner, 0]) ** 2 + (x - centres[owner, 1]) ** 2
    return owner, squared
