"""A full-screen window on a monitor or HDMI LCD, through pygame and SDL."""

import time

import numpy as np

from lensless_capture.errors import DeviceError
from lensless_capture.screens.base import black, check_picture


class WindowScreen:
    """The whole of monitor ``number``, without borders or mouse pointer; works on a desktop and on a bare console.

    settle: seconds from drawing to the picture being on the glass: the monitor's delay and its crystals' response.
    Raises DeviceError on entry where there is no such screen.
    """

    def __init__(self, number: int = 0, *, settle: float = 0.15):
        self.number, self.settle = number, settle

    def __enter__(self):
        try:
            import pygame
        except ImportError as error:
            raise DeviceError("pygame: not installed; pip install 'lensless-capture[display]'") from error
        self.pygame = pygame
        try:
            pygame.display.init()
        except pygame.error as error:
            raise DeviceError(f"screen: none to draw on ({error}); is a monitor connected?") from error
        monitors = pygame.display.get_desktop_sizes()
        if self.number >= len(monitors):
            pygame.display.quit()
            found = ", ".join(f"{width} x {height}" for width, height in monitors)
            raise DeviceError(f"screen: number {self.number} was not found; counted from 0 there are: {found}")
        width, height = monitors[self.number]
        self.size = (height, width)
        # SDL takes the monitor's number in the low bits of "centred"
        corner = pygame.WINDOWPOS_CENTERED | self.number
        self.window = pygame.Window(
            "lensless-capture", (width, height), position=(corner, corner), fullscreen_desktop=True
        )
        pygame.mouse.set_visible(False)
        self.show(black(self.size))
        return self

    def __exit__(self, *error):
        self.window.destroy()

    def show(self, picture: np.ndarray) -> None:
        check_picture(picture, self.size)
        self.pygame.event.pump()
        surface = self.window.get_surface()
        # surfarray counts columns first
        self.pygame.surfarray.blit_array(surface, picture.swapaxes(0, 1))
        self.window.flip()
        time.sleep(self.settle)
