"""Masks that can be changed: patterns, by seed or from files, on a screen that is the mask."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lensless_capture.errors import require
from lensless_capture.png import read_picture
from lensless_capture.screens.base import Screen, black


class Mask:
    """Patterns that a rig can put before its sensor, numbered by ``labels``; as it is, a wheel of simulated masks.

    about: what each pattern is, as JSON, in the order of the labels. ``shown`` is the label of the one that is there,
    None while the mask is closed, as it is at first.
    """

    def __init__(self, about: Sequence[dict[str, Any]]):
        self.about, self.labels, self.shown = list(about), range(len(about)), None

    def show(self, label: int) -> None:
        """Put pattern ``label`` there. Raises InputError on an unknown one."""
        require(label in self.labels, f"mask: expected a label from 0 to {len(self.about) - 1}, got {label}")
        self._put(label)
        self.shown = label

    def close(self) -> None:
        """Let through as little light as possible."""
        self._put(None)
        self.shown = None

    def _put(self, label: int | None) -> None:
        """What subclasses do for a label, or None for closing."""


class ProgrammableMask(Mask):
    """Patterns on ``screen``, an LCD.

    patterns: uint8 RGB (H, W, 3) of the screen's size. about: one for each of them.
    """

    def __init__(self, screen: Screen, patterns: Sequence[np.ndarray], about: Sequence[dict[str, Any]]):
        super().__init__(about)
        self.screen, self.patterns = screen, patterns

    def _put(self, label: int | None) -> None:
        self.screen.show(black(self.screen.size) if label is None else self.patterns[label])


def random_pattern(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Values uniform in [0, 1) for (rows, columns) sub-pixels, float32: those of `lensless.physics.lcd` for that seed.

    v = (m mod 2^24) / 2^24 with m the 32-bit words of MT19937 (Matsumoto & Nishimura 1998), which torch uses too.
    """
    words = np.random.RandomState(seed).randint(0, 2**32, size=shape, dtype=np.uint32)
    return (words % 2**24).astype(np.float32) / np.float32(2**24)


def on_pixels(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 RGB (H, W, 3) that shows ``values`` (3 h, w) in [0, 1] in the screen's middle, black around it.

    Sub-pixel row 3 i + c is colour c of pixel row i: colours change along the rows' axis.
    Raises InputError where the rows are no multiple of 3 or more than the screen has.
    """
    rows, columns = values.shape
    require(
        rows % 3 == 0 and rows // 3 <= size[0] and columns <= size[1],
        f"shape: expected (3 h, w) sub-pixels of at most {(3 * size[0], size[1])}, got {values.shape}",
    )
    picture = black(size)
    top, left = (size[0] - rows // 3) // 2, (size[1] - columns) // 2
    levels = np.rint(values * 255).astype(np.uint8).reshape(rows // 3, 3, columns)
    picture[top : top + rows // 3, left : left + columns] = levels.transpose(0, 2, 1)
    return picture


def from_seeds(screen: Screen, seeds: Sequence[int], shape: tuple[int, int]) -> ProgrammableMask:
    """The random pattern of (rows, columns) = ``shape`` sub-pixels of each seed."""
    patterns = [on_pixels(random_pattern(seed, shape), screen.size) for seed in seeds]
    return ProgrammableMask(screen, patterns, [{"seed": seed, "shape": list(shape)} for seed in seeds])


def from_files(screen: Screen, folder: Path) -> ProgrammableMask:
    """The PNG pictures of a folder in the order of their names. Raises InputError on none or another size."""
    files = sorted(folder.glob("*.png"))
    require(bool(files), f"patterns: {folder} holds no PNG")
    patterns = [read_picture(file) for file in files]
    for file, pattern in zip(files, patterns, strict=True):
        fits = pattern.shape[:2] == screen.size
        require(fits, f"{file}: expected the LCD's {screen.size} pixels, got {pattern.shape[:2]}")
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    about = [{"file": file.name, "sha256": digest} for file, digest in zip(files, digests, strict=True)]
    return ProgrammableMask(screen, patterns, about)
