"""Plano-convex lenses on one plate."""

import torch
from torch import Tensor

from lensless.errors import InputError, require
from lensless.physics.patterns.limits import require_positive
from lensless.physics.patterns.placement import nearest_disc
from lensless.physics.propagation import Grid


def lens_array(grid: Grid, *, centres: Tensor, focal_lengths: Tensor, radii: Tensor, index: float) -> Tensor:
    """Height map, metres, of round plano-convex lenses with spherical faces on a flat plate.

    h(r) = sqrt(R^2 - r^2) - sqrt(R^2 - a^2) for r < a, else 0, with R = (n - 1) f:

    the lens-maker's formula for one flat face, 1 / f = (n - 1) / R. Where lenses overlap, a place belongs to the
    one whose edge is farther off. centres: (N, 2) as (y, x), metres. focal_lengths f, radii a: (N,), metres.
    index: n of the lens, in air. Returns (H, W), differentiable in centres, focal lengths and radii.
    Raises InputError for a lens that is wider than its sphere.
    """
    curvature = _curvature_radius(focal_lengths, index)
    if bool((radii > curvature).any()):
        raise InputError(
            f"radii: a lens is at most as wide as its sphere, {curvature.tolist()} m = (n - 1) f; "
            f"got {radii.tolist()} m"
        )
    owner, squared = nearest_disc(grid, centres, radii)
    return _cap(squared, curvature[owner], radii[owner])


def voronoi_lenslets(grid: Grid, *, centres: Tensor, focal_length: float | Tensor, index: float) -> Tensor:
    """Height map, metres, of plano-convex lenses of one focal length that fill the plate.

    h(r) = max_k sqrt(R^2 - |r - c_k|^2) up to a constant (least height 0), R = (n - 1) f:

    equal spheres meet on the edges of the Voronoi diagram of their centres. Arguments as in :func:`lens_array`.
    Returns (H, W), differentiable in centres and focal length.
    Raises InputError where the nearest centre is farther than R.
    """
    curvature = _curvature_radius(focal_length, index)
    _, squared = nearest_disc(grid, centres, centres.new_zeros(len(centres)))
    farthest = squared.max().sqrt()
    if bool(farthest > curvature):
        raise InputError(
            f"centres: a place {float(farthest):.3g} m from the nearest centre is outside every sphere of "
            f"radius (n - 1) f = {float(curvature):.3g} m; take more lenses or a longer focal length"
        )
    return _cap(squared, curvature, farthest)


def _curvature_radius(focal_length: float | Tensor, index: float) -> Tensor:
    require_positive("focal_lengths", focal_length)
    require(index > 1, f"index: expected above 1, that of the air around, got {index}")
    return (index - 1) * torch.as_tensor(focal_length, dtype=torch.float64)


def _cap(squared: Tensor, curvature: Tensor, radius: Tensor) -> Tensor:
    """sqrt(R^2 - r^2) - sqrt(R^2 - a^2) without the cancellation; 0 where r > a."""
    rise = (radius**2 - squared).clamp_min(0)
    base = (curvature**2 - radius**2).clamp_min(0)
    return rise / ((base + rise).sqrt() + base.sqrt())
