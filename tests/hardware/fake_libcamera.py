"""Stands in for libcamera, the hardware library under picamera2: a sensor with two modes that delivers known frames.

Not a test. Frame n has counts black + (n mod 64) + 1000 x exposure in seconds x gain, with a delay of two frames for
new controls, as a real sensor has; on the board the sensor is upside down, hence BGGR as it stands.
"""

import enum
import os
import threading
import time
from types import SimpleNamespace

import numpy as np

FRAME_TIME, DELAY, BLACK_16 = 0.004, 2, 4096
MODES = {"SRGGB10_CSI2P": [(64, 48)], "SRGGB12_CSI2P": [(64, 48), (130, 96)]}
# Set by the tests.
board = SimpleNamespace(pi5=False, busy=False, silent=False, cameras=1, mono=False)


class Named:
    """A control or property: known by its name."""

    def __init__(self, name, type=None):
        self.name, self.type = name, type


class Transform:
    def __init__(self, hflip=0, vflip=0, transpose=0):
        source = hflip if isinstance(hflip, Transform) else None
        self.hflip = source.hflip if source else int(hflip)
        self.vflip = source.vflip if source else int(vflip)
        self.transpose = source.transpose if source else int(transpose)

    def __str__(self):
        return f"hflip={self.hflip} vflip={self.vflip}"


class ColorSpace:
    YcbcrEncoding = SimpleNamespace(Null=0)
    Range = SimpleNamespace(Full=0)

    def __init__(self, source):
        self.primaries = source.primaries if isinstance(source, ColorSpace) else source
        self.transferFunction, self.ycbcrEncoding, self.range = 0, 1, 1

    def __str__(self):
        return self.primaries

    Sycc = classmethod(lambda cls: cls("sycc"))
    Smpte170m = classmethod(lambda cls: cls("smpte170m"))
    Rec709 = classmethod(lambda cls: cls("rec709"))
    Raw = classmethod(lambda cls: cls("raw"))


class Size:
    def __init__(self, width, height):
        self.width, self.height = width, height


class Rectangle:
    def __init__(self, x, y, width, height):
        self.x, self.y, self.width, self.height = x, y, width, height


class PixelFormat(str):
    pass


class SensorConfiguration:
    bit_depth = output_size = None


_turns = ("Rotate0", "Rotate90", "Rotate180", "Rotate270")
Orientation = enum.Enum("Orientation", [*_turns, *(f"{turn}Mirror" for turn in _turns)])
StreamRole = enum.Enum("StreamRole", ["StillCapture", "Raw", "VideoRecording", "Viewfinder"])
ControlType = enum.Enum("ControlType", ["Float", "Rectangle", "Size"])
_draft = SimpleNamespace(NoiseReductionModeEnum=SimpleNamespace(Minimal=3, Fast=1, HighQuality=2))
_manual = ("ExposureTime", "ExposureTimeMode", "AnalogueGain", "AnalogueGainMode", "ColourGains")
_names = (*_manual, "AeEnable", "AwbEnable", "FrameDurationLimits")
controls = SimpleNamespace(draft=_draft, **{name: Named(name, ControlType.Float) for name in _names})
properties = SimpleNamespace(draft=SimpleNamespace(ColorFilterArrangementEnum=SimpleNamespace(MONO=4)))
FrameMetadata = SimpleNamespace(Status=SimpleNamespace(Success=0))


class FrameBuffer:
    Plane = type("Plane", (), {})

    def __init__(self, planes):
        self.planes, self.metadata = planes, SimpleNamespace(status=FrameMetadata.Status.Success)


class Request:
    Status = SimpleNamespace(Complete=1)

    def __init__(self, cookie):
        self.cookie, self.buffers, self.metadata, self.asked, self.status = cookie, {}, {}, {}, 0

    def add_buffer(self, stream, buffer):
        self.buffers[stream] = buffer

    def set_control(self, control, value):
        self.asked[control.name] = value

    def reuse(self):
        self.asked, self.metadata = {}, {}


class Stream:
    def __init__(self, role):
        raw = role is StreamRole.Raw
        self.raw, self.stream, self.color_space = raw, object(), None
        modes = {_mono(name): [Size(*size) for size in sizes] for name, sizes in MODES.items()}
        self.formats = SimpleNamespace(pixel_formats=list(modes), sizes=modes.__getitem__)


class CameraConfiguration:
    Status = enum.Enum("Status", ["Valid", "Adjusted", "Invalid"])

    def __init__(self, roles):
        self.streams, self.sensor_config, self.orientation = [Stream(role) for role in roles], None, None

    def at(self, index):
        return self.streams[index]

    def __iter__(self):
        return iter(self.streams)

    def validate(self):
        for stream in self.streams:
            pixels = stream.size.width
            if stream.raw:
                stream.pixel_format = PixelFormat(self._raw_format(str(stream.pixel_format)))
                pixels *= 2
            stream.stride = -(-pixels // 32) * 32
            stream.frame_size = stream.stride * stream.size.height * (2 if not stream.raw else 1)
        return self.Status.Adjusted

    def _raw_format(self, asked):
        """The order that leaves the sensor, which is mounted upside down; a Pi 5 shifts everything to 16 bits."""
        depth = "16" if board.pi5 else asked[-2:] if asked[-2:].isdigit() else asked[-8:]
        if board.mono:
            return f"R{depth}"
        upside_down = {
            Orientation.Rotate0: "BGGR",
            Orientation.Rotate0Mirror: "GBRG",
            Orientation.Rotate180Mirror: "GRBG",
            Orientation.Rotate180: "RGGB",
        }
        return f"S{upside_down[self.orientation]}{depth}"


class Camera:
    id = "/base/soc/i2c0mux/i2c@1/imx477@1a"

    def __init__(self):
        limits = {
            "ExposureTime": (60, 1_000_000, 20_000),
            "AnalogueGain": (1.0, 16.0, 1.0),
            "AeEnable": (False, True, True),
            "FrameDurationLimits": (4000, 2_000_000, 4000),
            "ScalerCrop": (Rectangle(0, 0, 1, 1),) * 3,
        }
        colour = {"AwbEnable": (False, True, True), "ColourGains": (0.0, 32.0, 0.0)}
        known = limits if board.mono else limits | colour
        self.controls = {
            getattr(controls, name, Named(name)): SimpleNamespace(min=low, max=high, default=default)
            for name, (low, high, default) in known.items()
        }
        self.properties = {Named("Model"): "imx477", Named("ColorFilterArrangement"): 4 if board.mono else 0}
        self.settings, self.started_with, self.queue, self.running = {}, {}, [], False

    def acquire(self):
        if board.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")

    def release(self):
        pass

    def generate_configuration(self, roles):
        return CameraConfiguration(roles)

    def configure(self, configuration):
        self.configuration = configuration
        return 0

    def create_request(self, cookie):
        return Request(cookie)

    def start(self, given):
        self.started_with = {control.name: value for control, value in given.items()}
        self.settings = {"ExposureTime": 20_000, "AnalogueGain": 1.0, **self.started_with}
        self.queue, self.running = [], True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.running = False
        self.thread.join()

    def queue_request(self, request):
        self.queue.append(request)

    def _run(self):
        number, pending = 0, []
        while self.running:
            time.sleep(FRAME_TIME)
            if not self.queue or board.silent:
                continue
            request = self.queue.pop(0)
            pending.append(request.asked)
            if len(pending) > DELAY:
                self.settings |= pending.pop(0)
            self._expose(request, number)
            number += 1
            manager.deliver(request)

    def _expose(self, request, number):
        exposure, gain = self.settings["ExposureTime"], self.settings["AnalogueGain"]
        for stream in self.configuration:
            if stream.raw:
                bits = int(stream.pixel_format.lstrip("SRGB"))
                counts = (BLACK_16 >> 4) + number % 64 + round(1000 * exposure * 1e-6 * gain)
                rows = np.full((stream.size.height, stream.stride // 2), 0xFFFF, np.uint16)
                rows[:, : stream.size.width] = (counts + np.arange(stream.size.width)) << (bits - 12)
                os.pwrite(request.buffers[stream.stream].planes[0].fd, rows.tobytes(), 0)
        reported = {
            "ExposureTime": exposure,
            "AnalogueGain": gain,
            "SensorBlackLevels": (BLACK_16,) * 4,
            "SensorTimestamp": time.monotonic_ns(),
            "SensorTemperature": 31.0,
        }
        if not board.mono:
            reported["ColourGains"] = self.settings.get("ColourGains", (1.0, 1.0))
        request.metadata = {Named(name): value for name, value in reported.items()}
        request.status = Request.Status.Complete


class CameraManager:
    def __init__(self):
        self.event_fd, self.signal_fd = os.pipe()
        self.cameras, self.ready, self.lock = [], [], threading.Lock()

    @staticmethod
    def singleton():
        return manager

    def deliver(self, request):
        with self.lock:
            self.ready.append(request)
        os.write(self.signal_fd, b"\0")

    def get_ready_requests(self):
        with self.lock:
            ready, self.ready = self.ready, []
        if ready:
            os.read(self.event_fd, len(ready))
        return ready


class Heap:
    """Stands in for /dev/dma_heap: plain memory behind a file descriptor."""

    def alloc(self, name, size):
        descriptor = os.memfd_create(name)
        os.truncate(descriptor, size)
        return SimpleNamespace(get=lambda: descriptor, isValid=lambda: True)

    def close(self):
        pass


def _mono(name):
    return PixelFormat("R" + name.lstrip("SRGB")) if board.mono else PixelFormat(name)


manager = CameraManager()
_libcamera = SimpleNamespace(ColorSpace=ColorSpace, Transform=Transform)
