"""A sensor without hardware: noise, exposure, saturation, a Bayer mosaic and counts, with faults on demand."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from lensless_capture.cameras.base import CameraInfo, Frame, Reported, Settings, check_layout
from lensless_capture.errors import DeviceError, require

FAULTS = ("dropped", "stale", "saturated", "unplugged")


class VirtualCamera:
    """Frame i is a function of (seed, i, light, settings):

    counts = round(clip(black_level + (2^bits - 1 - black_level) * light * exposure * gain + noise, 0, 2^bits - 1)),
    noise normal, its variance read_noise^2 plus the signal divided by the full well's electrons for each count.

    light: from a frame's number to what falls on the sensor, in full scales a second at gain 1, as (H, W) or as
    (3, H, W), of which each pixel sees the colour that ``bayer`` says, or their mean; its size is the frame's.
    read_noise: counts. full_well: electrons at full scale and gain 1.
    faults: what happens at the n-th call of capture, counted from 0: "dropped" (no frame comes), "stale" (the frame
    before), "saturated", "unplugged" (no frame from then on). Raises InputError on another fault.
    """

    def __init__(
        self,
        light: Callable[[int], np.ndarray],
        *,
        seed: int = 0,
        bits: int = 12,
        black_level: int = 256,
        bayer: str | None = "RGGB",
        read_noise: float = 2.0,
        full_well: float = 8000.0,
        faults: Mapping[int, str] | None = None,
    ):
        check_layout(bits, bayer)
        self.faults = dict(faults or {})
        unknown = sorted(set(self.faults.values()) - set(FAULTS))
        require(not unknown, f"faults: expected {', '.join(FAULTS)}, got {', '.join(unknown)}")
        self.light, self.seed, self.black_level = light, seed, black_level
        self.read_noise, self.full_well = read_noise, full_well
        self.info = CameraInfo(
            model="virtual",
            size=np.shape(light(0))[-2:],
            bits=bits,
            bayer=bayer,
            exposure_range=(1e-5, 10.0),
            gain_range=(1.0, 16.0),
        )
        self.calls, self.last = 0, None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.last = None

    def capture(self, settings: Settings) -> Frame:
        self.info.check(settings)
        index, self.calls = self.calls, self.calls + 1
        fault = self.faults.get(index)
        if any(kind == "unplugged" and index >= at for at, kind in self.faults.items()):
            raise DeviceError("camera: unplugged; check the ribbon cable")
        if fault == "dropped":
            raise DeviceError("camera: no frame came; the sensor dropped it")
        if fault == "stale" and self.last is not None:
            return self.last
        self.last = self._expose(index, settings, flood=fault == "saturated")
        return self.last

    def _expose(self, index: int, settings: Settings, *, flood: bool) -> Frame:
        full_scale = 2**self.info.bits - 1
        span = full_scale - self.black_level
        light = mosaic(np.asarray(self.light(index), np.float64), self.info.bayer)
        signal = span * light * settings.exposure * settings.gain
        if flood:
            signal = np.full_like(signal, 2.0 * span)
        counts_per_electron = span * settings.gain / self.full_well
        noise = np.random.default_rng((self.seed, index)).standard_normal(signal.shape)
        noise *= np.sqrt(self.read_noise**2 + counts_per_electron * signal)
        counts = np.clip(np.rint(self.black_level + signal + noise), 0, full_scale).astype(np.uint16)
        reported = Reported(
            exposure=settings.exposure,
            gain=settings.gain,
            colour_gains=settings.colour_gains,
            black_level=self.black_level,
            bits=self.info.bits,
            bayer=self.info.bayer,
            timestamp=time.monotonic(),
            temperature=25.0,
        )
        return Frame(counts, reported)


def mosaic(light: np.ndarray, bayer: str | None) -> np.ndarray:
    """What pixels see, (H, W), of light (3, H, W) in red, green and blue; of light (H, W), all of it."""
    if light.ndim == 2:
        return light
    if bayer is None:
        return light.mean(0)
    seen = np.empty(light.shape[1:])
    for place, colour in enumerate(bayer):
        row, column = divmod(place, 2)
        seen[row::2, column::2] = light["RGB".index(colour), row::2, column::2]
    return seen
