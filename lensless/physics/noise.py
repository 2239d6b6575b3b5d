"""Noise of a stated strength, for comparisons that name an SNR instead of a sensor, and the strength of noise seen."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import require
from lensless.physics.random import Generators, normal, poisson


@torch.no_grad()
def add_noise_at_snr(y: Tensor, snr_db: float, generator: Generators, *, kind: str = "shot") -> Tensor:
    """y + n with SNR = 10 log10(sum y^2 / E sum n^2) = ``snr_db`` in every sample of the batch.

    shot:      n = Poisson(s y) / s - y,  Var n = y / s     ->  s = 10^(SNR/10) sum y / sum y^2
    gaussian:  n ~ N(0, sigma^2)                            ->  sigma^2 = mean y^2 / 10^(SNR/10)

    y: measurements (B, ...), floating point, >= 0 for shot noise. snr_db: decibels. generator: one for the
    batch or one a sample. kind: "shot" (10 to 40 dB are usual: Bezzam et al. 2025, arXiv 2502.01102) or
    "gaussian". The mean of the noise is zero; Gaussian noise can make a measurement negative.
    Raises InputError on a sample without light, NaN, negative light under shot noise, or an unknown kind.
    """
    require(kind in ("shot", "gaussian"), f"kind: expected 'shot' or 'gaussian', got {kind!r}")
    require(y.is_floating_point(), f"y: expected floating point, got {y.dtype}; divide by full scale first")
    require(y.ndim >= 2, f"y: expected a batch (B, ...), got {tuple(y.shape)}; one sample? use y[None]")
    flat = y.flatten(1)
    energy = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64).square()
    total = flat.sum(1, dtype=torch.float64)
    require(bool(torch.isfinite(energy).all()), "y: expected finite values, got NaN or infinite")
    require(bool((energy > 0).all()), "y: expected light in every sample, got one of zeros without an SNR")
    ratio = 10 ** (snr_db / 10)
    column = (-1, *[1] * (y.ndim - 1))
    if kind == "gaussian":
        sigma = (energy / flat.shape[1] / ratio).sqrt().to(y.dtype)
        return normal(y, generator).mul_(sigma.reshape(column)).add_(y)
    lowest = float(flat.min())
    require(lowest >= 0, f"y: shot noise needs light >= 0, got a minimum of {lowest:.3g}; use y.clamp_min(0)")
    strength = (ratio * total / energy).to(y.dtype).reshape(column)
    return poisson(strength * y, generator).div_(strength)


def noise_level(y: Tensor, valid: Tensor | float = 1.0) -> Tensor:
    """Standard deviation of the white noise in images, (B,), in units of ``y`` (B, C, h, w).

        sigma = sqrt(pi / 2) / 6  mean |y * N|,      N = (1 -2 1; -2 4 -2; 1 -2 1)

    N, the difference of two Laplacians, is blind to smooth structure (Immerkaer, "Fast noise variance estimation", CVIU
    1996); sharp structure counts as noise. valid: 1 at the pixels to believe, else 0, to broadcast with y; a
    difference over others is left out. Raises InputError for images of less than 3 x 3 pixels.
    """
    require(min(y.shape[-2:]) >= 3, f"y: expected images of at least 3 x 3 pixels, got {tuple(y.shape)}")
    line = y.new_tensor([1.0, -2.0, 1.0])
    differences = F.conv2d(y.flatten(0, 1)[:, None], torch.outer(line, line)[None, None]).reshape(
        *y.shape[:2], y.shape[2] - 2, y.shape[3] - 2
    )
    whole = torch.ones_like(y[:1, :1]) * valid
    seen = (-F.max_pool2d(-whole, 3, stride=1)).expand_as(differences)
    mean = (differences.abs() * seen).flatten(1).sum(1) / seen.flatten(1).sum(1).clamp_min(1)
    return mean * (math.sqrt(math.pi / 2) / 6)
