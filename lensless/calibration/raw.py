"""Raw sensor layouts: colour filter mosaics, and channels last against channels first."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.cfa import bayer_mask

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


def to_channels_first(array: np.ndarray | Tensor) -> Tensor:
    """Tensor (..., C, H, W) of an array (..., H, W, C); a gray (H, W) becomes (1, H, W). Keeps the dtype.

    Raises InputError on fewer than two axes.
    """
    tensor = torch.as_tensor(array)
    if tensor.ndim < 2:
        raise InputError(f"array: expected (H, W) or (..., H, W, C), got {tuple(tensor.shape)}")
    return tensor[None] if tensor.ndim == 2 else tensor.movedim(-1, -3).contiguous()
