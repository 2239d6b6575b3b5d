"""Intervals and comparisons, against numbers worked out by hand and against the coverage that they promise."""

import numpy as np
import pytest

from lensless.errors import InputError
from lensless.evaluation.statistics import compare, mean_interval


def test_a_constant_has_no_spread():
    found = mean_interval([2.5] * 6, "aabbcc")
    assert (found.mean, found.low, found.high, found.n, found.groups) == (2.5, 2.5, 2.5, 6, 3)


def test_one_group_alone_says_nothing_about_others():
    found = mean_interval([1.0, 2.0, 6.0], ["one"] * 3)
    assert (found.mean, found.low, found.high) == (3.0, 3.0, 3.0)


def test_two_groups_by_hand():
    """Resampled pairs of groups of means 0 and 1 have the means 0, 1/2, 1/2 and 1: a quarter of them each end."""
    found = mean_interval([0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"])
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """20 groups of 3 values; the percentile interval is a little too narrow for so few groups."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    covered = 0
    for trial in range(200):
        values = np.repeat(random.normal(size=20), 3) + 0.2 * random.normal(size=60)
        found = mean_interval(values, groups, seed=trial)
        covered += found.low <= 0 <= found.high
    # of 200 draws at 0.93, 95 % lie within 2 sqrt(200 x 0.93 x 0.07) = 7 of 186
    assert 179 <= covered <= 200


def test_patches_of_one_picture_count_as_one():
    values = np.repeat(np.random.default_rng(1).normal(size=12), 10)
    patches = mean_interval(values, np.repeat(np.arange(12), 10))
    pictures = mean_interval(values[::10], np.arange(12))
    assert patches.high - patches.low == pytest.approx(pictures.high - pictures.low, rel=0.05)


def test_a_comparison_is_paired():
    random = np.random.default_rng(2)
    scenes = 10 * random.normal(size=30)
    found = compare(scenes + 0.5, scenes, np.arange(30))
    assert found.difference.mean == pytest.approx(0.5)
    assert found.certain
    assert (found.better, found.groups) == (30, 30)
    assert found.p == pytest.approx(2 * 0.5**30)


@pytest.mark.parametrize("gain", [-1.0, 0.3, 0.45, 0.6])
def test_means_are_apart_where_their_intervals_without_the_pictures_share_are(gain):
    """Both methods' values less their mean on each picture, times sqrt(2), about the method's own mean."""
    random = np.random.default_rng(3)
    scenes = 10 * random.normal(size=25)
    one, other = scenes + gain + random.normal(size=25), scenes
    groups = np.arange(25)
    ends = []
    for values in (one, other):
        within = values - (one + other) / 2
        within = values.mean() + np.sqrt(2) * (within - within.mean())
        ends.append(mean_interval(within, groups))
    expected = ends[0].low > ends[1].high or ends[1].low > ends[0].high
    assert compare(one, other, groups).apart == expected
    assert expected == (gain in (-1.0, 0.6))


def test_the_sign_test_by_hand():
    """4 pictures better, 1 worse, 1 alike: p = 2 (1 + 5) / 32."""
    found = compare([1, 1, 1, 1, 0, 3], [0, 0, 0, 0, 1, 3], list("abcdef"))
    assert (found.better, found.groups) == (4, 5)
    assert found.p == pytest.approx(12 / 32)
    assert not found.certain


def test_equal_values_decide_nothing():
    found = compare([1.0, 2.0], [1.0, 2.0], "ab")
    assert (found.better, found.groups, found.p, found.certain) == (0, 0, 1.0, False)


def test_wrong_lengths_are_refused():
    with pytest.raises(InputError, match="values: expected at least one, got none"):
        mean_interval([], [])
    with pytest.raises(InputError, match="groups: expected one for each of 2 values, got 1"):
        mean_interval([1.0, 2.0], ["a"])
    with pytest.raises(InputError, match="other: expected 2 values, paired with the first ones, got 1"):
        compare([1.0, 2.0], [1.0], ["a", "b"])
