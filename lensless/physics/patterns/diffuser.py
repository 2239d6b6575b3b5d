"""Random smooth surfaces: diffusers, tape."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lensless.physics.patterns.limits import require_feature, require_positive
from lensless.physics.propagation import Grid


def gaussian_field(grid: Grid, *, correlation_length: float, seed: int) -> Tensor:
    """Periodic Gaussian random field of mean 0, variance 1 and autocorrelation C(r) = exp(-r^2 / l^2).

    White noise filtered by a Gaussian of standard deviation l / 2, then scaled. correlation_length l:
    metres. Returns (H, W). Raises InputError for l below two samples.
    """
    require_feature("correlation_length", correlation_length, grid)
    noise = np.random.default_rng(seed).standard_normal(grid.shape)
    widths = [correlation_length / (2 * pitch) for pitch in grid.pitch]
    field = torch.from_numpy(gaussian_filter(noise, widths, mode="wrap"))
    return (field - field.mean()) / field.std(correction=0)


def diffuser(grid: Grid, *, correlation_length: float, slope: float, seed: int) -> Tensor:
    """Height map of a diffuser, metres: a Gaussian random field with the RMS slope sqrt(<|grad h|^2>).

    h = s l / 2 times a field of unit variance, as <|grad h|^2> = -laplace C(0) = 4 <h^2> / l^2 for
    C(r) = <h^2> exp(-r^2 / l^2). Light is bent by about (n - 1) s; its caustics are sharpest around
    z = l / (sqrt(3) (n - 1) s), where the RMS curvature along an axis, sqrt(3) s / l, focuses.
    correlation_length l: metres. slope s: rise over run. Returns (H, W).
    Raises InputError for l below two samples.

    N. Antipa et al., "DiffuserCam: lensless single-exposure 3D imaging", Optica 5, 2018.
    """
    require_positive("slope", slope)
    field = gaussian_field(grid, correlation_length=correlation_length, seed=seed)
    return slope * correlation_length / 2 * field
