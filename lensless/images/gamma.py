"""The sRGB transfer curve, both ways (IEC 61966-2-1)."""

import torch
from torch import Tensor


def srgb_to_linear(v: Tensor) -> Tensor:
    """Linear light of sRGB code: v / 12.92 up to 0.04045, ((v + 0.055) / 1.055)^2.4 above; any shape."""
    return torch.where(v <= 0.04045, v / 12.92, ((v.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: Tensor) -> Tensor:
    """sRGB code of linear light: 12.92 x up to 0.0031308, 1.055 x^(1/2.4) - 0.055 above; any shape."""
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
