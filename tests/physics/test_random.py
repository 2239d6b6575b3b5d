import math

import numpy as np
import pytest
import scipy.stats
import torch

from lensless.errors import InputError
from lensless.physics.random import NORMAL_FROM, normal, poisson, sample_generator


def test_a_sample_is_a_function_of_seed_and_index():
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    streams = {pair: torch.rand(3, generator=sample_generator(*pair)) for pair in pairs}
    assert len({tuple(stream.tolist()) for stream in streams.values()}) == 4
    assert torch.equal(torch.rand(3, generator=sample_generator(1, 0)), streams[1, 0])


@pytest.mark.parametrize("draw, brightest", [(poisson, 30), (poisson, 1000), (normal, 1)])
def test_one_generator_a_sample_gives_the_same_bytes_in_any_batch_and_layout(draw, brightest):
    mean = brightest * torch.rand(5, 3, 7, 11, generator=sample_generator(0, 0))
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


def test_poisson_is_a_function_of_the_generator_on_both_sides_of_the_switch():
    mean = torch.linspace(0, 2 * NORMAL_FROM, 1001)[None]
    first, again, other = (poisson(mean, sample_generator(0, index)) for index in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, first.round())
    assert first[0, 0] == 0


@pytest.mark.parametrize("mean", [0.7, 255.9, 256.0, 700.5, 12345.6])
def test_poisson_has_the_first_three_moments_of_poisson(mean):
    """Within four standard errors, from the central moments m, 3 m^2 + m and 15 m^3 + 25 m^2 + m of even order."""
    n = 1_000_000
    counts = poisson(torch.full((1, n), mean, dtype=torch.float64), sample_generator(1, 0))
    centred = counts - mean
    assert float(centred.mean()) == pytest.approx(0, abs=4 * math.sqrt(mean / n))
    variance = float(centred.square().mean())
    assert variance == pytest.approx(mean, abs=4 * math.sqrt((2 * mean**2 + mean) / n))
    error = math.sqrt((15 * mean**3 + 24 * mean**2 + mean) / n)
    assert float(centred.pow(3).mean()) == pytest.approx(mean, abs=4 * error)


@pytest.mark.parametrize("mean", [255.0, 256.0, 256.4, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_counts_near_the_switch_are_as_frequent_as_poissons(mean, dtype):
    """Pearson's chi-square over all counts that are expected at least 20 times, the rest in two tails."""
    n = 1_000_000
    counts = poisson(torch.full((1, n), mean, dtype=dtype), sample_generator(2, 0)).long().flatten().numpy()
    law = scipy.stats.poisson(mean)
    bins = [k for k in range(int(2 * mean)) if n * law.pmf(k) >= 20]
    observed = np.bincount(counts.clip(bins[0] - 1, bins[-1] + 1) - bins[0] + 1, minlength=len(bins) + 2)
    expected = n * np.array([law.cdf(bins[0] - 1), *law.pmf(bins), law.sf(bins[-1])])
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert chi_square < scipy.stats.chi2(len(bins) + 1).ppf(1 - 1e-4)


@pytest.mark.parametrize("mean", [256.0, 256.37, 1024.0])
def test_the_corrected_normal_is_as_close_to_poisson_as_it_says(mean):
    """The probability of every count from the z that round to it: z(x) solves m + s z + (z^2 - 1) / 6 = x."""
    s = math.sqrt(mean - 5 / 36)
    counts = np.arange(int(mean - 9 * s), int(mean + 9 * s))
    edges = np.append(counts - 0.5, counts[-1] + 0.5)
    z = 3 * (np.sqrt(s**2 + 2 / 3 * (edges - mean) + 1 / 9) - s)
    probability = np.diff(scipy.stats.norm.cdf(z))
    centred = counts - mean
    assert probability @ centred == pytest.approx(0, abs=1e-6)
    assert probability @ centred**2 == pytest.approx(mean, abs=1e-5)
    assert probability @ centred**3 == pytest.approx(mean - 11 / 108, abs=1e-3)
    assert np.abs(probability - scipy.stats.poisson(mean).pmf(counts)).sum() / 2 < 8e-5 * 256 / mean


def test_bright_and_dim_pixels_of_one_image_each_keep_their_own_statistics():
    dim, bright = 4.0, 4000.0
    mean = torch.full((1, 101, 203), dim)
    mean[..., ::3, 1:] = bright
    counts = poisson(mean, sample_generator(3, 0))
    for level in (dim, bright):
        found = counts[mean == level].double()
        assert float(found.mean()) == pytest.approx(level, abs=4 * math.sqrt(level / len(found)))
        assert float(found.var()) == pytest.approx(level, rel=4 * math.sqrt((2 + 1 / level) / len(found)))


@pytest.mark.parametrize("bad", [math.nan, -1.0])
def test_poisson_refuses_what_is_no_expectation(bad):
    with pytest.raises(RuntimeError, match="invalid Poisson rate"):
        poisson(torch.tensor([[1000.0, bad, 3.0]]), sample_generator(0, 0))
