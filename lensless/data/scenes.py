"""Pictures as scenes: which ones, whose they are, and where they stand before a camera."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import skimage.data
import torch
from torch import Tensor

from lensless.errors import InputError, require
from lensless.images.read import list_images, read_image
from lensless.physics.system import System

# Colour photographs that ship in scikit-image's wheel, and what its documentation says about their copyright.
SKIMAGE = {
    "astronaut.png": "public domain (NASA)",
    "chelsea.png": "CC0 (Stefan van der Walt)",
    "coffee.png": "CC0 (Rachel Michetti)",
    "rocket.jpg": "public domain (SpaceX)",
}
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice)")
# Share of the field of view that a picture fills where no height is stated.
FILLED = 0.75


class PictureError(InputError):
    """One picture of many cannot be used; the others can."""


def list_pictures(source: str) -> list[Path]:
    """The pictures of a folder, a file or a glob in natural order, or those of "skimage".

    Raises InputError where there is none.
    """
    if source == "skimage":
        return [Path(skimage.data.__file__).with_name(name) for name in SKIMAGE]
    return list_images(source)


def find_licence(source: str, pictures: list[Path]) -> str:
    """What is known of the pictures' licence: scikit-image's, or the names of the licence files beside them."""
    if source == "skimage":
        return "; ".join(f"{name}: {licence}" for name, licence in SKIMAGE.items())
    folders = sorted({picture.parent for picture in pictures})
    found = [file.name for folder in folders for file in sorted(folder.iterdir()) if LICENCE_FILE.match(file.name)]
    return f"see {', '.join(found)} beside the pictures" if found else "not stated"


def read_picture(path: Path, *, encoding: str) -> Tensor:
    """Linear light (3, H, W) in [0, 1] of one picture; a gray one is repeated.

    encoding: "srgb" or "linear". Raises PictureError naming the file where it cannot be read or is no such picture.
    """
    try:
        picture = read_image(path, encoding=encoding)
        require(picture.ndim == 3 and picture.shape[0] in (1, 3), f"{path}: expected one gray or RGB picture")
        low, high = (float(value) for value in picture.aminmax())
        require(low >= 0 and high <= 1, f"{path}: expected values in [0, 1], got {low:.3g} to {high:.3g}")
    except InputError as error:
        raise PictureError(str(error)) from error
    return picture.expand(3, -1, -1)


@dataclass(frozen=True)
class Placement:
    """How large a picture is and where it stands; black around it.

    A picture of the height H metres at the system's scene distance s is H d / (s p) pixels high on its grid, d from
    the mask to the sensor and p the pitch of a pixel; its width follows from its proportions.

    height: H, or None for pictures that fill three quarters of the field of view in height or width, whichever is
    reached first. position: "random", anywhere that it is whole in view, or if it is larger than the field, anywhere
    that it fills it; or "centre". Raises InputError on another word or a height that is not positive.
    """

    height: float | None = None
    position: str = "random"

    def __post_init__(self):
        require(self.height is None or self.height > 0, f"height: expected metres > 0, got {self.height}")
        known = ("random", "centre")
        require(self.position in known, f"position: expected {' or '.join(known)}, got {self.position!r}")

    def __call__(self, picture: Tensor, system: System, generator: torch.Generator) -> tuple[Tensor, list[int]]:
        """The scene (C, h, w) on the system's grid and the picture's box in it, [top, left, height, width] in pixels.

        A box that is larger than the field starts at negative pixels. generator: of this sample.
        """
        field = system.sensor.shape
        size = self._pixels(picture, system)
        rooms = [whole - part for whole, part in zip(field, size, strict=True)]
        if self.position == "random":
            draws = [int(torch.randint(abs(room) + 1, (), generator=generator)) for room in rooms]
            start = [min(room, 0) + draw for room, draw in zip(rooms, draws, strict=True)]
        else:
            start = [whole // 2 - part // 2 for whole, part in zip(field, size, strict=True)]
        return place_picture(picture, field, size, start), [*start, *size]

    def _pixels(self, picture: Tensor, system: System) -> tuple[int, int]:
        """Height and width of the picture on the system's grid, at least one pixel."""
        dy, dx = system.pixel_on_scene
        proportion = picture.shape[-1] / picture.shape[-2]
        height = self.height
        if height is None:
            field = system.sensor.shape
            height = FILLED * min(field[0] * dy, field[1] * dx / proportion)
        return max(round(height / dy), 1), max(round(height * proportion / dx), 1)


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Pictures that fill the whole field of view: a patch cut out at random, enlarged at random, mirrored at random.

    The picture covers the field ``zoom`` times over in the tighter direction, zoom drawn log-uniformly from [least,
    most]; the patch is then any part of it. mirror: chance to mirror it left to right. To train on, where one picture
    has to serve often. Raises InputError on zooms below 1 or out of order and on a chance outside [0, 1].
    """

    zoom: tuple[float, float] = (1.0, 2.0)
    mirror: float = 0.5

    def __post_init__(self):
        ordered = len(self.zoom) == 2 and 1 <= self.zoom[0] <= self.zoom[1]
        require(ordered, f"zoom: expected [least, most], each at least 1, got {self.zoom}")
        require(0 <= self.mirror <= 1, f"mirror: expected a chance from 0 to 1, got {self.mirror}")

    def __call__(self, picture: Tensor, system: System, generator: torch.Generator) -> tuple[Tensor, list[int]]:
        """The scene and the box of the whole picture around it, as :class:`Placement` gives them."""
        return self.cut(picture, system.sensor.shape, generator)

    def cut(
        self, picture: Tensor, field: tuple[int, int], generator: torch.Generator
    ) -> tuple[Tensor, list[int]]:
        """The same for a field of (H, W) pixels."""
        shape, (least, most) = picture.shape[-2:], self.zoom
        chances = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        factor = least * (most / least) ** chances[0] * max(f / side for f, side in zip(field, shape, strict=True))
        part = [min(max(round(f / factor), 1), side) for f, side in zip(field, shape, strict=True)]
        top, left = (
            int(chance * (side - length + 1)) for chance, side, length in zip(chances[1:3], shape, part, strict=True)
        )
        patch = picture[:, top : top + part[0], left : left + part[1]]
        if chances[3] < self.mirror:
            patch, left = patch.flip(-1), shape[1] - left - part[1]
        y, x = (f / length for f, length in zip(field, part, strict=True))
        box = [round(edge) for edge in (-top * y, -left * x, shape[0] * y, shape[1] * x)]
        return place_picture(patch, field, field, (0, 0)), box


def place_picture(picture: Tensor, field: Sequence[int], size: Sequence[int], start: Sequence[int]) -> Tensor:
    """A picture (C, H, W), resized to ``size``, with its first pixel at row, column ``start`` of a black ``field``."""
    shrunk = size[0] <= picture.shape[-2] and size[1] <= picture.shape[-1]
    interpolation = cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR
    planes = [
        plane
        for colours in picture.split(4)  # the most that cv2.resize takes, and faster than one by one
        for plane in cv2.split(
            cv2.resize(cv2.merge(list(colours.numpy())), (size[1], size[0]), interpolation=interpolation)
        )
    ]
    scene = picture.new_zeros(picture.shape[0], *field)
    rows, columns = (slice(max(s, 0), s + part) for s, part in zip(start, size, strict=True))
    top, left = (max(-s, 0) for s in start)
    seen = scene[:, rows, columns]
    for plane, shown in zip(planes, seen, strict=True):
        shown.copy_(torch.from_numpy(plane)[top : top + seen.shape[1], left : left + seen.shape[2]])
    return scene
