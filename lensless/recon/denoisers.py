"""Denoisers that need no training; any callable ``denoise(x, sigma) -> x`` serves plug-and-play as well."""

from typing import Protocol

from torch import Tensor

from lensless.recon.prox import TotalVariation


class Denoiser(Protocol):
    """x (B, C, H, W) with white peaks near 1 and Gaussian noise of standard deviation sigma, to the clean x."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor: ...


class TotalVariationDenoiser:
    """argmin_z>=0 1/2 ||z - x||^2 + strength sigma ||D z||_1 (Rudin, Osher & Fatemi 1992).

    strength: about 1 removes Gaussian noise of standard deviation sigma. iterations: of the dual projection.
    """

    def __init__(self, strength: float = 1.0, *, iterations: int = 20):
        self.prior = TotalVariation(strength, iterations=iterations)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return self.prior.prox(x, self.prior.weight * sigma)
