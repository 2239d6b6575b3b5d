import sys
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest

from lensless_capture.errors import DeviceError, InputError
from lensless_capture.screens.base import black, checkerboard, mean_light, place, point
from lensless_capture.screens.simulated import SimulatedScreen
from lensless_capture.screens.st7735 import St7735Screen
from lensless_capture.screens.window import WindowScreen


def test_a_point_is_a_disc_about_the_centre_pixel():
    picture = point((21, 30), radius=2)
    rows, columns = np.nonzero(picture[..., 1])
    assert len(rows) == 13 and (rows.mean(), columns.mean()) == (10, 15)
    assert (point((21, 30), centre=(3, 4), radius=0).sum(-1) == 765).nonzero() == (np.array([3]), np.array([4]))
    with pytest.raises(InputError, match=r"centre: expected inside \(21, 30\), got \(21, 4\)"):
        point((21, 30), centre=(21, 4))


def test_a_checkerboard_changes_at_every_square():
    board = checkerboard((19, 17), square=4)[..., 0]
    np.testing.assert_array_equal(board[8:16, 8:16], np.kron([[255, 0], [0, 255]], np.ones((4, 4))))
    assert board.shape == (19, 17) and board[0, 16] == 255
    # of four squares by four, the white one in row 1 and column 1
    assert not board[4:8, 4:8].any() and board[0:4, 8:12].all()
    with pytest.raises(InputError, match=r"square: expected 1 to 4 pixels of a display of \(19, 17\), got 5"):
        checkerboard((19, 17), square=5)


def test_a_picture_keeps_its_proportions_and_is_placed_in_the_middle():
    shown = place(np.full((10, 20, 3), 200, np.uint8), (60, 80), height=0.5, brightness=0.5)
    rows, columns = np.nonzero(shown[..., 0])
    # 80 / 20 allows a factor of 4, half of it is 2
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 20, 59)
    assert (shown[20:40, 20:60] == 100).all()
    shifted = place(np.full((10, 20, 3), 200, np.uint8), (60, 80), height=0.5, shift=(-20, 7))
    assert np.argwhere(shifted[..., 0]).min(0).tolist() == [0, 27]


def test_the_light_of_a_picture_is_that_of_its_green_made_linear():
    picture = black((6, 8))
    picture[:3, :, 1] = 255
    picture[3:, :, 1] = 188
    picture[..., 0] = 77
    assert mean_light(picture) == pytest.approx((2 + 0.503) / 3, abs=1e-3)  # of rows 0, 2 and 4
    assert mean_light(black((6, 8))) == 0


def test_a_place_off_the_screen_is_refused():
    with pytest.raises(InputError, match=r"shift: \(1, 0\) moves a picture of \(60, 60\) off the screen"):
        place(black((9, 9)), (60, 80), shift=(1, 0))
    with pytest.raises(InputError, match=r"brightness: expected in \(0, 1\], got 1.5"):
        place(black((9, 9)), (60, 80), brightness=1.5)


def test_a_simulated_screen_shows_what_it_was_given():
    with SimulatedScreen((5, 7)) as screen:
        picture = point((5, 7))
        screen.show(picture)
        np.testing.assert_array_equal(screen.shown, picture)
        with pytest.raises(InputError, match=r"picture: expected uint8 \(5, 7, 3\), got float64 \(5, 7\)"):
            screen.show(np.zeros((5, 7)))


@pytest.fixture
def sdl(monkeypatch):
    """The real pygame on SDL's own dummy monitor."""
    pygame = pytest.importorskip("pygame", reason="pygame-ce is not here: pip install pygame-ce")
    if not hasattr(pygame, "Window"):
        pytest.skip("this pygame has no Window: pip install pygame-ce")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield pygame
    pygame.display.quit()


def test_a_window_fills_the_monitor_pixel_by_pixel(sdl):
    with WindowScreen(settle=0) as screen:
        picture = np.random.default_rng(1).integers(0, 256, (*screen.size, 3), dtype=np.uint8)
        screen.show(picture)
        drawn = sdl.surfarray.array3d(screen.window.get_surface()).swapaxes(0, 1)
        np.testing.assert_array_equal(drawn, picture)
        assert screen.size == sdl.display.get_desktop_sizes()[0][::-1]


def test_a_monitor_that_is_not_there_is_named(sdl, monkeypatch):
    with pytest.raises(DeviceError, match=r"screen: number 2 was not found; counted from 0 there are: \d+ x \d+"):
        WindowScreen(2).__enter__()
    sdl.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "none such")
    with pytest.raises(DeviceError, match="is a monitor connected"):
        WindowScreen().__enter__()


@pytest.fixture
def spi(monkeypatch):
    """The real st7735 library; the bus and the pins below it are replaced and keep what is sent."""
    sent = []
    spidev, pins = ModuleType("spidev"), MagicMock()
    spidev.SpiDev = lambda port, cs: MagicMock(xfer3=lambda data: sent.append(list(data)))
    stand_ins = {"spidev": spidev, "gpiod": pins, "gpiod.line": pins.line, "gpiodevice": pins.gpiodevice}
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    pins.gpiodevice.get_pin.return_value = (MagicMock(), 0)
    pytest.importorskip("st7735", reason="st7735 is not here: pip install --no-deps st7735")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield sent
    sys.modules.pop("st7735", None)


def test_the_lcd_gets_every_pixel_once(spi):
    with St7735Screen(size=(128, 160)) as screen:
        spi.clear()
        picture = black((128, 160))
        picture[3, 5] = (255, 255, 255)
        screen.show(picture)
    pixels = [byte for part in spi[: spi_end(spi)] for byte in part if len(part) > 4]
    assert len(pixels) == 2 * 128 * 160
    assert sum(byte == 0xFF for byte in pixels) == 2


def spi_end(sent):
    """Messages up to the end of the first whole picture."""
    total = 0
    for index, part in enumerate(sent):
        total += len(part) if len(part) > 4 else 0
        if total == 2 * 128 * 160:
            return index + 1
    return len(sent)


def test_an_lcd_that_does_not_open_says_what_to_check(spi, monkeypatch):
    def missing(port, cs):
        raise FileNotFoundError("/dev/spidev0.0")

    monkeypatch.setattr(sys.modules["spidev"], "SpiDev", missing)
    with pytest.raises(DeviceError, match=r"the LCD on SPI 0.0 does not open .*raspi-config nonint do_spi 0"):
        St7735Screen().__enter__()
