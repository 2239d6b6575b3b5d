"""Several frames made one: mean, HDR, and the pixels that are hot in the dark."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lensless_capture.cameras.base import Frame
from lensless_capture.errors import require
from lensless_capture.exposure import CLIPPED

# Robust standard deviations above the median at which a pixel of a dark frame is hot; MAD * 1.4826 is one.
HOT, MAD_TO_SIGMA = 8.0, 1.4826


def average(frames: Sequence[Frame]) -> Frame:
    """The mean of frames of equal settings, in 16 bits, so that parts of a count survive: 2^(16 - bits) mean(counts).

    Black level and bits of what it reports are scaled alike. Raises InputError on none or frames that differ.
    """
    first = _first_of_alike(frames).reported
    scale = 2 ** (16 - first.bits)
    mean = np.mean([frame.pixels for frame in frames], axis=0, dtype=np.float64)
    reported = replace(frames[-1].reported, bits=16, black_level=scale * first.black_level)
    return Frame(np.rint(scale * mean).astype(np.uint16), reported)


def hdr(frames: Sequence[Frame]) -> np.ndarray:
    """Linear light of a bracket, float32 (H, W), in full scales a second at gain 1.

        x = sum_i m_i (counts_i - black_i) / (full_i - black_i) / sum_i m_i t_i g_i

    with t the exposure, g the gain and m_i = 0 where frame i is clipped: the maximum-likelihood estimate under
    photon noise for a bracket at one gain. Where all are clipped, the darkest frame's value, a lower bound.
    Raises InputError on none or frames of other sizes.
    """
    _first_of_alike(frames, same_settings=False)
    ordered = sorted(frames, key=lambda frame: frame.reported.exposure * frame.reported.gain)
    signal, light = 0.0, 0.0
    for index, (pixels, reported) in enumerate(ordered):
        kept = (pixels < CLIPPED * reported.full_scale) | (index == 0)
        # in floating point: noise in the dark falls below the black level
        share = (pixels.astype(np.float64) - reported.black_level) / (reported.full_scale - reported.black_level)
        signal = signal + kept * share
        light = light + kept * reported.exposure * reported.gain
    return (signal / light).astype(np.float32)


def hot_pixels(darks: Sequence[Frame]) -> np.ndarray:
    """Pixels of the mean dark frame above median + 8 robust standard deviations, bool (H, W).

    Raises InputError on none or frames that differ.
    """
    _first_of_alike(darks)
    mean = np.mean([frame.pixels for frame in darks], axis=0, dtype=np.float64)
    middle = np.median(mean)
    sigma = MAD_TO_SIGMA * np.median(np.abs(mean - middle))
    return mean > middle + HOT * max(sigma, 1 / len(darks))


def _first_of_alike(frames: Sequence[Frame], *, same_settings: bool = True) -> Frame:
    require(len(frames) > 0, "frames: expected at least one, got none")

    def kind(frame: Frame) -> tuple:
        reported = frame.reported
        settings = (reported.exposure, reported.gain) if same_settings else ()
        return (frame.pixels.shape, reported.bits, *settings)

    for frame in frames:
        require(
            kind(frame) == kind(frames[0]),
            f"frames: expected equal sizes and settings, got {kind(frames[0])} and {kind(frame)}",
        )
    return frames[0]
