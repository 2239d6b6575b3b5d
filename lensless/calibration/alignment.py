"""Where the picture of a lensed camera lies in a lensless reconstruction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import InputError, require

# a matrix this close to whole pixels, at every corner of the scene, is a crop
WHOLE_PIXEL = 1e-6


@dataclass(frozen=True)
class Alignment:
    """The geometry between a scene, as a lensed camera saw it, and the reconstruction of its measurement.

        (X, Y, 1) ~ matrix (u, v, 1)       pixel centres, u and X to the right, v and Y downwards, from 0

    scene pixel (u, v) shows what reconstruction pixel (X, Y) shows. matrix: 3 x 3, any homography. size: (H, W) of the
    scene. Raises InputError on a matrix that cannot be inverted or a size that is not positive.
    """

    matrix: tuple[tuple[float, ...], ...]
    size: tuple[int, int]

    def __post_init__(self):
        rows = [list(row) for row in self.matrix]
        require([len(row) for row in rows] == [3, 3, 3], f"matrix: expected 3 x 3 numbers, got {rows}")
        values = np.array(rows, np.float64)
        regular = bool(np.isfinite(values).all()) and abs(np.linalg.det(values)) > 1e-12
        require(regular, f"matrix: expected finite numbers and an inverse, got {rows}")
        size = tuple(int(side) for side in self.size)
        require(len(size) == 2 and min(size) > 0, f"size: expected (H, W) > 0, got {self.size}")
        object.__setattr__(self, "matrix", tuple(tuple(row) for row in values.tolist()))
        object.__setattr__(self, "size", size)

    @classmethod
    def region(cls, top_left: Sequence[int], size: Sequence[int]) -> Self:
        """A scene that lies upright and pixel on pixel at row, column ``top_left`` of the reconstruction."""
        top, left = top_left
        return cls(((1, 0, left), (0, 1, top), (0, 0, 1)), (size[0], size[1]))

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> Self:
        """Read {size, top_left} or {size, matrix}; raises InputError where neither or both are there."""
        if "size" not in entry or ("matrix" in entry) == ("top_left" in entry):
            got = ", ".join(entry) or "nothing"
            raise InputError(f"alignment: expected size with either top_left or matrix, got {got}")
        if "matrix" in entry:
            return cls(tuple(tuple(row) for row in entry["matrix"]), tuple(entry["size"]))
        return cls.region(entry["top_left"], entry["size"])

    def to_card(self) -> dict[str, Any]:
        """What :meth:`from_card` reads, in the shortest form."""
        if self.top_left is not None:
            return {"top_left": list(self.top_left), "size": list(self.size)}
        return {"matrix": [list(row) for row in self.matrix], "size": list(self.size)}

    @property
    def top_left(self) -> tuple[int, int] | None:
        """Row and column of the scene's first pixel where the alignment is a crop by whole pixels, else None."""
        left, top = round(self.matrix[0][2]), round(self.matrix[1][2])
        crop = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
        reach = np.array([self.size[1], self.size[0], 1])
        exact = (np.abs(np.array(self.matrix) - crop) * reach).sum() < WHOLE_PIXEL * max(self.size)
        return (top, left) if exact else None

    @property
    def flip(self) -> str:
        """"none", "vertical", "horizontal" or "both": the mirroring with the least rotation besides."""
        (a, b, _), (c, d, _), _ = self.matrix
        mirrored = a * d - b * c < 0
        if mirrored:
            return "horizontal" if a - d < 0 else "vertical"
        return "both" if a + d < 0 else "none"

    @property
    def scale(self) -> float:
        """Reconstruction pixels a scene pixel, geometric mean of both directions, at the scene's first pixel."""
        (a, b, _), (c, d, _), _ = self.matrix
        return math.sqrt(abs(a * d - b * c))

    @property
    def rotation(self) -> float:
        """Angle in radians, clockwise on the screen, that is left once :attr:`flip` is undone."""
        (a, b, _), (c, d, _), _ = self.matrix
        sign_x = -1 if self.flip in ("horizontal", "both") else 1
        sign_y = -1 if self.flip in ("vertical", "both") else 1
        return math.atan2(c * sign_x - b * sign_y, a * sign_x + d * sign_y)

    def flipped(self, axes: str, shape: tuple[int, int]) -> "Alignment":
        """The alignment once the scene and the reconstruction, whose size is ``shape``, are both mirrored."""
        matrix = mirror(axes, shape) @ np.array(self.matrix) @ mirror(axes, self.size)
        return Alignment(tuple(map(tuple, matrix)), self.size)


def aligned_region(x: Tensor, alignment: Alignment | Sequence[Alignment]) -> Tensor:
    """The part of reconstructions that the lensed camera saw, on its pixels, by bilinear interpolation.

    Crops by whole pixels are exact copies; outside of the reconstruction it is black. Differentiable in x.

    x: (B, C, H, W). alignment: one for the batch, or one a sample, all of one size. Returns (B, C, *size).
    """
    each = [alignment] * len(x) if isinstance(alignment, Alignment) else list(alignment)
    require(len(each) == len(x), f"alignment: expected one, or one for each of {len(x)} samples, got {len(each)}")
    size = each[0].size
    require(all(one.size == size for one in each), "alignment: expected scenes of one size in a batch")
    corners = [one.top_left for one in each]
    if all(corner is not None and _inside(corner, size, x.shape[-2:]) for corner in corners):
        if len(set(corners)) == 1:
            top, left = corners[0]
            return x[..., top : top + size[0], left : left + size[1]]
        return torch.stack(
            [one[:, top : top + size[0], left : left + size[1]] for one, (top, left) in zip(x, corners, strict=True)]
        )
    grid = torch.stack([_sampling_grid(one, x.shape[-2:]) for one in each]).to(x)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _inside(corner: tuple[int, int], size: tuple[int, int], shape: Sequence[int]) -> bool:
    return all(0 <= start <= whole - part for start, part, whole in zip(corner, size, shape, strict=True))


def _sampling_grid(alignment: Alignment, shape: Sequence[int]) -> Tensor:
    """(H, W, 2) places to read in an image of ``shape``, -1 and 1 being the centres of its outermost pixels."""
    v, u = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in alignment.size), indexing="ij")
    place = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.tensor(alignment.matrix, dtype=torch.float64).T
    half = torch.tensor([max(shape[1] - 1, 1), max(shape[0] - 1, 1)], dtype=torch.float64) / 2
    return place[..., :2] / place[..., 2:] / half - 1


def mirror(axes: str, shape: Sequence[int]) -> np.ndarray:
    """The 3 x 3 matrix from the pixels of an image of ``shape`` to those of its mirror image."""
    matrix = np.eye(3)
    if axes in ("horizontal", "both"):
        matrix[0, 0], matrix[0, 2] = -1, shape[1] - 1
    if axes in ("vertical", "both"):
        matrix[1, 1], matrix[1, 2] = -1, shape[0] - 1
    return matrix
