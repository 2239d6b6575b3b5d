"""Exposure from the raw histogram, and what it says about the light."""

from dataclasses import dataclass, replace

import numpy as np

from lensless_capture.cameras.base import CameraInfo, Frame, Settings
from lensless_capture.errors import require

# A level within this of full scale is clipped: what the true light was is unknown.
CLIPPED = 0.98


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
        target = (self.low + self.high) / 2
        factor = 1 / 8 if measured >= CLIPPED else min(8.0, target / max(measured, 1e-3))
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
