"""Sizes that a network can halve."""

import torch
from torch import Tensor, nn

from lensless.errors import InputError


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and the last column of (B, C, H, W) until H and W are multiples of ``multiple``."""
    below, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    # by hand: torch 2.13's compiler gets the strides of F.pad's replicate backward wrong in channels-last networks
    if below:
        x = torch.cat([x, x[..., -1:, :].expand(*x.shape[:-2], below, -1)], -2)
    if right:
        x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], right)], -1)
    return x


def check_image(x: Tensor, network: nn.Module) -> None:
    """Raise InputError unless ``x`` is (B, network.in_channels, H, W) with multiples of network.multiple."""
    channels, multiple = network.in_channels, network.multiple
    if x.ndim != 4 or x.shape[1] != channels:
        raise InputError(f"x: expected (B, {channels}, H, W), got {tuple(x.shape)}")
    if x.shape[-2] % multiple or x.shape[-1] % multiple:
        raise InputError(
            f"x: expected multiples of {multiple} as H and W, got {tuple(x.shape)}; a Processor takes any size"
        )
