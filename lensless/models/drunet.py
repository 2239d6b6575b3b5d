"""DRUNet, the residual U-Net of plug-and-play restoration, under the layer names of its published weights."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require
from lensless.models.padding import check_image
from lensless.models.state import load_state, read_state, several


class ResidualBlock(nn.Module):
    """x + conv3(relu(conv3(x))), without bias."""

    def __init__(self, width: int):
        super().__init__()
        self.res = nn.Sequential(conv3(width, width), nn.ReLU(inplace=True), conv3(width, width))

    def forward(self, x: Tensor) -> Tensor:
        # in place, as touching fresh memory takes a third of a large batch's time on a CPU
        return self.res(x).add_(x)


class DRUNet(nn.Module):
    """U-Net with additive skips and residual blocks at every scale, without bias or normalisation.

    Zhang, Li, Zuo, Zhang, Van Gool & Timofte, "Plug-and-play image restoration with deep denoiser prior", IEEE
    TPAMI 2021; the names of the layers are those of its weights. Homogeneous: doubling x, and features, doubles
    the output.

    in_channels: of the input, with the noise-level map or the background. out_channels: of the output. widths:
    channels at each scale; from one to the next the image is halved. blocks: residual blocks at each scale, on the
    way down and on the way up. features: how many channels ``forward`` takes besides, to concatenate them at the
    coarsest scale (Zeng & Lam, IEEE TCI 2021). residual: the output corrects the first ``out_channels`` of the
    input, by nothing before training; a network that was not trained so (DPIR's) is not residual.
    Raises InputError for fewer than two widths, for numbers below 1 and, residual, for too few input channels.
    """

    def __init__(
        self,
        in_channels: int = 4,
        *,
        out_channels: int = 3,
        widths: Sequence[int] = (32, 64, 128, 256),
        blocks: int = 4,
        features: int = 0,
        residual: bool = False,
    ):
        super().__init__()
        require(len(widths) > 1, f"widths: expected at least two, got {tuple(widths)}")
        least = out_channels if residual else 1
        require(in_channels >= least, f"in_channels: expected at least {least}, got {in_channels}")
        for name, value in (("out_channels", out_channels), ("blocks", blocks), ("widths", min(widths))):
            require(value >= 1, f"{name}: expected at least 1, got {value}")
        require(features >= 0, f"features: expected a number of channels, or 0 for none, got {features}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.widths = tuple(widths)
        self.blocks = blocks
        self.features = features
        self.residual = residual
        self.m_head = conv3(in_channels, widths[0])
        for scale, (fine, coarse) in enumerate(pairwise(widths), start=1):
            halve = nn.Conv2d(fine, coarse, 2, stride=2, bias=False)
            double = nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False)
            self.add_module(f"m_down{scale}", nn.Sequential(*residual_blocks(fine, blocks), halve))
            self.add_module(f"m_up{scale}", nn.Sequential(double, *residual_blocks(fine, blocks)))
        merge = [conv3(widths[-1] + features, widths[-1]), nn.ReLU(inplace=True)] if features else []
        self.m_body = nn.Sequential(*merge, *residual_blocks(widths[-1], blocks))
        self.m_tail = conv3(widths[0], out_channels)
        if residual:
            nn.init.zeros_(self.m_tail.weight)

    @property
    def multiple(self) -> int:
        """H and W must be multiples of this: 8 with four widths."""
        return 2 ** (len(self.widths) - 1)

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """(B, in_channels, H, W), and (B, features, H / multiple, W / multiple), to (B, out_channels, H, W).

        Raises InputError for other shapes.
        """
        check_image(x, self)
        self._check_features(x, features)
        scales = range(1, len(self.widths))
        # the layout that CPUs convolve without a copy before and after
        deep = self.m_head(x.contiguous(memory_format=torch.channels_last))
        skips = [deep]
        for scale in scales:
            deep = self.get_submodule(f"m_down{scale}")(deep)
            skips.append(deep)
        deep = self.m_body(deep if features is None else torch.cat([deep, features], 1)).add_(skips.pop())
        for scale in reversed(scales):
            deep = self.get_submodule(f"m_up{scale}")(deep).add_(skips.pop())
        image = self.m_tail(deep).contiguous()
        return image + x[:, : self.out_channels] if self.residual else image

    def _check_features(self, x: Tensor, features: Tensor | None) -> None:
        expected = (len(x), self.features, x.shape[-2] // self.multiple, x.shape[-1] // self.multiple)
        if features is None:
            require(not self.features, f"features: expected {expected}, got none")
        else:
            require(self.features > 0, f"features: this network takes none, got {tuple(features.shape)}")
            require(features.shape == expected, f"features: expected {expected}, got {tuple(features.shape)}")


def load_dpir(path: str | Path) -> DRUNet:
    """The denoiser in a file of DPIR's weights (``drunet_color.pth``, ``drunet_gray.pth``), ready for use.

    Channels, widths and blocks are read off the shapes, so a network of any size under the same names loads.
    Raises InputError where the file is not of this layout, with the names that differ, grouped.
    """
    state = read_state(path)
    network = _network_of(state, path)
    load_state(network, state, str(path))
    return network.eval()


def _network_of(state: dict[str, Tensor], path: str | Path) -> DRUNet:
    """A DRUNet of the size that these weights have."""
    halvings = sorted(name for name in state if re.fullmatch(r"m_down\d\.\d+\.weight", name))
    blocks = {name.split(".")[1] for name in state if name.startswith("m_body.")}
    if not (halvings and blocks and "m_head.weight" in state and "m_tail.weight" in state):
        raise InputError(f"path: expected DPIR's layers m_head, m_down1 ... m_tail in {path}, got {several([*state])}")
    head, tail = state["m_head.weight"], state["m_tail.weight"]
    widths = (len(head), *[len(state[name]) for name in halvings])
    return DRUNet(head.shape[1], out_channels=len(tail), widths=widths, blocks=len(blocks))


def conv3(width_in: int, width_out: int) -> nn.Conv2d:
    """3 x 3 convolution without bias that keeps the size."""
    return nn.Conv2d(width_in, width_out, 3, padding=1, bias=False)


def residual_blocks(width: int, count: int) -> list[ResidualBlock]:
    return [ResidualBlock(width) for _ in range(count)]
