"""Proximal operators: prox_(tR)(v) = argmin_z 1/2 ||z - v||^2 + t R(z).

Every regulariser here is homogeneous of degree one or an indicator, so that one relative weight fits every exposure.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lensless.errors import InputError


class Regulariser(ABC):
    """A convex R(z) with its proximal operator; ``weight`` is relative to the data and the operator's norm.

    ``separable`` says that the prox acts on every pixel alone.
    """

    separable = True
    weight: float

    @abstractmethod
    def prox(self, v: Tensor, t: Tensor | float) -> Tensor:
        """argmin_z 1/2 ||z - v||^2 + t R(z); ``t`` is a number or (B, 1, ...). May overwrite ``v``."""

    @abstractmethod
    def value(self, z: Tensor) -> Tensor:
        """R(z) for each sample, (B,); an indicator counts as zero."""


class Unconstrained(Regulariser):
    """R(z) = 0: plain least squares."""

    weight = 0.0

    def prox(self, v: Tensor, t: Tensor | float) -> Tensor:
        return v

    def value(self, z: Tensor) -> Tensor:
        return z.new_zeros(z.shape[0])


class NonNegative(Unconstrained):
    """R(z) = 0 for z >= 0, infinite otherwise: prox(v) = max(v, 0)."""

    def prox(self, v: Tensor, t: Tensor | float) -> Tensor:
        return v.clamp_(min=0)


class L1(Regulariser):
    """R(z) = ||z||_1, on z >= 0 where ``nonnegative``: prox(v) = sign(v) max(|v| - t, 0), or max(v - t, 0)."""

    def __init__(self, weight: float, *, nonnegative: bool = True):
        self.weight = _check_weight(weight)
        self.nonnegative = nonnegative

    def prox(self, v: Tensor, t: Tensor | float) -> Tensor:
        if self.nonnegative:
            return v.sub_(t).clamp_(min=0)
        return soft_threshold(v, t)

    def value(self, z: Tensor) -> Tensor:
        return z.abs().flatten(1).sum(1)


class TotalVariation(Regulariser):
    """R(z) = ||D z||_1, anisotropic and periodic, on z >= 0 where ``nonnegative``.

    The dual problem max_|p|<=t -1/2 ||D* p - v||^2 (its constrained form with the positive part) is solved by
    ``iterations`` fast gradient projections (Beck & Teboulle, IEEE TIP 2009), whose step is 1 / ||D||^2 = 1 / 8.
    """

    separable = False

    def __init__(self, weight: float, *, nonnegative: bool = True, iterations: int = 20):
        self.weight = _check_weight(weight)
        self.nonnegative = nonnegative
        self.iterations = iterations

    def prox(self, v: Tensor, t: Tensor | float) -> Tensor:
        p = q = v.new_zeros(2, *v.shape)
        bound = t * torch.ones_like(v)
        momentum = 1.0
        for _ in range(self.iterations):
            p_next = q + differences(self._primal(v, q)) / 8
            p_next = torch.minimum(torch.maximum(p_next, -bound), bound)
            momentum_next = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            q = p_next + (momentum - 1) / momentum_next * (p_next - p)
            p, momentum = p_next, momentum_next
        return self._primal(v, p)

    def _primal(self, v: Tensor, p: Tensor) -> Tensor:
        z = v - differences_adjoint(p)
        return z.clamp_(min=0) if self.nonnegative else z

    def value(self, z: Tensor) -> Tensor:
        return differences(z).abs().flatten(2).sum((0, 2))


def soft_threshold(v: Tensor, t: Tensor | float) -> Tensor:
    """sign(v) max(|v| - t, 0)."""
    return torch.sign(v) * (v.abs() - t).clamp(min=0)


def differences(x: Tensor) -> Tensor:
    """D x: periodic backward differences along rows and columns, (2, ..., H, W)."""
    return torch.stack((x - x.roll(1, -2), x - x.roll(1, -1)))


def differences_adjoint(p: Tensor) -> Tensor:
    """D* p of (2, ..., H, W)."""
    return p[0] - p[0].roll(-1, -2) + p[1] - p[1].roll(-1, -1)


def differences_spectrum(shape: tuple[int, int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """|D|^2 = 4 sin^2(pi u / P) + 4 sin^2(pi v / Q) on the half spectrum of a (P, Q) grid."""
    rows = torch.arange(shape[0], dtype=torch.float64, device=device) / shape[0]
    columns = torch.arange(shape[1] // 2 + 1, dtype=torch.float64, device=device) / shape[1]
    power = 4 * torch.sin(torch.pi * rows)[:, None] ** 2 + 4 * torch.sin(torch.pi * columns) ** 2
    return power.to(dtype)


def _check_weight(weight: float) -> float:
    if not weight >= 0:
        raise InputError(f"weight: expected a number of at least 0, got {weight}")
    return float(weight)
