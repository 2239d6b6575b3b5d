"""Raw frames: the counts of a sensor, and the settings that they were taken with."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import require
from lensless.physics.cfa import bayer_sites

# A count within this of full scale is clipped: what the true light was is unknown.
CLIPPED = 0.98
# Pixels that are looked at for the step between counts.
SAMPLE = 100_000


@dataclass(frozen=True)
class RawFrame:
    """Counts (H, W), int32, of one frame or of an average of some.

    name: what to call it in a message. exposure: seconds. gain: analogue. bits: full scale is 2^bits - 1. black_level:
    counts of a pixel in the dark. bayer: colour filters of pixels (0, 0), (0, 1), (1, 0), (1, 1), None for monochrome.
    frames: how many were averaged, None where it is not known. Raises InputError on values that no camera has.
    """

    counts: Tensor
    _: KW_ONLY
    name: str
    exposure: float
    gain: float
    bits: int
    black_level: float
    bayer: str | None = None
    frames: int | None = None

    def __post_init__(self):
        require(self.counts.ndim == 2, f"{self.name}: expected counts (H, W), got {tuple(self.counts.shape)}")
        for key in ("exposure", "gain"):
            require(getattr(self, key) > 0, f"{self.name}: expected {key} > 0, got {getattr(self, key)}")
        require(8 <= self.bits <= 16, f"{self.name}: expected 8 to 16 bits, got {self.bits}")
        black = self.black_level
        require(0 <= black < self.full_scale, f"{self.name}: expected black_level 0 up to full scale, got {black}")
        most = int(self.counts.max())
        require(most <= self.full_scale, f"{self.name}: expected counts up to {self.full_scale}, got {most}")
        if self.bayer is not None:
            bayer_sites(self.bayer)

    @property
    def full_scale(self) -> int:
        """Largest count, 2^bits - 1."""
        return 2**self.bits - 1

    @property
    def integration(self) -> float:
        """exposure * gain, to which a linear sensor's signal is proportional, seconds."""
        return self.exposure * self.gain

    @property
    def step(self) -> float:
        """Counts between two values that one frame can have: the greatest common divisor of the counts' differences.

        An average of n frames has steps n times finer, which is undone.
        """
        some = np.unique(self.counts.flatten()[:: max(self.counts.numel() // SAMPLE, 1)].numpy())
        return float(np.gcd.reduce(np.diff(some))) * (self.frames or 1) if len(some) > 1 else 1.0

    def signal(self) -> Tensor:
        """(counts - black_level) / (2^bits - 1 - black_level), float32 (H, W); the noise keeps its mean."""
        return (self.counts.float() - self.black_level) / (self.full_scale - self.black_level)

    def clipped(self) -> Tensor:
        """Where the counts are within 2 % of full scale, bool (H, W)."""
        return self.counts >= CLIPPED * self.full_scale


def check_alike(frames: Sequence[RawFrame]) -> None:
    """Raise InputError unless there are frames, all of one size and colour filter array."""
    require(len(frames) > 0, "frames: expected at least one, got none")
    layouts = {(tuple(frame.counts.shape), frame.bayer): frame.name for frame in frames}
    found = "; ".join(f"{shape} {bayer or 'monochrome'} ({name})" for (shape, bayer), name in layouts.items())
    require(len(layouts) == 1, f"frames: expected one size and one colour filter array, got {found}")


def sites(shape: Sequence[int], bayer: str | None) -> list[tuple[slice, slice]]:
    """Rows and columns of the pixels of each colour filter: the four of a Bayer cell, or all pixels."""
    if bayer is None:
        return [(slice(None), slice(None))]
    return [(slice(row, None, 2), slice(column, None, 2)) for row, column, _ in bayer_sites(bayer)]


def gray_cells(mosaic: Tensor, bayer: str | None) -> tuple[Tensor, int]:
    """Mean over each Bayer cell, (H // 2, W // 2), and 2; a monochrome image as it is, and 1."""
    if bayer is None:
        return mosaic, 1
    height, width = (side // 2 for side in mosaic.shape)
    cells = [mosaic[rows, columns][:height, :width] for rows, columns in sites(mosaic.shape, bayer)]
    return torch.stack(cells).mean(0), 2


def around(mosaic: Tensor, bayer: str | None) -> list[Tensor]:
    """Eight views (H, W): the nearest pixels of the same colour in every direction, mirrored at the border."""
    step = 1 if bayer is None else 2
    height, width = mosaic.shape
    padded = F.pad(mosaic[None, None], (step,) * 4, mode="reflect")[0, 0]
    corners = [(y, x) for y in (0, step, 2 * step) for x in (0, step, 2 * step) if (y, x) != (step, step)]
    return [padded[y : y + height, x : x + width] for y, x in corners]
