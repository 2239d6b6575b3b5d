"""The compensation branch of MMCN: what an unrolled inversion with a wrong PSF loses, taken past it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lensless.errors import require
from lensless.models.padding import pad_to_multiple
from lensless.recon.multi_wiener import double_conv


class CompensationBranch(nn.Module):
    """f_0 = B_0(y),   f_i = B_i(f_(i-1), max(x_i + R_i(x_i), 0))   with x_i the i-th iterate; the last f is the result.

    Zeng & Lam, "Robust reconstruction with deep learning to handle model mismatch in lensless imaging", IEEE Trans.
    Computational Imaging 7, 2021. B and R are pairs of convolutions, R without its last ReLU. Each f is half the size
    of the one before until it fits the coarsest scale of the post-processor, and so are the x_i, by averaging.
    Measurement and iterates enter in units of their means, the iterates in that of them all, so the exposure changes
    nothing.

    widths: channels of the f_i, one for every iteration of the inversion; the last is the ``features`` of DRUNet.
    channels: of the images. multiple: of the post-processor's network, a power of two: how much coarser its coarsest
    scale is. Raises InputError for fewer than two widths and a multiple that they cannot reach.
    """

    def __init__(self, widths: Sequence[int] = (24, 64, 128, 256, 400), *, channels: int = 3, multiple: int = 8):
        super().__init__()
        require(len(widths) > 1, f"widths: expected at least two, got {tuple(widths)}")
        require(
            multiple in [2**n for n in range(len(widths))],
            f"multiple: expected a power of two, at most {2 ** (len(widths) - 1)} with {len(widths)} widths, got "
            f"{multiple}",
        )
        self.widths = tuple(widths)
        self.channels = channels
        self.multiple = multiple
        inputs = (channels, *[width + channels for width in widths[:-1]])
        self.branch = nn.ModuleList(map(double_conv, inputs, widths))
        self.refine = nn.ModuleList(double_conv(channels, channels) for _ in widths[1:])

    def forward(self, y: Tensor, iterates: list[Tensor]) -> Tensor:
        """Features (B, widths[-1], ceil(H / multiple), ceil(W / multiple)) of y (B, C, H, W) and its iterates.

        Raises InputError unless there are as many iterates as widths, all of the shape of y.
        """
        shapes = {tuple(x.shape) for x in iterates}
        require(
            len(iterates) == len(self.widths) and shapes == {tuple(y.shape)} and y.shape[1] == self.channels,
            f"iterates: expected {len(self.widths)} of (B, {self.channels}, H, W) like the measurement, got "
            f"{len(iterates)} of {', '.join(map(str, sorted(shapes)))} for a measurement {tuple(y.shape)}",
        )
        unit = _mean(torch.cat(iterates, 1))
        features = self.branch[0](pad_to_multiple(y / _mean(y), self.multiple))
        coarser = 1
        for iterate, refine, branch in zip(iterates, self.refine, self.branch[1:], strict=False):
            if coarser < self.multiple:
                features, coarser = F.max_pool2d(features, 2), 2 * coarser
            x = F.avg_pool2d(pad_to_multiple(iterate / unit, self.multiple), coarser)
            features = branch(torch.cat([features, F.relu(x + refine[:-1](x))], 1))
        return features


def _mean(x: Tensor) -> Tensor:
    """Mean absolute value of each sample, (B, 1, 1, 1), never zero."""
    return x.abs().mean((1, 2, 3), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
