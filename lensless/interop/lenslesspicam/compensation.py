"""LenslessPiCam's compensation branch: coarser by a scale a block, beyond what the post-processor needs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.interop.lenslesspicam.inversions import CHANNELS
from lensless.models.compensation import CompensationBranch


class PiCamCompensation(CompensationBranch):
    """f_0 = pool(B_0(y)),   f_i = pool(B_i(f_(i-1), pool(max(x_i + R_i(x_i), 0)))).

    B and R are the layers of CompensationBranch, but R has no last ReLU; the pools take maxima and halve the f, the x_i
    follow; nothing is scaled. The last f is smaller than the coarsest scale of the post-processor, which stretches it.
    Made for evaluation: its batch normalisation uses running means.

    widths: channels of the f_i.
    """

    def __init__(self, widths: tuple[int, ...]):
        super().__init__(widths, channels=CHANNELS, multiple=1)

    def forward(self, y: Tensor, iterates: list[Tensor]) -> Tensor:
        """Features (B, widths[-1], H / 2^n, W / 2^n) of y (B, 3, H, W) and n - 1 iterates, n = len(widths)."""
        features = F.max_pool2d(self.branch[0](y), 2)
        for level, (x, refine, branch) in enumerate(zip(iterates, self.refine, self.branch[1:], strict=False), start=1):
            refined = F.max_pool2d(F.relu(x + refine[:-1](x)), 2**level)
            features = F.max_pool2d(branch(torch.cat([features, refined], 1)), 2)
        return features
