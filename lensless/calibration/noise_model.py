"""How noisy a camera's frames are, from what they differ by: photon transfer on any scene that stands still."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from scipy.optimize import nnls
from torch import Tensor

from lensless.calibration.frame import RawFrame, around, check_alike

# Groups of pixels, for each pair of frames, and the fewest pixels to tell anything from.
GROUPS, FEWEST = 50, 60
# Standard deviations beyond which a difference is no noise (hot pixels, edges that moved).
OUTLIER = 5.0
# The percentile of brightness that stands for the brightest, and the share of it from which pixels are bright.
BRIGHTEST, BRIGHT = 99.9, 0.1
# Brightness, relative to the brightest group's, from which none is dark enough to tell the noise in the dark.
DARK = 0.1
# Relative standard deviation of a ratio of light beyond which the ratio of exposures is the better guess.
MOST_ERROR = 0.05


@dataclass(frozen=True)
class NoiseModel:
    """Variance of a pixel's signal s, in shares of full scale, at an analogue gain g:

        var = read^2 + shot g s

    read: standard deviation in the dark, of a frame as it is recorded (an average has less). shot: one over the
    electrons that full scale stands for at gain 1. points: (K, 3) what it was fitted to: brightness g s, variance and
    number of pixels of each group.
    """

    read: float
    shot: float
    points: np.ndarray

    def variance(self, signal: Tensor, gain: float) -> Tensor:
        """Of a signal in shares of full scale, of any shape."""
        return self.read**2 + self.shot * gain * signal.clamp_min(0)


@dataclass(frozen=True)
class Pair:
    """Two frames of one scene: their signals a and b, float64 (K,), at the pixels that neither clips; b = factor a.

    guide: brightness of the pixels around each, which has no part in that one's noise. expected: the factor of a linear
    sensor under steady light, the ratio of exposure * gain. factor: sum b / sum a over the pixels around which it is a
    tenth as bright as anywhere, or the expected one where that is known to less than a twentieth. error: standard
    deviation of factor over factor, infinite where the light does not tell. gains: analogue ones of both frames.
    rounding: variance up to which noise is lost in the rounding to counts, that of half a count of one frame.
    """

    a: Tensor
    b: Tensor
    guide: Tensor
    expected: float
    factor: float
    error: float
    gains: tuple[float, float]
    rounding: float

    @classmethod
    def of(cls, first: RawFrame, a: Tensor, second: RawFrame, b: Tensor) -> Self | None:
        """None where fewer than 60 pixels are unclipped in both frames."""
        kept = ~first.clipped() & ~second.clipped()
        guide = (sum(around(a / first.integration + b / second.integration, first.bayer)) / 8)[kept]
        a, b = a[kept].double(), b[kept].double()
        if len(a) < FEWEST:
            return None
        expected = second.integration / first.integration
        bright = guide >= BRIGHT * np.percentile(guide.numpy(), BRIGHTEST)
        factor, error = _ratio(a[bright], b[bright])
        if error > MOST_ERROR:
            factor, error = expected, math.inf
        rounding = max(
            (frame.step / 2 / (frame.full_scale - frame.black_level)) ** 2 / (frame.frames or 1)
            for frame in (first, second)
        )
        return cls(a, b, guide, expected, factor, error, (first.gain, second.gain), rounding)

    def groups(self, model: NoiseModel | None) -> Iterator[tuple[float, float, int]]:
        """Brightness g s, variance read^2 + shot g s, and number of pixels, of groups by the brightness around them.

        Left out are differences of 5 standard deviations under ``model``, where there is one.
        """
        r, (gain_a, gain_b) = self.factor, self.gains
        share = 1 / (1 + r**2)
        brightness = (self.a + self.b) / (1 + r) * (gain_b * r + gain_a * r**2) * share
        square = (self.b - r * self.a).square() * share
        for group in self.guide.argsort().chunk(min(GROUPS, len(self.guide) // FEWEST)):
            light, values = brightness[group], square[group]
            if model is not None:
                inside = values <= OUTLIER**2 * model.variance(light, 1.0)
                light, values = light[inside], values[inside]
            if len(values):
                yield float(light.mean()), float(values.mean()), len(values)


def _ratio(a: Tensor, b: Tensor) -> tuple[float, float]:
    """sum b / sum a and its relative standard deviation, infinite where either sum is not positive."""
    below, above = float(a.sum()), float(b.sum())
    if min(below, above) <= 0:
        return 1.0, math.inf
    factor = above / below
    return factor, float((b - factor * a).square().sum().sqrt()) / above


def pairs(frames: Sequence[RawFrame], signals: Sequence[Tensor]) -> list[Pair]:
    """Neighbours in order of integration, where enough pixels are not clipped in both.

    signals: (H, W) of each frame, less its dark signal. Raises InputError on frames of several sizes.
    """
    check_alike(frames)
    order = sorted(range(len(frames)), key=lambda k: frames[k].integration)
    found = (Pair.of(frames[i], signals[i], frames[j], signals[j]) for i, j in pairwise(order))
    return [pair for pair in found if pair is not None]


def fit_noise(neighbours: Sequence[Pair]) -> NoiseModel | None:
    """The noise of frames of one scene that differ in exposure and gain, or in nothing; None without pairs.

    Frames i, j differ, in pixels that neither clips, by

        d = s_j - r s_i,    r = sum s_j / sum s_i,    E d^2 = read^2 (1 + r^2) + shot (g_j s_j + r^2 g_i s_i)

    which is a line over brightness, whatever the scene and the pixels' own gains. Fitted by weighted non-negative
    least squares to the means of groups of pixels. Left out are those whose noise is lost in the rounding to counts,
    as the line has it; where that leaves no dark ones, rounding is all of the noise in the dark.
    """
    if not neighbours:
        return None
    model = None
    for _ in range(4):
        groups = [(*group, pair.rounding) for pair in neighbours for group in pair.groups(model)]
        points, rounding = np.array(groups)[:, :3], np.array(groups)[:, 3]
        seen = points[:, 1] if model is None else model.read**2 + model.shot * points[:, 0]
        told = seen > rounding
        model = _line(points[told], rounding.mean() / 3) if told.sum() > 1 else _line(points, 0.0)
    return model


def _line(points: np.ndarray, rounding: float) -> NoiseModel:
    """The weighted line through (brightness, variance, number); at brightness 0 it is ``rounding`` if none is dark."""
    brightness, variance, count = points.T
    dark = brightness.min() < DARK * brightness.max()
    weight = np.full_like(variance, variance.mean())
    for _ in range(4):  # a mean of n squares of variance v is known to v sqrt(2 / n)
        scale = np.sqrt(count / 2) / weight
        if dark:
            (read, shot), _ = nnls(np.stack([scale, scale * brightness], 1), scale * variance)
        else:
            read, shot = rounding, nnls((scale * brightness)[:, None], scale * (variance - rounding))[0][0]
        weight = np.maximum(read + shot * brightness, 1e-3 * variance.max())
    return NoiseModel(float(np.sqrt(read)), float(shot), points)
