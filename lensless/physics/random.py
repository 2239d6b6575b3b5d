"""Random numbers of a sample that depend on (seed, index) alone: not on batch, order or workers."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lensless.errors import require

Generators = torch.Generator | Sequence[torch.Generator]

# Poisson numbers of larger expectations come from a normal distribution
NORMAL_FROM = 256.0


def sample_generator(seed: int, index: int, *, device: torch.device | str = "cpu") -> torch.Generator:
    """The random generator of sample ``index`` of a set made with ``seed``.

    Both are hashed by NumPy's SeedSequence, so neighbouring seeds and indices give unrelated streams. (On the
    CPU torch keeps 32 bits of the hash: of n samples, about n^2 / 2^33 pairs share a stream.)
    seed, index: whole numbers >= 0. Raises InputError on others.
    """
    for name, value in (("seed", seed), ("index", index)):
        require(isinstance(value, int) and value >= 0, f"{name}: expected a whole number >= 0, got {value!r}")
    state = np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)
    return torch.Generator(device=device).manual_seed(int(state[0]))


def poisson(mean: Tensor, generator: Generators) -> Tensor:
    """Poisson counts with the expectations ``mean`` m (B, ...), in its floating-point type.

    Exact where m < 256. From there on a normal number z with its skewness corrected (Cornish & Fisher, Revue de
    l'Institut International de Statistique 5, 1938, their first terms) and rounded:

        round(m + sqrt(m - 5/36) z + (z^2 - 1) / 6)        Var (z^2 - 1) / 6 = 1/18, of rounding 1/12: together 5/36

    Its mean and variance are m, its third central moment is m - 11/108 instead of m, and the probabilities of all
    counts together differ from Poisson's by 8e-5 at m = 256, which falls as 1 / m (total variation distance).

    generator: one for the batch, or a sequence of B, one a sample: then a sample's numbers do not depend on
    the rest of the batch. Raises InputError on a sequence of another length.
    """
    return _draw(_poisson, mean, generator)


def normal(like: Tensor, generator: Generators) -> Tensor:
    """Standard normal numbers in the shape and type of ``like`` (B, ...), ``generator`` as for Poisson's."""
    return _draw(lambda x, g: torch.empty_like(x).normal_(generator=g), like, generator)


def _draw(draw: Callable[[Tensor, torch.Generator], Tensor], x: Tensor, generator: Generators) -> Tensor:
    x = x.contiguous()  # torch draws in memory order
    if isinstance(generator, torch.Generator):
        return draw(x, generator)
    batch = x.shape[0]
    require(
        len(generator) == batch,
        f"generator: expected one, or one for each of {batch} samples, got {len(generator)}",
    )
    return torch.stack([draw(sample, g) for sample, g in zip(x, generator, strict=True)])


def _poisson(mean: Tensor, generator: torch.Generator) -> Tensor:
    lowest, highest = (float(value) for value in mean.aminmax())
    if not highest >= NORMAL_FROM:  # NaN included, which torch refuses
        return torch.poisson(mean, generator=generator)
    z = torch.empty_like(mean).normal_(generator=generator)
    sigma = (mean - 5 / 36).sqrt_()
    counts = torch.addcmul(mean, sigma.add_(z, alpha=1 / 6), z, out=sigma).sub_(1 / 6).round_()
    if lowest < NORMAL_FROM:
        exact = (mean < NORMAL_FROM).flatten().nonzero().squeeze(1)
        counts.view(-1)[exact] = torch.poisson(mean.view(-1)[exact], generator=generator)
    return counts
