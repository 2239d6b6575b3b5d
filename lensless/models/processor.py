"""A network as a step of a reconstruction: any size, any exposure."""

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require
from lensless.models.padding import pad_to_multiple
from lensless.recon.base import per_sample

START_NOISE_LEVEL = 0.02


class Processor(nn.Module):
    """s N(x / s, e) with s the largest |x| of each sample: before the camera inversion, or after it.

    e is what ``network`` takes besides the image: a constant map of one learned noise level (a network with
    one channel more than it returns), the background b / s (``background``), or nothing (as many channels in as out).
    Doubling x, and the background, doubles the output to the last bit; a sample of zeros gives zeros. The image is
    padded at the bottom and right to the network's multiple by repeating its border, and cropped again.

    Bezzam, Perron & Vetterli, "Towards robust and generalizable lensless imaging with modular learned
    reconstruction", IEEE Trans. Computational Imaging 2025.

    network: with ``in_channels``, ``out_channels`` and ``multiple``, as DRUNet, Restormer and LightUNet. background:
    the network takes the measured background in place of the noise level. nonnegative: negative output becomes 0.
    Raises InputError for a network of another number of channels.
    """

    def __init__(self, network: nn.Module, *, background: bool = False, nonnegative: bool = True):
        super().__init__()
        channels, extra = network.out_channels, network.in_channels - network.out_channels
        allowed = (channels,) if background else (0, 1)
        require(
            extra in allowed,
            f"network: expected {' or '.join(str(channels + n) for n in allowed)} input channels for {channels} of "
            f"the image with background={background}, got {network.in_channels}",
        )
        self.network = network
        self.background = background
        self.nonnegative = nonnegative
        level = nn.Parameter(torch.tensor(START_NOISE_LEVEL)) if extra == 1 and not background else None
        self.register_parameter("noise_level", level)

    def forward(self, x: Tensor, *, background: Tensor | None = None, features: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to the same shape; ``background`` like x, ``features`` as the network takes them.

        Raises InputError for another number of channels than the network's, for a background that is missing, not
        wanted or of another shape.
        """
        self._check(x, background)
        scale = per_sample(x.abs().flatten(1).amax(1), 4)
        unit = torch.where(scale > 0, scale, torch.ones_like(scale))
        planes = [x / unit]
        if background is not None:
            planes.append(background / unit)
        if self.noise_level is not None:
            planes.append(self.noise_level.expand_as(x[:, :1]))
        planes = pad_to_multiple(torch.cat(planes, 1), self.network.multiple)
        image = self.network(planes) if features is None else self.network(planes, features)
        image = image[..., : x.shape[-2], : x.shape[-1]] * scale
        return image.clamp(min=0) if self.nonnegative else image

    def _check(self, x: Tensor, background: Tensor | None) -> None:
        channels = self.network.out_channels
        if x.ndim != 4 or x.shape[1] != channels:
            gray = x.ndim == 4 and x.shape[1] == 1
            advice = f"; repeat the gray channel, prepare.channels=[{','.join(channels * '0')}]" if gray else ""
            raise InputError(f"x: expected (B, {channels}, H, W) for this network, got {tuple(x.shape)}{advice}")
        if (background is not None) != self.background:
            came = "none" if background is None else "one"
            raise InputError(f"background: the processor was made with background={self.background}, got {came}")
        if background is not None and background.shape != x.shape:
            raise InputError(f"background: expected {tuple(x.shape)} like x, got {tuple(background.shape)}")
