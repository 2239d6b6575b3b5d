"""Random numbers of a sample that depend on (seed, index) alone: not on batch, order or workers."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lensless.errors import require

Generators = torch.Generator | Sequence[torch.Generator]


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
    """Poisson counts with the expectations ``mean`` (B, ...), in its floating-point type.

    generator: one for the batch, or a sequence of B, one a sample: then a sample's numbers do not depend on
    the rest of the batch. Raises InputError on a sequence of another length.
    """
    return _draw(lambda x, g: torch.poisson(x, generator=g), mean, generator)


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
