"""Round holes in an opaque sheet."""

from torch import Tensor

from lensless.physics.patterns.limits import require_feature
from lensless.physics.patterns.placement import nearest_disc
from lensless.physics.propagation import Grid


def pinholes(grid: Grid, *, centres: Tensor, radius: float) -> Tensor:
    """Transmission of round holes, t = clip((a - d) / p + 1/2, 0, 1), d the distance to the nearest centre.

    The edge is one sample (pitch p) wide, so t is the open share of a sample to first order, and differentiable
    in the centres. centres: (N, 2) as (y, x), metres. radius: a, metres. Returns (H, W).
    Raises InputError for a hole less than two samples across.
    """
    require_feature("radius", 2 * radius, grid)
    pitch = max(grid.pitch)
    _, squared = nearest_disc(grid, centres, centres.new_full((len(centres),), radius))
    distance = squared.clamp_min(1e-6 * pitch**2).sqrt()
    return ((radius - distance) / pitch + 0.5).clamp(0, 1)
