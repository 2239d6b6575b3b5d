"""How sure a mean is, and whether one method is better than another."""

import functools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from lensless.errors import require

RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap interval; ``n`` values from ``groups`` groups."""

    mean: float
    low: float
    high: float
    n: int
    groups: int


@dataclass(frozen=True)
class Comparison:
    """The mean of paired differences with its interval, and a sign test over groups.

    better: groups whose mean difference is positive, of those where it is not 0. p: probability of as lopsided a count,
    either way, if both signs were as likely (exact binomial test).
    """

    difference: Interval
    better: int
    groups: int
    p: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def apart(self) -> bool:
        """Whether the two means' intervals within groups do not overlap.

        Some pictures are hard for every method, and that is most of the spread. Each value less the mean of both
        methods on its group leaves plus or minus half of the difference (Cousineau, Tutorials in Quantitative Methods
        for Psychology 1, 2005), times sqrt(2) as two of them have one degree of freedom (Morey, same journal 4, 2008):
        intervals of 1 / sqrt(2) of the difference's half-width h, so they are apart where |difference| > sqrt(2) h.
        """
        found = self.difference
        half_width = found.mean - found.low if found.mean > 0 else found.high - found.mean
        return abs(found.mean) > math.sqrt(2) * half_width


def mean_interval(values: Sequence[float], groups: Sequence[Hashable], *, seed: int = 0) -> Interval:
    """The mean of ``values`` and its 95 % percentile bootstrap interval, resampling whole groups.

    Patches of one photograph are alike, so photographs are what is drawn with replacement (the cluster bootstrap of
    Davison & Hinkley, "Bootstrap methods and their application", 1997, section 3.8). With one group the interval is
    the mean alone. groups: of each value. Raises InputError on no values or another number of groups.
    """
    sums, counts = _by_group(values, groups)
    mean = float(sums.sum() / counts.sum())
    times = _draws(len(sums), seed)
    means = (times @ sums) / (times @ counts)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high), int(counts.sum()), len(sums))


@functools.lru_cache(maxsize=2)
def _draws(groups: int, seed: int) -> np.ndarray:
    """How often each group is drawn in each resample, (RESAMPLES, groups); made once for all values of as many."""
    drawn = np.random.default_rng(seed).integers(groups, size=(RESAMPLES, groups))
    places = drawn + groups * np.arange(RESAMPLES)[:, None]
    return np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def compare(one: Sequence[float], other: Sequence[float], groups: Sequence[Hashable], *, seed: int = 0) -> Comparison:
    """one - other, image by image: mean, interval, and sign test over groups. Arguments as for `mean_interval`."""
    require(len(one) == len(other), f"other: expected {len(one)} values, paired with the first ones, got {len(other)}")
    differences = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    sums, _ = _by_group(differences, groups)
    better, worse = int((sums > 0).sum()), int((sums < 0).sum())
    return Comparison(mean_interval(differences, groups, seed=seed), better, better + worse, _p(better, better + worse))


@functools.cache
def _p(better: int, groups: int) -> float:
    return float(binomtest(better, groups).pvalue) if groups else 1.0


def _by_group(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each group."""
    values = np.asarray(values, np.float64)
    require(len(values) > 0, "values: expected at least one, got none")
    require(len(values) == len(groups), f"groups: expected one for each of {len(values)} values, got {len(groups)}")
    _, place = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)
    return np.bincount(place, weights=values), np.bincount(place).astype(np.float64)
