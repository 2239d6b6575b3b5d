"""From raw frames of a point source, or of any scene that stands still, to one linear mosaic of high dynamic range."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lensless.calibration.darks import MAD_TO_SIGMA, Darks, isolated, replace_pixels
from lensless.calibration.frame import RawFrame, around, check_alike, sites
from lensless.calibration.merge import Merged, drift, merge
from lensless.calibration.noise_model import NoiseModel, Pair, fit_noise, pairs
from lensless.errors import require

# Least response of a pixel in a flat field, relative to its colour's mean, and the share of pixels that may have less.
DIMMEST, MOST_DIM = 0.2, 0.01


@dataclass(frozen=True, kw_only=True)
class Exposed:
    """The frames of a bracket merged on the sensor's own mosaic, and what they say about the camera and the source.

    merged: light of the bracket, hot pixels replaced. bayer: its colour filters. noise: of a frame. hot: how many
    pixels were replaced. drift: (dy, dx) in pixels of each frame against the first, None where it is too faint.
    disproportion: largest relative difference between the light of neighbouring frames and their exposure * gain.
    notes: what there is to tell about the darks, in sentences.
    """

    merged: Merged
    bayer: str | None
    noise: NoiseModel
    hot: int
    drift: list[tuple[float, float] | None]
    disproportion: float
    notes: list[str]


def expose(frames: Sequence[RawFrame], darks: Darks | None = None) -> Exposed:
    """Dark signal off, bracket merged, hot pixels replaced by the median of their neighbours of one colour.

    darks: without them the stated black level is all that is taken off, and hot pixels are those that stand alone.
    Raises InputError on frames or darks of other sizes.
    """
    check_alike(frames)
    signals, notes = dark_subtracted(frames, darks)
    neighbours = pairs(frames, signals)
    noise = fit_noise(neighbours) or NoiseModel(_still_noise(signals[0], frames[0].bayer), 0.0, np.empty((0, 3)))
    merged = merge(frames, signals, noise)
    floor = float(merged.sigma.median())
    hot = isolated(merged.light, floor) if darks is None else darks.hot()
    light = replace_pixels(merged.light, hot, frames[0].bayer) if bool(hot.any()) else merged.light
    return Exposed(
        merged=replace(merged, light=light),
        bayer=frames[0].bayer,
        noise=noise,
        hot=int(hot.sum()),
        drift=drift(frames, signals),
        disproportion=disproportion(neighbours),
        notes=notes,
    )


def dark_subtracted(frames: Sequence[RawFrame], darks: Darks | None) -> tuple[list[Tensor], list[str]]:
    """The signal of each frame less its dark signal where the darks know it, and what they do not know, in words."""
    if darks is None:
        return [frame.signal() for frame in frames], ["no darks: the stated black level was taken off"]
    check_alike([*frames, darks.first])
    dark = [darks.at(frame.exposure, frame.gain) for frame in frames]
    unknown = [frame for frame, one in zip(frames, dark, strict=True) if one is None]
    notes = []
    if unknown:
        settings = ", ".join(f"{frame.exposure:.3g} s at gain {frame.gain:.3g}" for frame in unknown)
        notes = [
            f"darks: none of {settings}, and not two exposures at that gain to tell from; the stated black level was "
            "taken off instead"
        ]
    signals = [frame.signal() for frame in frames]
    return [s if one is None else s - one for s, one in zip(signals, dark, strict=True)], notes


def disproportion(neighbours: Sequence[Pair]) -> float:
    """max |factor / expected - 1| over the pairs whose factor is known to 1 %; 0 without any."""
    return max((abs(pair.factor / pair.expected - 1) for pair in neighbours if pair.error < 0.01), default=0.0)


def flat_field(frames: Sequence[RawFrame], darks: Darks | None = None) -> Tensor:
    """Relative response of every pixel (H, W), mean 1 for each colour, from frames of even light without the mask.

    Raises InputError where over 1 % of the pixels see less than a fifth of the mean.
    """
    light = expose(frames, darks).merged.light
    flat = torch.empty_like(light)
    for rows, columns in sites(light.shape, frames[0].bayer):
        flat[rows, columns] = light[rows, columns] / light[rows, columns].mean()
    dim = float((~(flat > DIMMEST)).float().mean())
    require(dim <= MOST_DIM, f"flat: {dim:.0%} of the pixels see less than a fifth of the mean, expected even light")
    return flat.clamp_min(DIMMEST)


def _still_noise(signal: Tensor, bayer: str | None) -> float:
    """Standard deviation of a single frame's noise, from the dimmest quarter of its pixels and those around each."""
    mean = sum(around(signal, bayer)) / 8
    difference = (signal - mean)[mean <= np.quantile(mean.numpy(), 0.25)]
    return float(MAD_TO_SIGMA * difference.abs().median() / (1 + 1 / 8) ** 0.5)
