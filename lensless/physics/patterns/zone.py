"""The Fresnel zone aperture."""

import math

from torch import Tensor

from lensless.errors import InputError
from lensless.physics.patterns.limits import require_positive
from lensless.physics.propagation import Grid


def fresnel_zone_aperture(
    grid: Grid,
    *,
    radius: float | Tensor,
    phase: float | Tensor = 0.0,
    binary: bool = False,
) -> Tensor:
    """Amplitude t(r) whose square, and so its shadow, is T(r) = (1 + cos(pi r^2 / r_1^2 + phase)) / 2.

    That is t = |cos(pi r^2 / (2 r_1^2) + phase / 2)|; if ``binary``, t = 1 where T >= 1/2 and 0 elsewhere. Fringes at
    the distance r from the axis are r_1^2 / r apart, finest at the border. radius: r_1 of the first zone, metres.
    phase: radians. Returns (H, W), differentiable in radius and phase unless binary.
    Raises InputError where the finest fringe along an axis spans less than two samples.

    K. Shimano et al., "Lensless light-field imaging with Fresnel zone aperture: quasi-coherent coding",
    Appl. Opt. 57, 2018.
    """
    require_positive("radius", radius)
    least = max(math.sqrt(extent * pitch) for extent, pitch in zip(grid.extent, grid.pitch, strict=True))
    if radius < least:
        raise InputError(
            f"radius: a first zone of {float(radius):.3g} m makes fringes at the border finer than the grid can "
            f"hold; expected at least {least:.3g} m, or a smaller pitch"
        )
    y, x = grid.coordinates(radius.device if isinstance(radius, Tensor) else None)
    angle = math.pi * (y**2 + x**2) / radius**2 + phase
    return (angle.cos() >= 0).double() if binary else (angle / 2).cos().abs()
