"""Contour patterns: the PSF that a PhlatCam aims for."""

import torch
from torch import Tensor

from lensless.physics.patterns.diffuser import gaussian_field
from lensless.physics.patterns.limits import require_feature
from lensless.physics.propagation import Grid


def contour(grid: Grid, *, correlation_length: float, line_width: float, seed: int) -> Tensor:
    """Thin closed lines, the zero contours of a :func:`~lensless.physics.patterns.diffuser.gaussian_field` g.

    t = clip((w / 2 - |g| / |grad g|) / p + 1/2, 0, 1): within half the line width w of the contour, to first order
    in the distance, with edges one sample (pitch p) wide. Lines in all directions leave no gap in the spectrum, and
    most of the sensor stays dark. (Boominathan et al. draw the edges of Perlin noise.)
    correlation_length, line_width: metres. Returns (H, W).
    Raises InputError for lines less than two samples wide.

    V. Boominathan et al., "PhlatCam: designed phase-mask based thin lensless camera", IEEE TPAMI 42, 2020.
    """
    require_feature("line_width", line_width, grid)
    pitch = max(grid.pitch)
    field = gaussian_field(grid, correlation_length=correlation_length, seed=seed)
    steepness = torch.hypot(*torch.gradient(field, spacing=list(grid.pitch))).clamp_min(1e-12 / pitch)
    distance = field.abs() / steepness
    return ((line_width / 2 - distance) / pitch + 0.5).clamp(0, 1)
