"""How a data set is asked for sample i of epoch e, and the random numbers of that sample."""

import numpy as np
import torch

from lensless.physics.random import sample_generator

# (epoch, number in the data set); a number alone is of epoch 0
Key = tuple[int, int]


def epoch_and_index(key: int | Key) -> Key:
    """The key as (epoch, number)."""
    return key if isinstance(key, tuple) else (0, int(key))


def epoch_generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """The random generator of sample ``index`` in ``epoch`` of a set with ``seed``: a function of these three."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return sample_generator(int(state[0]), index)
