"""Exposure from the raw histogram, and what it says about the light."""

from dataclasses import dataclass, replace

import numpy as np

from lensless_capture.cameras.base import CameraInfo, Frame, Settings
from lensless_capture.errors import require

# A level within this of full scale is clipped: what the true light was is unknown.
CLIPPED = 0.98
# A level below this says little about the light; a picture is taken to give at least this much of white's.
LEAST, DARKEST = 0.01, 0.005
# Share of what the last frame says in a running mean.
LEARNING = 0.2


def level(frame: Frame, percentile: float = 99.5) -> float:
    """Percentile of the counts, as a share of the range: (P(counts) - black_level) / (2^bits - 1 - black_level).

    A percentile and not the maximum, which hot pixels decide.
    """
    reported = frame.reported
    counts = np.bincount(frame.pixels.ravel(), minlength=reported.full_scale + 1).cumsum()
    at = int(np.searchsorted(counts, percentile / 100 * counts[-1]))
    return (at - reported.black_level) / (reported.full_scale - reported.black_level)


def saturated(frame: Frame) -> float:
    """Share of the pixels within 2 % of full scale."""
    return float(np.mean(frame.pixels >= CLIPPED * frame.reported.full_scale))


@dataclass(frozen=True)
class AutoExposure:
    """Settings that bring a frame's level into [low, high], by exposure first and gain last.

    exposure * gain is multiplied by target / level, at most by 8; by 1/8 where the frame is clipped.

    low, high: shares of full scale between which nothing is changed. percentile: of the counts.
    longest: seconds, beyond which gain takes over. Raises InputError unless 0 < low < high < 0.98.
    """

    low: float = 0.5
    high: float = 0.9
    percentile: float = 99.5
    longest: float = 1.0

    def __post_init__(self):
        require(0 < self.low < self.high < CLIPPED, f"low, high: expected 0 < low < high < {CLIPPED}, got {self}")

    def fits(self, frame: Frame) -> bool:
        return self.low <= level(frame, self.percentile) <= self.high

    def next(self, frame: Frame, settings: Settings, camera: CameraInfo) -> Settings:
        """What to ask for after ``frame``, which ``settings`` gave."""
        if self.fits(frame):
            return settings
        measured = level(frame, self.percentile)
        factor = 1 / 8 if measured >= CLIPPED else min(8.0, self.middle / max(measured, 1e-3))
        return self.scaled(factor, settings, camera)

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def scaled(self, factor: float, settings: Settings, camera: CameraInfo) -> Settings:
        """``settings`` with ``factor`` times the exposure * gain, as far as the camera can do it."""
        light = factor * settings.exposure * settings.gain
        shortest, longest = camera.exposure_range
        lowest, highest = camera.gain_range
        exposure = min(max(light / lowest, shortest), min(longest, self.longest))
        gain = min(max(light / exposure, lowest), highest)
        return replace(settings, exposure=exposure, gain=gain)

    def verdict(self, frame: Frame, settings: Settings, camera: CameraInfo) -> str:
        """In words: "good", or that the light is too strong or too weak and what helps."""
        if self.fits(frame):
            return "good"
        measured = level(frame, self.percentile)
        strong = measured > self.high
        if self.next(frame, settings, camera) != settings:
            return f"{'over' if strong else 'under'}exposed: {measured:.0%} of full scale"
        if strong:
            return f"too strong light: {measured:.0%} of full scale at the shortest exposure; dim it"
        return f"too weak light: {measured:.0%} of full scale at the longest exposure and gain; add light"


class Forecast:
    """Which exposure the next picture on the monitor takes, from what came of others through the same mask:

        level = rate_mask * light * exposure * gain

    with light the mean of the picture's, linear, and the rate a running mean; where nothing came through this mask yet,
    that of any.
    """

    def __init__(self, auto: AutoExposure):
        self.auto, self.rates = auto, {}

    def note(self, mask: int | None, light: float, frame: Frame) -> None:
        """Learn from a frame of a picture of this light, unless it is clipped or dark."""
        measured = level(frame, self.auto.percentile)
        if LEAST < measured < CLIPPED:
            rate = measured / (max(light, DARKEST) * frame.reported.exposure * frame.reported.gain)
            for key in (mask, "any"):
                before = self.rates.get(key, rate)
                self.rates[key] = before + LEARNING * (rate - before)

    def settings(self, mask: int | None, light: float, settings: Settings, camera: CameraInfo) -> Settings:
        """``settings``, or others where these would not bring the level well into the middle."""
        rate = self.rates.get(mask, self.rates.get("any"))
        if rate is None:
            return settings
        expected = rate * max(light, DARKEST) * settings.exposure * settings.gain
        margin = (self.auto.high - self.auto.low) / 4
        fits = self.auto.low + margin <= expected <= self.auto.high - margin
        return settings if fits else self.auto.scaled(self.auto.middle / expected, settings, camera)
