"""Colour filter arrays: which colour each pixel of a Bayer sensor sees."""

import torch
from torch import Tensor

from lensless.errors import require

BAYER_PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")


def bayer_sites(pattern: str) -> list[tuple[int, int, int]]:
    """(row, column, channel) of the four pixels of a Bayer cell, channels R, G, B = 0, 1, 2.

    pattern: the filters of pixels (0, 0), (0, 1), (1, 0), (1, 1), one of BAYER_PATTERNS.
    Raises InputError on another pattern.
    """
    known = ", ".join(BAYER_PATTERNS)
    require(pattern in BAYER_PATTERNS, f"pattern: expected one of {known}, got {pattern!r}")
    return [(place // 2, place % 2, "RGB".index(colour)) for place, colour in enumerate(pattern)]


def bayer_mask(shape: tuple[int, int], pattern: str) -> Tensor:
    """(3, H, W) float32 mask, 1 where the Bayer sensor measures red, green, blue and 0 elsewhere.

    shape: (H, W) in pixels. pattern: the filters of pixels (0, 0), (0, 1), (1, 0) and (1, 1), such as "RGGB".
    Raises InputError on another pattern.
    """
    mask = torch.zeros(3, *shape)
    for row, column, channel in bayer_sites(pattern):
        mask[channel, row::2, column::2] = 1
    return mask


def mosaic(image: Tensor, pattern: str) -> Tensor:
    """What a Bayer sensor records of an RGB image: m(i, j) = image(c(i, j), i, j).

    image: (B, 3, H, W); the result is (B, 1, H, W). Raises InputError on another shape or pattern.
    """
    shape = tuple(image.shape)
    require(len(shape) == 4 and shape[1] == 3, f"image: expected (B, 3, H, W), got {shape}")
    out = image.new_empty(shape[0], 1, *shape[2:])
    for row, column, channel in bayer_sites(pattern):
        out[:, 0, row::2, column::2] = image[:, channel, row::2, column::2]
    return out
