"""A screen that remembers what it shows."""

import numpy as np

from lensless_capture.errors import require
from lensless_capture.screens.base import black, check_picture


class SimulatedScreen:
    """``shown`` is the picture on a screen of ``size`` (H, W), black at first.

    height: of its picture, metres; pixels are square. brightness: of white, 1 being the bench's white.
    Raises InputError unless both are positive.
    """

    def __init__(self, size: tuple[int, int], *, height: float = 0.3, brightness: float = 1.0):
        require(min(height, brightness) > 0, f"height, brightness: expected > 0, got {height} m and {brightness}")
        self.size, self.brightness = tuple(size), brightness
        self.pitch = height / size[0]
        self.shown = black(self.size)

    @property
    def extent(self) -> tuple[float, float]:
        """(height, width) of the picture, metres."""
        return self.size[0] * self.pitch, self.size[1] * self.pitch

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.shown = black(self.size)

    def show(self, picture: np.ndarray) -> None:
        check_picture(picture, self.size)
        self.shown = picture.copy()
