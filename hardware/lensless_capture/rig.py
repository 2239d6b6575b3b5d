"""A rig: the camera, the monitor in front of it and its programmable mask, from a TOML file."""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lensless_capture.cameras.base import Camera
from lensless_capture.errors import InputError, require
from lensless_capture.mask import Mask
from lensless_capture.parts import CAMERAS, FOLDERS, SCREENS, make, open_mask, virtual_camera
from lensless_capture.screens.base import Screen


@dataclass
class Rig:
    """What is open at once. display, mask: None where there is none."""

    camera: Camera
    display: Screen | None = None
    mask: Mask | None = None

    def surroundings(self) -> dict[str, Any]:
        """The display's (H, W), and what each of the mask's patterns is, as JSON."""
        return {
            "display": None if self.display is None else list(self.display.size),
            "masks": None if self.mask is None else self.mask.about,
        }

    def describe(self) -> dict[str, Any]:
        """The camera as it is set up, and :meth:`surroundings`."""
        return {"camera": self.camera.info.to_json(), **self.surroundings()}


def read_rig(name: str) -> dict[str, Any]:
    """The description of a rig: ``name`` of one that comes along ("pi", "virtual") or a TOML file.

    Folders in it are relative to the file's own. Raises InputError where it is neither or cannot be read.
    """
    entries = files("lensless_capture").joinpath("rigs").iterdir()
    shipped = {entry.name.removesuffix(".toml"): entry for entry in entries}
    file = shipped.get(name, Path(name).expanduser())
    try:
        description = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"rig: {name!r} is no file and none of {', '.join(sorted(shipped))}") from None
    except ValueError as error:
        raise InputError(f"rig: {name} cannot be read as TOML ({error})") from error
    for part in description.values():
        if isinstance(part, dict):
            beside = {key: str(file.parent / Path(part[key]).expanduser()) for key in FOLDERS if key in part}
            part.update(beside)
    return description


def rig_opener(description: dict[str, Any]) -> Callable[[], AbstractContextManager[Rig]]:
    """A function that opens what ``description`` names, any number of times: `with opener() as rig`.

    [camera] kind = "pi", "usb", "folder" or "virtual"; [display] kind = "window" or "simulated"; [mask] kind =
    "st7735", "window" or "simulated", with seeds and shape (random patterns) or folder (PNG files), or "wheel" with its
    count; [bench], of a virtual camera, with psfs (a folder of NNN.npy) or size; all else are those classes' arguments.
    Raises InputError on an unknown part, kind or argument.
    """
    known = ("camera", "display", "mask", "bench")
    unknown = sorted(set(description) - set(known))
    require(not unknown, f"rig: expected {', '.join(known)}, got {', '.join(unknown)}")
    require("camera" in description, "rig: expected a [camera]")
    return lambda: _open(**description)


@contextmanager
def _open(
    camera: dict[str, Any],
    display: dict[str, Any] | None = None,
    mask: dict[str, Any] | None = None,
    bench: dict[str, Any] | None = None,
) -> Iterator[Rig]:
    with ExitStack() as parts:
        screen = None if display is None else parts.enter_context(make("display", SCREENS, display))
        changer = None if mask is None else open_mask(parts, mask)
        if camera.get("kind") == "virtual":
            device = virtual_camera(camera, bench or {}, screen=screen, mask=changer)
        else:
            require(bench is None, "bench: expected beside a camera of the kind virtual alone")
            device = make("camera", CAMERAS, camera)
        yield Rig(parts.enter_context(device), screen, changer)
