"""What a camera is: settings in, a raw frame and what it says about itself out."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from lensless_capture.errors import InputError, require

BAYER_ORDERS = ("RGGB", "BGGR", "GRBG", "GBRG")


@dataclass(frozen=True)
class Settings:
    """What is asked of a frame. exposure: seconds. gain: analogue. colour_gains: red and blue; raw stays untouched."""

    exposure: float
    gain: float = 1.0
    colour_gains: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class CameraInfo:
    """A camera as it is set up.

    size: (H, W) of a frame. bits: full scale is 2^bits - 1. bayer: RGGB, BGGR, GRBG or GBRG as the frame is oriented,
    None for monochrome. exposure_range: seconds. gain_range: analogue.
    """

    model: str
    size: tuple[int, int]
    bits: int
    bayer: str | None
    exposure_range: tuple[float, float]
    gain_range: tuple[float, float]

    def check(self, settings: Settings) -> None:
        """Raise InputError, saying the range, unless this camera can do ``settings``."""
        for name, value, (low, high), unit in (
            ("exposure", settings.exposure, self.exposure_range, " s"),
            ("gain", settings.gain, self.gain_range, ""),
        ):
            require(
                low <= value <= high,
                f"{name}: {self.model} can do {low:g}{unit} to {high:g}{unit}, got {value:g}{unit}",
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        pairs = {name: tuple(content[name]) for name in ("size", "exposure_range", "gain_range")}
        return cls(**{**content, **pairs})


@dataclass(frozen=True)
class Reported:
    """What a frame says about itself, enough to make it linear:

    x = (counts - black_level) / (2^bits - 1 - black_level).

    exposure: seconds. timestamp: seconds on the camera's own clock, which never goes back; of use only to order frames.
    temperature: of the sensor in degrees Celsius, None where it has no thermometer.
    """

    exposure: float
    gain: float
    colour_gains: tuple[float, float] | None
    black_level: float
    bits: int
    bayer: str | None
    timestamp: float
    temperature: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        gains = content["colour_gains"]
        return cls(**{**content, "colour_gains": None if gains is None else tuple(gains)})

    @property
    def full_scale(self) -> int:
        return 2**self.bits - 1


class Frame(NamedTuple):
    """Raw counts, uint16 (H, W), and what the very same frame reported."""

    pixels: np.ndarray
    reported: Reported


class Camera(Protocol):
    """A context manager that holds the camera; every frame begins its exposure after the call that asks for it."""

    info: CameraInfo

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def capture(self, settings: Settings) -> Frame:
        """One frame. Raises InputError on settings out of range and DeviceError where no frame comes."""
        ...


def check_layout(bits: int, bayer: str | None) -> None:
    """Raise InputError unless ``bits`` fits 16-bit files and ``bayer`` is a known order."""
    require(isinstance(bits, int) and 8 <= bits <= 16, f"bits: expected 8 to 16, got {bits!r}")
    if bayer is not None and bayer not in BAYER_ORDERS:
        raise InputError(f"bayer: expected {', '.join(BAYER_ORDERS)} or none (monochrome), got {bayer!r}")
