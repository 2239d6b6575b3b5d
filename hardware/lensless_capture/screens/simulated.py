"""A screen that remembers what it shows."""

import numpy as np

from lensless_capture.screens.base import black, check_picture


class SimulatedScreen:
    """``shown`` is the picture on a screen of ``size`` (H, W), black at first."""

    def __init__(self, size: tuple[int, int]):
        self.size = tuple(size)
        self.shown = black(self.size)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.shown = black(self.size)

    def show(self, picture: np.ndarray) -> None:
        check_picture(picture, self.size)
        self.shown = picture.copy()
