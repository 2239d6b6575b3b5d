"""USB cameras through V4L2 and OpenCV."""

import time

import numpy as np

from lensless_capture.cameras.base import CameraInfo, Frame, Reported, Settings, check_layout
from lensless_capture.errors import DeviceError, InputError

# V4L2 keeps up to four filled buffers; the next frame after them began its exposure after the call.
QUEUED_FRAMES = 5
# V4L2 counts exposures in 100 microseconds (V4L2_CID_EXPOSURE_ABSOLUTE); 1 of V4L2_CID_EXPOSURE_AUTO is manual.
EXPOSURE_UNIT, MANUAL = 1e-4, 1


class UsbCamera:
    """A V4L2 camera that delivers 16-bit grey or raw words ("Y16 ", "Y12 ", "Y10 ", "BG12", ...).

    number: N of /dev/videoN. fourcc: the pixel format, four characters. size: (H, W). bits, black_level, bayer: of the
    sensor, as V4L2 does not say them. exposure_range: seconds. gain_range: the driver's numbers.
    Raises DeviceError on entry where the camera is missing or busy, InputError on a format or size it cannot deliver.
    """

    def __init__(
        self,
        number: int = 0,
        *,
        size: tuple[int, int],
        bits: int,
        fourcc: str = "Y16 ",
        black_level: float = 0.0,
        bayer: str | None = None,
        exposure_range: tuple[float, float] = (1e-4, 1.0),
        gain_range: tuple[float, float] = (0.0, 255.0),
    ):
        check_layout(bits, bayer)
        self.number, self.fourcc, self.black_level = number, fourcc, black_level
        self.info = CameraInfo(
            model=f"/dev/video{number}",
            size=tuple(size),
            bits=bits,
            bayer=bayer,
            exposure_range=exposure_range,
            gain_range=gain_range,
        )

    def __enter__(self):
        try:
            import cv2
        except ImportError as error:
            raise DeviceError("opencv: not installed; pip install 'lensless-capture[usb]'") from error
        self.cv2, self.current = cv2, None
        self.device = cv2.VideoCapture(self.number, cv2.CAP_V4L2)
        if not self.device.isOpened():
            raise DeviceError(f"camera: {self.info.model} cannot be opened; is it plugged in, or in use?")
        height, width = self.info.size
        for key, value in (
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self.fourcc)),
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_CONVERT_RGB, 0),
            (cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL),
            (cv2.CAP_PROP_AUTO_WB, 0),
        ):
            self.device.set(key, value)
        return self

    def __exit__(self, *error):
        self.device.release()

    def capture(self, settings: Settings) -> Frame:
        self.info.check(settings)
        if settings != self.current:
            self.device.set(self.cv2.CAP_PROP_EXPOSURE, round(settings.exposure / EXPOSURE_UNIT))
            self.device.set(self.cv2.CAP_PROP_GAIN, settings.gain)
            self.current = settings
        grabbed = all(self.device.grab() for _ in range(QUEUED_FRAMES))
        taken = time.monotonic()
        arrived, words = self.device.read() if grabbed else (False, None)
        if not arrived:
            raise DeviceError(f"camera: {self.info.model} delivered no frame; check the cable")
        reported = Reported(
            exposure=self.device.get(self.cv2.CAP_PROP_EXPOSURE) * EXPOSURE_UNIT,
            gain=self.device.get(self.cv2.CAP_PROP_GAIN),
            colour_gains=None,
            black_level=self.black_level,
            bits=self.info.bits,
            bayer=self.info.bayer,
            timestamp=taken,
        )
        return Frame(self._pixels(words), reported)

    def _pixels(self, words: np.ndarray) -> np.ndarray:
        height, width = self.info.size
        if words.nbytes != 2 * height * width:
            raise InputError(
                f"fourcc: {self.fourcc!r} gave {words.dtype} {words.shape}, expected 16-bit {self.info.size}; "
                "list what the camera can do with `v4l2-ctl --list-formats-ext`"
            )
        pixels = np.ascontiguousarray(words).reshape(-1).view(np.uint16).reshape(height, width)
        if pixels.max() > 2**self.info.bits - 1:
            raise InputError(f"bits: a count of {pixels.max()} does not fit {self.info.bits} bits; state more")
        return pixels
