"""A small U-Net for machines without an accelerator."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lensless.errors import require
from lensless.models.drunet import DRUNet
from lensless.models.padding import check_image

# pixels along the side of a square that become channels: every layer works at half the image's size
SQUARE = 2


class LightUNet(nn.Module):
    """A narrow residual DRUNet on 2 x 2 squares of pixels as channels: shuffle(N(unshuffle(x))).

    Squares as in FFDNet (Zhang, Zuo & Zhang, IEEE TIP 2018): the costly full size is never convolved. Full 3 x 3
    convolutions of few channels, as they take less time on a CPU than depthwise-separable ones of as many weights.
    Corrects the first ``out_channels`` of the input, by nothing before training. Homogeneous.

    in_channels, out_channels: of the image. widths, blocks: of the DRUNet; the default has 264,128 parameters.
    Raises InputError for fewer input than output channels, and as DRUNet.
    """

    def __init__(
        self, in_channels: int = 4, *, out_channels: int = 3, widths: Sequence[int] = (16, 32, 64), blocks: int = 2
    ):
        super().__init__()
        require(in_channels >= out_channels, f"in_channels: expected at least {out_channels}, got {in_channels}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.widths = tuple(widths)
        self.blocks = blocks
        squares = SQUARE**2
        self.body = DRUNet(
            in_channels * squares, out_channels=out_channels * squares, widths=widths, blocks=blocks, residual=True
        )

    @property
    def multiple(self) -> int:
        """H and W must be multiples of this: 8 with three widths."""
        return SQUARE * self.body.multiple

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W). Raises InputError for other shapes."""
        check_image(x, self)
        return F.pixel_shuffle(self.body(F.pixel_unshuffle(x, SQUARE)), SQUARE)
