import cv2
import numpy as np
import pytest
from PIL import Image

from lensless_capture.cameras.base import Settings
from lensless_capture.cameras.folder import FolderCamera
from lensless_capture.cameras.usb import UsbCamera
from lensless_capture.errors import DeviceError, InputError


class Device:
    """Stands in for the V4L2 device: four buffers filled before the call, then fresh frames."""

    def __init__(self, number, backend):
        self.number, self.backend, self.values, self.count, self.words = number, backend, {}, 0, np.uint16

    def isOpened(self):
        return self.number == 0

    def set(self, key, value):
        self.values[key] = value
        return True

    def get(self, key):
        return self.values[key]

    def grab(self):
        self.count += 1
        return self.count < 100

    def read(self):
        self.count += 1
        return True, np.full((1, 2 * 5 * 7), self.count, np.uint8).view(np.uint16)

    def release(self):
        self.values = {}


@pytest.fixture
def usb(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    with UsbCamera(size=(5, 7), bits=12, bayer="GRBG", black_level=64) as camera:
        yield camera


def test_usb_exposure_is_manual_in_units_of_100_microseconds(usb):
    frame = usb.capture(Settings(0.0234, 20.0))
    assert usb.device.values[cv2.CAP_PROP_EXPOSURE] == 234
    assert (usb.device.values[cv2.CAP_PROP_AUTO_EXPOSURE], usb.device.values[cv2.CAP_PROP_CONVERT_RGB]) == (1, 0)
    assert (frame.reported.exposure, frame.reported.gain) == (pytest.approx(0.0234), 20.0)
    assert usb.device.backend == cv2.CAP_V4L2


def test_usb_frames_that_wait_in_the_queue_are_passed_over(usb):
    frame = usb.capture(Settings(0.01))
    # the sixth frame: five were grabbed and dropped
    assert (frame.pixels == 6 + 256 * 6).all() and frame.pixels.shape == (5, 7)


def test_usb_without_a_camera_or_with_another_format_says_so(usb, monkeypatch):
    with pytest.raises(DeviceError, match="/dev/video3 cannot be opened"), UsbCamera(3, size=(5, 7), bits=12):
        pass
    usb.device.read = lambda: (True, np.zeros((5, 7, 3), np.uint8))
    with pytest.raises(InputError, match=r"fourcc: 'Y16 ' gave uint8 \(5, 7, 3\), expected 16-bit \(5, 7\)"):
        usb.capture(Settings(0.01))
    usb.device.read = lambda: (True, np.full((5, 7), 5000, np.uint16))
    with pytest.raises(InputError, match="a count of 5000 does not fit 12 bits"):
        usb.capture(Settings(0.01))
    usb.device.count = 99
    with pytest.raises(DeviceError, match="delivered no frame"):
        usb.capture(Settings(0.01))


def test_a_folder_is_replayed_in_order(tmp_path):
    expected = [np.arange(35, dtype=np.uint16).reshape(5, 7) * factor for factor in (3, 100)]
    for name, counts in zip("ab", expected, strict=True):
        Image.fromarray(counts).save(tmp_path / f"{name}.png")
    with FolderCamera(tmp_path, bits=12, black_level=16, exposure=0.5) as camera:
        frames = [camera.capture(Settings(0.1)) for _ in expected]
        with pytest.raises(DeviceError, match="all 2 files"):
            camera.capture(Settings(0.1))
    np.testing.assert_array_equal([frame.pixels for frame in frames], expected)
    assert frames[0].reported.exposure == 0.5 and frames[0].reported.timestamp < frames[1].reported.timestamp


def test_a_folder_of_other_things_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no PNG or TIFF"):
        FolderCamera(tmp_path, bits=12)
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png: expected 16-bit grey \(H, W\), got uint8 \(5, 7\)"):
        FolderCamera(tmp_path, bits=12)
    Image.fromarray(np.full((5, 7), 2000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="2000 does not fit bits=10"):
        FolderCamera(tmp_path, bits=10).capture(Settings(0.1))
