"""The parts of a rig, each made of its section in the TOML file."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lensless_capture.cameras.bench import Bench
from lensless_capture.cameras.folder import FolderCamera
from lensless_capture.cameras.pi import PiCamera
from lensless_capture.cameras.psfs import caustic, stored_psfs
from lensless_capture.cameras.usb import UsbCamera
from lensless_capture.cameras.virtual import VirtualCamera
from lensless_capture.errors import InputError, require
from lensless_capture.mask import Mask, from_files, from_seeds
from lensless_capture.screens.base import Screen
from lensless_capture.screens.simulated import SimulatedScreen
from lensless_capture.screens.st7735 import St7735Screen
from lensless_capture.screens.window import WindowScreen

CAMERAS = {"pi": PiCamera, "usb": UsbCamera, "folder": FolderCamera, "virtual": VirtualCamera}
SCREENS = {"window": WindowScreen, "st7735": St7735Screen, "simulated": SimulatedScreen}
# Keys that name folders.
FOLDERS = ("folder", "psfs")
# (H, W) of a bench without psfs.
SIZE = (120, 160)


def make(part: str, kinds: dict[str, type], description: dict[str, Any]) -> Any:
    """The object of the ``kind`` that the section ``part`` names, all other keys being its arguments.

    Raises InputError on an unknown kind or argument.
    """
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in description.items()}
    kind = arguments.pop("kind", None)
    require(kind in kinds, f"{part}: expected a kind of {', '.join(kinds)}, got {kind!r}")
    try:
        return kinds[kind](**arguments)
    except TypeError as error:
        raise InputError(f"{part}: {error}") from error


def open_mask(parts: ExitStack, description: dict[str, Any]) -> Mask:
    """The mask of [mask], its screen opened as one of ``parts``."""
    others = dict(description)
    seeds, shape, folder, count = (others.pop(key, None) for key in ("seeds", "shape", "folder", "count"))
    if others.get("kind") == "wheel":
        require(isinstance(count, int) and len(others) == 1, f"mask: expected a wheel's count alone, got {description}")
        return Mask([{"place": place} for place in range(count)])
    require(
        (seeds is None) == (shape is None) != (folder is None) and count is None,
        "mask: expected seeds and shape (sub-pixels), or folder",
    )
    lcd = parts.enter_context(make("mask", SCREENS, others))
    return from_seeds(lcd, seeds, tuple(shape)) if folder is None else from_files(lcd, Path(folder))


def virtual_camera(
    camera: dict[str, Any], bench: dict[str, Any], *, screen: Screen | None, mask: Mask | None
) -> VirtualCamera:
    """The camera of [camera] behind the optics of [bench], whose PSFs are files or else made-up diffusers."""
    others = dict(bench)
    psfs, size = others.pop("psfs", None), tuple(others.pop("size", SIZE))
    require(psfs is None or "size" not in bench, "bench: expected psfs, which have a size, or size, got both")
    psf = stored_psfs(Path(psfs)) if psfs is not None else lambda label: caustic(label, size)
    optics = {"psf": psf, "screen": screen, "mask": mask, **_numbered(others, "disturbances")}
    light = make("bench", {"bench": Bench}, {"kind": "bench", **optics})
    return make("camera", CAMERAS, {"light": light, **_numbered(camera, "faults")})


def _numbered(section: dict[str, Any], key: str) -> dict[str, Any]:
    """The section with numbers for the keys of its table ``key``: TOML knows none but text."""
    if key not in section:
        return section
    try:
        return {**section, key: {int(number): what for number, what in section[key].items()}}
    except ValueError as error:
        raise InputError(f"{key}: expected numbers of frames, as in {{5 = 'stale'}} ({error})") from error
