"""A rig: the camera, the monitor in front of it and its programmable mask, from a TOML file."""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from lensless_capture.cameras.base import Camera
from lensless_capture.cameras.folder import FolderCamera
from lensless_capture.cameras.pi import PiCamera
from lensless_capture.cameras.usb import UsbCamera
from lensless_capture.cameras.virtual import VirtualCamera
from lensless_capture.errors import InputError, require
from lensless_capture.mask import Mask, ProgrammableMask, from_files, on_pixels, random_pattern
from lensless_capture.screens.base import Screen
from lensless_capture.screens.simulated import SimulatedScreen
from lensless_capture.screens.st7735 import St7735Screen
from lensless_capture.screens.window import WindowScreen

CAMERAS = {"pi": PiCamera, "usb": UsbCamera, "folder": FolderCamera}
SCREENS = {"window": WindowScreen, "st7735": St7735Screen, "simulated": SimulatedScreen}


@dataclass
class Rig:
    """What is open at once. display, mask: None where there is none."""

    camera: Camera
    display: Screen | None = None
    mask: Mask | None = None


def read_rig(name: str) -> dict[str, Any]:
    """The description of a rig: ``name`` of one that comes along ("pi", "virtual") or a TOML file.

    Raises InputError where it is neither or cannot be read.
    """
    entries = files("lensless_capture").joinpath("rigs").iterdir()
    shipped = {entry.name.removesuffix(".toml"): entry for entry in entries}
    file = shipped.get(name, Path(name).expanduser())
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"rig: {name!r} is no file and none of {', '.join(sorted(shipped))}") from None
    except ValueError as error:
        raise InputError(f"rig: {name} cannot be read as TOML ({error})") from error


def rig_opener(description: dict[str, Any]) -> Callable[[], AbstractContextManager[Rig]]:
    """A function that opens what ``description`` names, any number of times: `with opener() as rig`.

    [camera] kind = "pi", "usb", "folder" or "virtual"; [display] kind = "window" or "simulated";
    [mask] kind = "st7735", "window" or "simulated", with seeds and shape (random patterns) or folder (PNG files);
    all else are the arguments of that class. Raises InputError on an unknown part, kind or argument.
    """
    unknown = sorted(set(description) - {"camera", "display", "mask"})
    require(not unknown, f"rig: expected camera, display, mask, got {', '.join(unknown)}")
    require("camera" in description, "rig: expected a [camera]")
    return lambda: _open(**description)


@contextmanager
def _open(
    camera: dict[str, Any], display: dict[str, Any] | None = None, mask: dict[str, Any] | None = None
) -> Iterator[Rig]:
    with ExitStack() as parts:
        screen = None if display is None else parts.enter_context(_make("display", SCREENS, display))
        lcd = None if mask is None else _open_mask(parts, **mask)
        device = _virtual(camera, screen) if camera.get("kind") == "virtual" else _make("camera", CAMERAS, camera)
        yield Rig(parts.enter_context(device), screen, lcd)


def _open_mask(
    parts: ExitStack,
    *,
    seeds: list[int] | None = None,
    shape: list[int] | None = None,
    folder: str | None = None,
    **screen: Any,
) -> ProgrammableMask:
    require(
        (seeds is None) == (shape is None) != (folder is None), "mask: expected seeds and shape (sub-pixels), or folder"
    )
    lcd = parts.enter_context(_make("mask", SCREENS, screen))
    if folder is not None:
        return ProgrammableMask(lcd, from_files(Path(folder).expanduser(), lcd.size))
    return ProgrammableMask(lcd, [on_pixels(random_pattern(seed, tuple(shape)), lcd.size) for seed in seeds])


def _make(part: str, kinds: dict[str, type], description: dict[str, Any]) -> Any:
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in description.items()}
    kind = arguments.pop("kind", None)
    require(kind in kinds, f"{part}: expected a kind of {', '.join(kinds)}, got {kind!r}")
    try:
        return kinds[kind](**arguments)
    except TypeError as error:
        raise InputError(f"{part}: {error}") from error


def _virtual(camera: dict[str, Any], screen: Screen | None) -> VirtualCamera:
    """A virtual camera that sees the simulated display, nearest pixel by pixel, and ambient light."""
    arguments = {key: value for key, value in camera.items() if key != "kind"}
    size = tuple(arguments.pop("size", (120, 160)))
    ambient = arguments.pop("ambient", 0.02)
    arguments["faults"] = {int(at): fault for at, fault in arguments.pop("faults", {}).items()}

    def light() -> np.ndarray:
        if not isinstance(screen, SimulatedScreen):
            return np.full(size, 1.0 + ambient)
        rows, columns = (np.arange(n) * m // n for n, m in zip(size, screen.size, strict=True))
        return 10 * screen.shown.mean(axis=-1)[np.ix_(rows, columns)] / 255 + ambient

    return _make("camera", {"virtual": VirtualCamera}, {"kind": "virtual", "light": light, **arguments})
