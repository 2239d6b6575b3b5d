"""Restormer: a U-Net of transformer blocks whose attention runs over channels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lensless.errors import require
from lensless.models.padding import check_image

EPSILON = 1e-5


class Restormer(nn.Module):
    """U-Net of transposed-attention blocks with a global skip, at a cost linear in the number of pixels.

    Zamir, Arora, Khan, Hayat, Khan & Yang, "Restormer: efficient transformer for high-resolution image restoration",
    CVPR 2022, without bias and with bias-free layer normalisation as for its denoiser; the names of the layers are
    those of the published weights.

    in_channels: of the input; the first ``out_channels`` of them are the image that the output corrects. dim:
    channels at full size, doubled at each halving. blocks: transformer blocks at the four scales. refinement_blocks:
    those after the last. heads: of the attention at the four scales. expansion: width of the feed-forward part in
    units of the block's. Raises InputError for other than four scales, and for widths that the heads do not divide.
    """

    multiple = 8

    def __init__(
        self,
        in_channels: int = 3,
        *,
        out_channels: int = 3,
        dim: int = 24,
        blocks: Sequence[int] = (2, 2, 4, 4),
        refinement_blocks: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
    ):
        super().__init__()
        for name, values in (("blocks", blocks), ("heads", heads)):
            require(len(values) == 4, f"{name}: expected one number for each of the four scales, got {tuple(values)}")
        require(in_channels >= out_channels, f"in_channels: expected at least {out_channels}, got {in_channels}")
        for scale, count in enumerate(heads):
            width = dim * 2**scale
            require(width % count == 0, f"heads: expected a divisor of {width} channels at scale {scale}, got {count}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.dim = dim
        self.blocks = tuple(blocks)
        self.refinement_blocks = refinement_blocks
        self.heads = tuple(heads)
        self.expansion = expansion

        def level(scale: int, count: int, width: int) -> nn.Sequential:
            return nn.Sequential(*[TransformerBlock(width, heads[scale], expansion) for _ in range(count)])

        self.patch_embed = Embedding(in_channels, dim)
        self.encoder_level1 = level(0, blocks[0], dim)
        self.down1_2 = Halve(dim)
        self.encoder_level2 = level(1, blocks[1], 2 * dim)
        self.down2_3 = Halve(2 * dim)
        self.encoder_level3 = level(2, blocks[2], 4 * dim)
        self.down3_4 = Halve(4 * dim)
        self.latent = level(3, blocks[3], 8 * dim)
        self.up4_3 = Double(8 * dim)
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=False)
        self.decoder_level3 = level(2, blocks[2], 4 * dim)
        self.up3_2 = Double(4 * dim)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder_level2 = level(1, blocks[1], 2 * dim)
        self.up2_1 = Double(2 * dim)
        self.decoder_level1 = level(0, blocks[0], 2 * dim)
        self.refinement = level(0, refinement_blocks, 2 * dim)
        self.output = nn.Conv2d(2 * dim, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W); H and W multiples of 8, else InputError."""
        check_image(x, self)
        # the layout that CPUs convolve without a copy before and after
        first = self.encoder_level1(self.patch_embed(x.contiguous(memory_format=torch.channels_last)))
        second = self.encoder_level2(self.down1_2(first))
        third = self.encoder_level3(self.down2_3(second))
        deep = self.latent(self.down3_4(third))
        deep = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(deep), third], 1)))
        deep = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(deep), second], 1)))
        deep = self.decoder_level1(torch.cat([self.up2_1(deep), first], 1))
        return self.output(self.refinement(deep)).contiguous() + x[:, : self.out_channels]


class Embedding(nn.Module):
    """The image as features: a 3 x 3 convolution."""

    def __init__(self, in_channels: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Halve(nn.Module):
    """Half the size at twice the channels."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Double(nn.Module):
    """Twice the size at half the channels."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, width: int, heads: int, expansion: float):
        super().__init__()
        self.norm1 = PixelNorm(width)
        self.attn = ChannelAttention(width, heads)
        self.norm2 = PixelNorm(width)
        self.ffn = GatedFeedForward(width, expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class PixelNorm(nn.Module):
    """weight * x / sqrt(var(x) + 1e-5), the variance over the channels of each pixel; the mean stays."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.ParameterDict({"weight": torch.ones(width)})

    def forward(self, x: Tensor) -> Tensor:
        # torch.var along the channels takes seven times as long on a CPU
        variance = (x - x.mean(1, keepdim=True)).square().mean(1, keepdim=True)
        return x * (variance + EPSILON).rsqrt() * self.body["weight"][:, None, None]


class ChannelAttention(nn.Module):
    """softmax(t q k^T) v with the channels as tokens, q and k of unit norm over the image."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width, bias=False)
        self.project_out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.qkv_dwconv(self.qkv(x)).unflatten(1, (3, self.heads, -1)).flatten(-2)
        q, k, v = tokens.unbind(1)
        weights = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * self.temperature).softmax(-1)
        return self.project_out((weights @ v).reshape(x.shape))


class GatedFeedForward(nn.Module):
    """project(gelu(a) * b) with a, b two depthwise-filtered expansions of x."""

    def __init__(self, width: int, expansion: float):
        super().__init__()
        hidden = int(width * expansion)
        self.project_in = nn.Conv2d(width, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dwconv(self.project_in(x)).chunk(2, 1)
        return self.project_out(F.gelu(a) * b)
