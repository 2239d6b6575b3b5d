"""Where samples come from: stored images, read one at a time, and what is known of them without reading any."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lensless.errors import require
from lensless.images.gamma import srgb_to_linear

# the images that a sample may have
WHAT = ("measurement", "scene", "background")


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How stored numbers v stand for linear light: x = g((v - black_level) / (full_scale - black_level)).

    encoding: "linear" for g(v) = v, or "srgb" (IEC 61966-2-1, undone). Raises InputError on another word or a
    full scale that is not above the black level.
    """

    full_scale: float = 1.0
    black_level: float = 0.0
    encoding: str = "linear"

    def __post_init__(self):
        require(self.encoding in ("linear", "srgb"), f"encoding: expected linear or srgb, got {self.encoding!r}")
        require(
            self.full_scale > self.black_level,
            f"full_scale: expected more than the black level {self.black_level}, got {self.full_scale}",
        )

    def light(self, values: np.ndarray) -> Tensor:
        """Linear light (C, H, W) float32 of stored values (H, W, C), integer or floating point."""
        x = torch.from_numpy(values.astype(np.float32))
        if (self.black_level, self.full_scale) != (0.0, 1.0):
            x = (x - self.black_level) / (self.full_scale - self.black_level)
        if self.encoding == "srgb":
            x = srgb_to_linear(x)
        return x.movedim(-1, 0).contiguous()


class Source(ABC):
    """Samples as they are stored, numbered from 0 over all splits.

    labels: the mask of every sample, (N,). splits: numbers of the samples of each split that the source itself knows,
    empty where it knows none. groups: for every sample what its scene shows, so that no scene is in two splits.
    encodings: of "measurement", "scene" and "background". digests: sha256 of files, by their path in the data set, as
    far as the data set states them. All of these are known without decoding an image.
    """

    labels: np.ndarray
    splits: Mapping[str, np.ndarray]
    groups: list[str]
    encodings: Mapping[str, Encoding]
    digests: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def stored(self, what: str, index: int) -> np.ndarray | None:
        """The "measurement", "scene" or "background" of a sample as stored, (H, W, C); None where there is none.

        Raises InputError naming the file or row where it cannot be read.
        """

    @abstractmethod
    def psf(self, mask: int) -> Tensor | None:
        """PSF (C, h, w) of a mask, the mean of its C sums being 1; None where it is not known."""

    @abstractmethod
    def name(self, index: int) -> str:
        """What to call a sample in a message."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What the stored images are a function of, as JSON can hold it: the key of a cache."""

    def light(self, what: str, index: int) -> Tensor | None:
        """Linear light (C, H, W) of what :meth:`stored` gives."""
        values = self.stored(what, index)
        return None if values is None else self.encodings[what].light(values)
