"""A PSF as an image: what of it is light, where its middle is, how much of it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.calibration.darks import MAD_TO_SIGMA
from lensless.errors import InputError, require
from lensless.physics.fft import crop_centred

# Corners that show the background: side as a share of the sensor's, at least so many pixels.
CORNER, LEAST_CORNER = 0.05, 6
# What is light and no noise: means over boxes of so many pixels a side that are so many deviations above background.
BOX, SIGNIFICANT = 5, 3.0


@dataclass(frozen=True)
class Background:
    """Light (C, 1, 1) that does not come from the point: of the two darkest corners. corners: (C, 4), of each."""

    level: Tensor
    corners: Tensor


def background(image: Tensor) -> Background:
    """From the interquartile means of the corners of an image (C, H, W), 5 % of its sides large."""
    levels = torch.stack([_interquartile_mean(corner) for corner in _corners(image)], -1)
    return Background(levels.sort(-1).values[:, :2].mean(-1)[:, None, None], levels)


def significant(image: Tensor) -> Tensor:
    """Where light stands out, bool (C, H, W): within 2 pixels of a box of 5 x 5 whose mean is 3 deviations above 0.

    The deviation is that of such means in the corners of the image, (C, H, W) less its background.
    """
    pad = BOX // 2
    means = F.avg_pool2d(F.pad(image, (pad,) * 4, mode="reflect"), BOX, stride=1)
    spread = torch.stack([(corner - corner.median()).abs().median(-1).values for corner in _corners(means)], -1)
    sigma = MAD_TO_SIGMA * spread.min(-1).values[:, None, None]
    lit = (means > SIGNIFICANT * sigma).to(image)
    return F.max_pool2d(lit, BOX, stride=1, padding=pad) > 0


def centroid_shift(image: Tensor) -> tuple[int, int]:
    """Whole pixels (down, right) that bring the centroid of a PSF (C, H, W) to pixel (H // 2, W // 2)."""
    light = image.sum(0).double()
    require(float(light.sum()) > 0, "centre: expected light above the background, got none")
    height, width = light.shape
    y = float((light.sum(1) * torch.arange(height)).sum() / light.sum())
    x = float((light.sum(0) * torch.arange(width)).sum() / light.sum())
    return height // 2 - round(y), width // 2 - round(x)


def shifted(image: Tensor, shift: tuple[int, int]) -> Tensor:
    """``image`` (..., H, W) moved down and right by whole pixels, 0 where nothing comes from."""
    moved = image.roll(shift, (-2, -1))
    for axis, step in zip((-2, -1), shift, strict=True):
        size = image.shape[axis]
        empty = slice(0, step) if step >= 0 else slice(size + step, size)
        moved.movedim(axis, 0)[empty] = 0
    return moved


def cropped(image: Tensor, size: Sequence[int] | None) -> Tensor:
    """The central (..., h, w). Raises InputError where it is larger than the image."""
    if size is None:
        return image
    whole = tuple(image.shape[-2:])
    fits = len(size) == 2 and all(0 < part <= side for part, side in zip(size, whole, strict=True))
    if not fits:
        raise InputError(f"size: expected [height, width] of at most {list(whole)} pixels, got {list(size)}")
    return crop_centred(image, tuple(size))


def _corners(image: Tensor) -> list[Tensor]:
    """The pixels (C, K) of the four corners."""
    height, width = (min(max(int(CORNER * n), LEAST_CORNER), n) for n in image.shape[-2:])
    return [
        image[:, rows, columns].flatten(1)
        for rows in (slice(height), slice(-height, None))
        for columns in (slice(width), slice(-width, None))
    ]


def _interquartile_mean(values: Tensor) -> Tensor:
    """Of (C, K) over K."""
    quarter = values.shape[1] // 4
    return values.sort(1).values[:, quarter : values.shape[1] - quarter].mean(1)
