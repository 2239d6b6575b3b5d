"""The Picamera2 adapter against the real picamera2 package, its hardware library alone replaced."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from lensless_capture.cameras.base import Settings
from lensless_capture.cameras.pi import PiCamera
from lensless_capture.errors import DeviceError, InputError

if importlib.util.find_spec("picamera2") is None:
    pytest.skip("picamera2 is not here: pip install --no-deps picamera2", allow_module_level=True)

# What picamera2 imports for video, DNG and previews, none of which takes part here.
ELSEWHERE = ("videodev2", "pidng", "pidng.core", "pidng.camdefs", "piexif", "simplejpeg", "av", "prctl", "pykms")


@pytest.fixture(scope="module")
def fake():
    spec = importlib.util.spec_from_file_location("libcamera", Path(__file__).with_name("fake_libcamera.py"))
    fake = importlib.util.module_from_spec(spec)
    stand_ins = {name: MagicMock() for name in ELSEWHERE if name not in sys.modules} | {"libcamera": fake}
    sys.modules.update(stand_ins)
    spec.loader.exec_module(fake)
    try:
        allocator = importlib.import_module("picamera2.allocators.dmaallocator")
        allocator.DmaHeap = fake.Heap
        allocator.fcntl = SimpleNamespace(ioctl=lambda *arguments: 0)
        yield fake
    finally:
        for name in [*stand_ins, *(name for name in sys.modules if name.startswith("picamera2"))]:
            del sys.modules[name]


@pytest.fixture
def board(fake):
    """What is plugged in; the tests change it."""
    vars(fake.board).update(pi5=False, busy=False, silent=False, mono=False)
    fake.manager.cameras = [fake.Camera()]
    return fake.board


def test_it_says_what_the_configured_camera_reports(board):
    with PiCamera() as camera:
        info = camera.info
    assert (info.model, info.size, info.bits, info.bayer) == ("imx477", (96, 130), 12, "BGGR")
    assert info.exposure_range == pytest.approx((60e-6, 1.0))
    assert info.gain_range == (1.0, 16.0)


@pytest.mark.parametrize(
    ("hflip", "vflip", "order"),
    [(False, False, "BGGR"), (True, False, "GBRG"), (False, True, "GRBG"), (True, True, "RGGB")],
)
def test_the_bayer_order_follows_the_orientation(board, hflip, vflip, order):
    with PiCamera(size=(48, 64), hflip=hflip, vflip=vflip) as camera:
        assert camera.info.bayer == order == camera.capture(Settings(0.02)).reported.bayer


@pytest.mark.parametrize(("pi5", "bits"), [(False, 12), (True, 16)])
def test_pixels_and_metadata_are_of_one_request_without_padding(board, pi5, bits):
    board.pi5 = pi5
    with PiCamera() as camera:
        frames = [camera.capture(Settings(0.05, 2.0)) for _ in range(3)]
    for pixels, reported in frames:
        assert pixels.shape == (96, 130) and pixels.dtype == np.uint16
        assert (reported.bits, reported.black_level) == (bits, 256 * 2 ** (bits - 12))
        assert (reported.exposure, reported.gain, reported.temperature) == (pytest.approx(0.05), 2.0, 31.0)
        # columns count up; 0xFFFF of the padding would stand out
        steps = np.diff(pixels.astype(int), axis=1)
        assert (steps == 2 ** (bits - 12)).all()
        # 1000 x 0.05 s x 2 above black, and the number of the frame
        assert 100 <= pixels[0, 0] / 2 ** (bits - 12) - 256 < 164


def test_a_frame_has_the_exposure_that_was_asked_for_and_began_after_the_call(board, fake):
    with PiCamera() as camera:
        for settings in (Settings(0.01), Settings(0.3, 4.0, (1.5, 2.0)), Settings(0.01)):
            now = fake.time.monotonic()
            reported = camera.capture(settings).reported
            assert (reported.exposure, reported.gain) == (pytest.approx(settings.exposure), settings.gain)
            assert reported.colour_gains == settings.colour_gains
            assert reported.timestamp - reported.exposure >= now


def test_nothing_is_automatic(board, fake):
    with PiCamera() as camera:
        camera.capture(Settings(0.01))
        (device,) = fake.manager.cameras
        assert (device.started_with["AeEnable"], device.started_with["AwbEnable"]) == (False, False)
        assert (device.settings["ExposureTimeMode"], device.settings["AnalogueGainMode"]) == (1, 1)


def test_a_monochrome_sensor_has_no_bayer_order_and_no_white_balance(board, fake):
    board.mono = True
    fake.manager.cameras = [fake.Camera()]
    with PiCamera() as camera:
        frame = camera.capture(Settings(0.02))
    assert camera.info.bayer is None and frame.reported.colour_gains is None


def test_what_is_wrong_is_said(board, fake):
    other = PiCamera(size=(50, 50))
    with pytest.raises(InputError, match=r"size: the sensor has \(48, 64\), \(96, 130\), got \(50, 50\)"), other:
        pass
    with PiCamera() as camera, pytest.raises(InputError, match=r"exposure: imx477 can do 6e-05 s to 1 s, got 5 s"):
        camera.capture(Settings(5.0))
    board.busy = True
    with pytest.raises(DeviceError, match=r"imx477 cannot be opened \(.*resource busy\)"), PiCamera():
        pass
    fake.manager.cameras = []
    with pytest.raises(DeviceError, match=r"number 0 was not found \(found: none\); check the ribbon"), PiCamera():
        pass


def test_a_camera_that_falls_silent_is_noticed_and_can_be_closed(board, monkeypatch):
    with PiCamera() as camera:
        camera.capture(Settings(0.01))
        board.silent = True
        monkeypatch.setattr("lensless_capture.cameras.pi.PATIENCE", 0.1)
        with pytest.raises(DeviceError, match="no frame within 0 s; check the ribbon cable"):
            camera.capture(Settings(0.01))


def test_a_renamed_method_would_fail_here(board):
    """The adapter calls the package's own class: without one of its methods nothing is captured."""
    from picamera2 import Picamera2

    with pytest.MonkeyPatch.context() as patch, PiCamera() as camera:
        patch.delattr(Picamera2, "captured_request")
        with pytest.raises(AttributeError, match="captured_request"):
            camera.capture(Settings(0.01))
