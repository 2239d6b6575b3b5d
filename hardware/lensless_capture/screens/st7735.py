"""A small ST7735 LCD on the SPI bus, whose glass is the camera's mask."""

import time

import numpy as np
from PIL import Image

from lensless_capture.errors import DeviceError
from lensless_capture.screens.base import black, check_picture


class St7735Screen:
    """An ST7735R display, by default the 1.8 inch one of 128 x 160 pixels; wiring in README.md.

    size: (H, W). port, cs: of the SPI bus. dc, rst: the pins' names as `gpioinfo` prints them, such as "GPIO25".
    settle: seconds that the crystals need. Levels have 5, 6 and 5 bits in red, green and blue.
    Raises DeviceError on entry where the bus or the pins are not there.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] = (128, 160),
        port: int = 0,
        cs: int = 0,
        dc: str = "GPIO25",
        rst: str = "GPIO24",
        speed_hz: int = 16_000_000,
        settle: float = 0.1,
    ):
        self.size, self.port, self.cs, self.dc, self.rst = tuple(size), port, cs, dc, rst
        self.speed_hz, self.settle = speed_hz, settle

    def __enter__(self):
        try:
            import st7735
        except ImportError as error:
            raise DeviceError(f"st7735: {error}; pip install 'lensless-capture[mask]'") from error
        height, width = self.size
        try:
            # the library counts width and height before its quarter turn
            self.device = st7735.ST7735(
                self.port,
                self.cs,
                self.dc,
                rst=self.rst,
                width=height,
                height=width,
                rotation=90,
                invert=False,
                bgr=False,
                spi_speed_hz=self.speed_hz,
            )
        except (OSError, SystemExit) as error:  # its pin library exits where a pin is missing
            raise DeviceError(
                f"mask: the LCD on SPI {self.port}.{self.cs} does not open ({error}); switch SPI on with "
                "`sudo raspi-config nonint do_spi 0` and compare the wiring with README.md"
            ) from error
        self.show(black(self.size))
        return self

    def __exit__(self, *error):
        self.show(black(self.size))
        self.device = None  # lets go of its pins

    def show(self, picture: np.ndarray) -> None:
        check_picture(picture, self.size)
        self.device.display(Image.fromarray(picture))
        time.sleep(self.settle)
