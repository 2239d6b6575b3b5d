"""A programmable mask: patterns, by seed or from files, on a screen that is the mask."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from lensless_capture.errors import InputError, require
from lensless_capture.png import read_picture
from lensless_capture.screens.base import Screen, black


class Mask(Protocol):
    """Patterns that a rig can put before its sensor, numbered by ``labels``."""

    labels: range

    def show(self, label: int) -> None:
        """Put pattern ``label`` there. Raises InputError on an unknown one."""
        ...

    def close(self) -> None:
        """Let through as little light as possible."""
        ...


class ProgrammableMask:
    """Pattern ``label``, counted from 0, on ``screen``.

    patterns: uint8 RGB (H, W, 3) of the screen's size. Raises InputError on an unknown label.
    """

    def __init__(self, screen: Screen, patterns: Sequence[np.ndarray]):
        self.screen, self.patterns, self.labels = screen, patterns, range(len(patterns))

    def show(self, label: int) -> None:
        if label not in self.labels:
            raise InputError(f"mask: expected a label from 0 to {len(self.patterns) - 1}, got {label}")
        self.screen.show(self.patterns[label])

    def close(self) -> None:
        self.screen.show(black(self.screen.size))


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


def from_files(folder: Path, size: tuple[int, int]) -> list[np.ndarray]:
    """The PNG pictures of a folder in the order of their names. Raises InputError on none or another size."""
    files = sorted(folder.glob("*.png"))
    require(bool(files), f"patterns: {folder} holds no PNG")
    patterns = [read_picture(file) for file in files]
    for file, pattern in zip(files, patterns, strict=True):
        require(pattern.shape[:2] == size, f"{file}: expected the LCD's {size} pixels, got {pattern.shape[:2]}")
    return patterns
