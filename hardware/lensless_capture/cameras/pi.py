"""Raspberry Pi cameras through Picamera2: raw, unpacked, nothing automatic."""

from typing import Any

import numpy as np

from lensless_capture.cameras.base import CameraInfo, Frame, Reported, Settings
from lensless_capture.errors import DeviceError, InputError

# Frames between asking for an exposure and its arrival: the sensor's delay and the requests already queued.
SETTLING_FRAMES = 20
# What a sensor may round to: exposures to whole lines, gains to register steps (a V2's are 4 % apart at gain 10).
EXPOSURE_STEP, RELATIVE_STEP = 40e-6, 0.05
# Seconds to wait for a frame beyond four exposures: one that runs, one that is queued and the one asked for.
PATIENCE = 5.0


class PiCamera:
    """HQ (IMX477), Global Shutter (IMX296), V2 (IMX219) and V3 (IMX708) on a Pi 3 to 5.

    Bits, Bayer order and black level are what the configured camera reports: a Pi 5 delivers its 12 bits shifted to
    16, an upside-down module another order. Auto exposure and white balance are off.

    number: of the camera, as `rpicam-hello --list-cameras` counts. size: (H, W) of a sensor mode, binned modes
    included; default the largest. hflip, vflip: turn the picture, read out so by the sensor.
    Raises DeviceError on entry where the camera is missing or busy, InputError on a size that it has no mode for.
    """

    def __init__(
        self, number: int = 0, *, size: tuple[int, int] | None = None, hflip: bool = False, vflip: bool = False
    ):
        self.number, self.size, self.hflip, self.vflip = number, size, hflip, vflip

    def __enter__(self):
        try:
            import libcamera
            import picamera2
        except ImportError as error:
            raise DeviceError(
                f"picamera2: {error}; on the Pi run `sudo apt install python3-picamera2` and install this package "
                "where it can see it (pipx install --system-site-packages)"
            ) from error
        self.picamera2 = picamera2
        found = picamera2.Picamera2.global_camera_info()
        if self.number >= len(found):
            models = ", ".join(camera["Model"] for camera in found) or "none"
            raise DeviceError(f"camera: number {self.number} was not found (found: {models}); check the ribbon cable")
        try:
            self.device = picamera2.Picamera2(self.number)
        except RuntimeError as error:
            reason = error.__cause__ or error
            raise DeviceError(
                f"camera: {found[self.number]['Model']} cannot be opened ({reason}); is another program using it?"
            ) from error
        try:
            self.info = self._configure(libcamera.Transform(hflip=self.hflip, vflip=self.vflip))
            self.device.start()
        except BaseException:
            self.device.close()
            raise
        self.current = None
        return self

    def __exit__(self, *error):
        self.device.close()

    def _configure(self, transform: Any) -> CameraInfo:
        device = self.device
        mode = _mode(device.sensor_modes, self.size)
        device.configure(
            device.create_still_configuration(
                main={"size": (320, 240), "format": "YUV420"},
                raw={"size": mode["size"], "format": mode["unpacked"]},
                sensor={"output_size": mode["size"], "bit_depth": mode["bit_depth"]},
                transform=transform,
                buffer_count=3,
                controls={key: False for key in ("AeEnable", "AwbEnable") if key in device.camera_controls},
            )
        )
        raw = device.camera_configuration()["raw"]
        layout = self.picamera2.SensorFormat(raw["format"])
        if layout.packing is not None:
            raise DeviceError(f"camera: expected an unpacked raw format, got {raw['format']}; update picamera2")
        shortest, longest, _ = device.camera_controls["ExposureTime"]
        lowest, highest, _ = device.camera_controls["AnalogueGain"]
        return CameraInfo(
            model=device.camera_properties["Model"],
            size=(raw["size"][1], raw["size"][0]),
            bits=layout.bit_depth,
            bayer=None if layout.mono else layout.bayer_order,
            exposure_range=(shortest * 1e-6, longest * 1e-6),
            gain_range=(lowest, highest),
        )

    def capture(self, settings: Settings) -> Frame:
        self.info.check(settings)
        if settings != self.current:
            controls = {"ExposureTime": round(settings.exposure * 1e6), "AnalogueGain": settings.gain}
            if "ColourGains" in self.device.camera_controls:
                controls["ColourGains"] = settings.colour_gains
            self.device.set_controls(controls)
            self.current = settings
        for _ in range(SETTLING_FRAMES):
            frame = self._next(settings.exposure)
            if _arrived(settings, frame.reported):
                return frame
        raise DeviceError(
            f"camera: exposure {settings.exposure:g} s at gain {settings.gain:g} did not arrive within "
            f"{SETTLING_FRAMES} frames; the last one reported {frame.reported.exposure:g} s at {frame.reported.gain:g}"
        )

    def _next(self, exposure: float) -> Frame:
        """The first frame whose exposure begins from now on, with the metadata of the same request."""
        patience = PATIENCE + 4 * exposure
        try:
            with self.device.captured_request(wait=patience, flush=True) as request:
                return Frame(self._pixels(request.make_array("raw")), self._reported(request.get_metadata()))
        except TimeoutError as error:
            self.device.cancel_all_and_flush()
            raise DeviceError(f"camera: no frame within {patience:.0f} s; check the ribbon cable") from error

    def _pixels(self, rows: np.ndarray) -> np.ndarray:
        """Counts (H, W) from rows of bytes, which the camera pads."""
        return np.ascontiguousarray(rows.view(np.uint16)[:, : self.info.size[1]])

    def _reported(self, metadata: dict[str, Any]) -> Reported:
        # libcamera gives the black level of each channel as if full scale were 2^16
        black = np.mean(metadata["SensorBlackLevels"]) / 2 ** (16 - self.info.bits)
        return Reported(
            exposure=metadata["ExposureTime"] * 1e-6,
            gain=metadata["AnalogueGain"],
            colour_gains=metadata.get("ColourGains"),
            black_level=float(black),
            bits=self.info.bits,
            bayer=self.info.bayer,
            timestamp=metadata["SensorTimestamp"] * 1e-9,
            temperature=metadata.get("SensorTemperature"),
        )


def _mode(modes: list[dict[str, Any]], size: tuple[int, int] | None) -> dict[str, Any]:
    """The mode of ``size`` (H, W), or the largest, with the most bits."""
    raw = [mode for mode in modes if "size" in mode]  # a USB camera's name no size
    fitting = [mode for mode in raw if size is None or mode["size"] == (size[1], size[0])]
    if not fitting:
        sizes = sorted({(mode["size"][1], mode["size"][0]) for mode in raw})
        raise InputError(f"size: the sensor has {', '.join(map(str, sizes)) or 'no raw mode'}, got {size}; (H, W)")
    return max(fitting, key=lambda mode: (mode["size"][0] * mode["size"][1], mode["bit_depth"]))


def _arrived(asked: Settings, got: Reported) -> bool:
    return (
        abs(got.exposure - asked.exposure) <= RELATIVE_STEP * asked.exposure + EXPOSURE_STEP
        and abs(got.gain - asked.gain) <= RELATIVE_STEP * asked.gain
    )
