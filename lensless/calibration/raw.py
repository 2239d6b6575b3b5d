"""Raw sensor layouts: colour filter mosaics, and channels last against channels first."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import InputError, check_name
from lensless.physics.cfa import bayer_mask, bayer_sites

COLOURS = ("demosaic", "cells")

_GREEN = [[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]]
_RED_BLUE = [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


def demosaic(mosaic: Tensor, pattern: str) -> Tensor:
    """Linear RGB (..., 3, H, W) from a Bayer mosaic (..., H, W) by bilinear interpolation.

    x_c = k_c * (m_c y), with y the mosaic, m_c the mask of colour c and k_c the bilinear
    kernel of 3 x 3 pixels. The mosaic is mirrored about its border pixels, which continues the Bayer pattern,
    so any size from 2 x 2 works. Linear in y and in floating point: values below the black level and parts of
    a count survive. Raises InputError on integers, a smaller mosaic or another pattern.
    """
    if not mosaic.is_floating_point() or mosaic.ndim < 2 or min(mosaic.shape[-2:]) < 2:
        raise InputError(
            "mosaic: expected floating point (..., H, W) of at least 2 x 2 pixels, "
            f"got {mosaic.dtype} {tuple(mosaic.shape)}"
        )
    planes = mosaic.unsqueeze(-3) * bayer_mask(mosaic.shape[-2:], pattern).to(mosaic)
    kernels = mosaic.new_tensor([_RED_BLUE, _GREEN, _RED_BLUE]).unsqueeze(1)
    padded = F.pad(planes.reshape(-1, *planes.shape[-3:]), (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, kernels, groups=3).reshape(planes.shape)


def to_colours(mosaic: Tensor, bayer: str | None, colour: str) -> Tensor:
    """(C, H, W) of a mosaic (H, W): RGB by bilinear interpolation ("demosaic"), RGB of half the size with a pixel for
    each Bayer cell, its two greens averaged ("cells"), or one channel where the sensor is monochrome."""
    check_name("colour", colour, list(COLOURS))
    if bayer is None:
        return mosaic[None]
    if colour == "demosaic":
        return demosaic(mosaic, bayer)
    height, width = (side // 2 for side in mosaic.shape)
    cells = mosaic.new_zeros(3, height, width)
    for row, column, channel in bayer_sites(bayer):
        share = 0.5 if channel == 1 else 1.0
        cells[channel] += share * mosaic[row::2, column::2][:height, :width]
    return cells


def to_channels_first(array: np.ndarray | Tensor) -> Tensor:
    """Tensor (..., C, H, W) of an array (..., H, W, C); a gray (H, W) becomes (1, H, W). Keeps the dtype.

    Raises InputError on fewer than two axes.
    """
    tensor = torch.as_tensor(array)
    if tensor.ndim < 2:
        raise InputError(f"array: expected (H, W) or (..., H, W, C), got {tuple(tensor.shape)}")
    return tensor[None] if tensor.ndim == 2 else tensor.movedim(-1, -3).contiguous()
