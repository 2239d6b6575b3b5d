"""Sources made of another source, such as one with scenes of one size."""

from typing import Any

import cv2
import numpy as np
from torch import Tensor

from lensless.data.source import Encoding, Source


class WrappedSource(Source):
    """The samples of another source; subclasses change what is stored."""

    def __init__(self, inner: Source):
        self.inner = inner
        self.labels, self.splits, self.groups = inner.labels, inner.splits, inner.groups
        self.encodings, self.digests = dict(inner.encodings), inner.digests

    def stored(self, what: str, index: int) -> np.ndarray | None:
        return self.inner.stored(what, index)

    def psf(self, mask: int) -> Tensor | None:
        return self.inner.psf(mask)

    def name(self, index: int) -> str:
        return self.inner.name(index)

    def identity(self) -> dict[str, Any]:
        return dict(self.inner.identity())


class ResizedScenes(WrappedSource):
    """RGB scenes of any size brought to one, by area averaging; what their proportions leave free is black.

    size: (H, W). Kept as 16-bit linear light, because light is what averages. A gray scene is repeated.
    """

    def __init__(self, inner: Source, *, size: tuple[int, int]):
        super().__init__(inner)
        self.size = size
        self.encodings["scene"] = Encoding(full_scale=65535)

    def stored(self, what: str, index: int) -> np.ndarray | None:
        if what != "scene":
            return super().stored(what, index)
        light = self.inner.light("scene", index)
        return None if light is None else fit(light.expand(3, -1, -1), self.size)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "scene_size": list(self.size)}


def fit(light: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Light (C, h, w) in [0, 1] as uint16 (H, W, C): as large as fits into ``size``, in its centre, black around."""
    height, width = light.shape[-2:]
    factor = min(size[0] / height, size[1] / width)
    rows, columns = max(round(factor * height), 1), max(round(factor * width), 1)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    pixels = cv2.resize(light.movedim(0, -1).numpy(), (columns, rows), interpolation=method)
    canvas = np.zeros((*size, light.shape[0]), np.uint16)
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    counts = np.rint(pixels.clip(0, 1) * 65535).astype(np.uint16)
    canvas[top : top + rows, left : left + columns] = counts.reshape(rows, columns, -1)
    return canvas
