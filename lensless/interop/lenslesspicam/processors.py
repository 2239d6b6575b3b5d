"""LenslessPiCam's way to run a network on an image: its padding, its scale and its noise map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lensless.errors import InputError, require

EPSILON = 1e-6
NOISE_LEVELS = 255


class PiCamProcessor(nn.Module):
    """m max(N(x / m, e), 0) with m = max(x) + 1e-6 of each sample and e the level / 255 everywhere, or the background.

    The image is padded by :func:`surround`, with zeros; the noise map is not. The background is not divided by m.
    Features, of any size, are brought to that of the network's coarsest scale by linear interpolation.

    network: a DRUNet with one input channel more than it returns (noise map) or twice as many (background).
    legacy: as in early versions, N(x) instead of N(x / m), and m = max(x) of each channel.
    Raises InputError for a network of other channels.
    """

    def __init__(self, network: nn.Module, *, legacy: bool = False):
        super().__init__()
        channels = network.out_channels
        require(
            network.in_channels in (channels + 1, 2 * channels),
            f"network: expected {channels + 1} or {2 * channels} input channels, got {network.in_channels}",
        )
        self.network = network
        self.legacy = legacy
        has_map = network.in_channels == channels + 1
        self.register_parameter("level", nn.Parameter(torch.zeros(1)) if has_map else None)

    def forward(self, x: Tensor, *, background: Tensor | None = None, features: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to the same shape. Raises InputError for a background that is missing or not wanted."""
        if (background is None) != (self.level is not None):
            raise InputError(f"background: this processor takes {'none' if background is not None else 'one'}")
        unit = x.amax((1, 2, 3), keepdim=True) + EPSILON
        planes = x if self.legacy else x / unit
        padded, window = surround(planes if background is None else torch.cat([planes, background], 1))
        if self.level is not None:
            padded = torch.cat([padded, (self.level / NOISE_LEVELS).expand_as(padded[:, :1])], 1)
        if features is not None:
            coarsest = [n // self.network.multiple for n in padded.shape[-2:]]
            features = F.interpolate(features, size=coarsest, mode="bilinear")
        image = self.network(padded) if features is None else self.network(padded, features)
        return image[window].clamp(min=0) * (x.amax((2, 3), keepdim=True) if self.legacy else unit)


class PiCamTransformerProcessor(nn.Module):
    """clip(N(x), 0, 1): neither scaled nor told a noise level; zeros at the bottom and right up to the multiple.

    network: a Restormer.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *, background: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to the same shape. Raises InputError for a background."""
        require(background is None, "background: this processor takes none")
        height, width = x.shape[-2:]
        multiple = self.network.multiple
        padded = F.pad(x, (0, -width % multiple, 0, -height % multiple))
        return self.network(padded)[..., :height, :width].clamp(0, 1)


class PiCamBackgroundSubtraction(nn.Module):
    """clip(y - b, 0, 1), or clip(y - N(b), 0, 1) with a processor N."""

    def __init__(self, processor: PiCamProcessor | None = None):
        super().__init__()
        self.processor = processor

    def forward(self, y: Tensor, background: Tensor) -> Tensor:
        """y and background (B, C, h, w) to the same shape."""
        if self.processor is not None:
            background = self.processor(background)
        return (y - background).clamp(0, 1)


def surround(x: Tensor, multiple: int = 8) -> tuple[Tensor, tuple]:
    """(..., H, W) with zeros on all sides up to a multiple, always at least one row and column, and the index of x.

    H grows by p = multiple - H % multiple, p // 2 of it at the top; W likewise.
    """
    margins, window = [], []
    for size in reversed(x.shape[-2:]):
        added = multiple - size % multiple
        margins += [added // 2, added - added // 2]
        window.insert(0, slice(added // 2, added // 2 + size))
    return F.pad(x, margins), (..., *window)
