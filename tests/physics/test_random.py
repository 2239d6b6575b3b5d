import pytest
import torch

from lensless.errors import InputError
from lensless.physics.random import normal, poisson, sample_generator


def test_a_sample_is_a_function_of_seed_and_index():
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    streams = {pair: torch.rand(3, generator=sample_generator(*pair)) for pair in pairs}
    assert len({tuple(stream.tolist()) for stream in streams.values()}) == 4
    assert torch.equal(torch.rand(3, generator=sample_generator(1, 0)), streams[1, 0])


@pytest.mark.parametrize("draw", [poisson, normal])
def test_one_generator_a_sample_gives_the_same_bytes_in_any_batch_and_layout(draw):
    mean = 30 * torch.rand(5, 3, 7, 11, generator=sample_generator(0, 0))
    together = draw(mean, [sample_generator(4, index) for index in range(5)])
    backwards = draw(mean.flip(0), [sample_generator(4, index) for index in reversed(range(5))])
    channels_last = draw(
        mean.contiguous(memory_format=torch.channels_last), [sample_generator(4, index) for index in range(5)]
    )
    alone = draw(mean[2:3], sample_generator(4, 2))
    assert torch.equal(together, backwards.flip(0))
    assert torch.equal(together, channels_last)
    assert torch.equal(together[2:3], alone)


@pytest.mark.parametrize("seed, index", [(-1, 0), (0, -1), (0.5, 0)])
def test_only_whole_numbers_seed(seed, index):
    with pytest.raises(InputError, match="expected a whole number >= 0"):
        sample_generator(seed, index)


def test_generators_must_match_the_batch():
    with pytest.raises(InputError, match="one for each of 3 samples, got 2"):
        poisson(torch.ones(3, 4), [sample_generator(0, 0), sample_generator(0, 1)])
