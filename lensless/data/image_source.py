"""Folders of measurements and scenes, paired by the names of their files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lensless.data.psf_file import PSFFile
from lensless.data.source import Encoding, Source
from lensless.data.stored import full_scale, stored_file
from lensless.errors import InputError, require
from lensless.images.read import list_images


class ImageSource(Source):
    """A measurement and a scene under one name in two folders, through one mask.

    root: the data set's folder; the other paths are relative to it. measurements, scenes: folders of images that
    :func:`lensless.images.read.read_image` reads; scenes may be None where there are none.
    psf: file of the PSF, or the arguments of :class:`lensless.data.psf_file.PSFFile`; None where it is not known.
    background: a frame without the scene, stored like the measurements, or None.
    bits: depth of integer pixels, None for the width of their type. channel_order: "rgb" or "bgr". flip: how every
    image is mirrored, the PSF about its centre. encoding, scene_encoding: "linear" or "srgb".
    Raises InputError where a name has no partner.
    """

    def __init__(
        self,
        root: Path,
        *,
        measurements: str = "lensless",
        scenes: str | None = "lensed",
        psf: PSFFile | None = None,
        background: str | None = None,
        bits: int | None = None,
        channel_order: str = "rgb",
        flip: str = "none",
        encoding: str = "linear",
        scene_encoding: str = "linear",
    ):
        require(channel_order in ("rgb", "bgr"), f"channel_order: expected rgb or bgr, got {channel_order!r}")
        self.root, self.channel_order, self.flip = Path(root), channel_order, flip
        self.psf_file = None if psf is None else replace(psf, channel_order=channel_order, flip=flip)
        self.files = {"measurement": list_images(self.root / measurements)}
        if scenes is not None:
            self.files["scene"] = list_images(self.root / scenes)
            check_pairs(*self.files.values())
            partners = {file.stem: file for file in self.files["scene"]}
            self.files["scene"] = [partners[file.stem] for file in self.files["measurement"]]
        if background is not None:
            self.files["background"] = [self.root / background] * len(self.files["measurement"])
        self.labels = np.zeros(len(self.files["measurement"]), np.int64)
        self.groups = [file.stem for file in self.files["measurement"]]
        self.splits, self.digests = {}, {}
        words = {"measurement": encoding, "scene": scene_encoding, "background": encoding}
        self.encodings = {
            what: Encoding(full_scale=full_scale(stored_file(files[0]).dtype, bits), encoding=words[what])
            for what, files in self.files.items()
        }

    def stored(self, what: str, index: int) -> np.ndarray | None:
        if what not in self.files:
            return None
        values = stored_file(self.files[what][index])
        if self.channel_order == "bgr":
            values = values[..., ::-1]
        rows, columns = (-1 if self.flip in (word, "both") else 1 for word in ("vertical", "horizontal"))
        return np.ascontiguousarray(values[::rows, ::columns])

    def psf(self, mask: int) -> Tensor | None:
        if self.psf_file is None:
            return None
        height, width, channels = self.stored("measurement", 0).shape
        return self.psf_file.read(self.root / self.psf_file.file_of(mask), (channels, height, width))

    def name(self, index: int) -> str:
        return str(self.files["measurement"][index].relative_to(self.root))

    def identity(self) -> dict[str, Any]:
        stamps = {
            what: [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
            for what, files in self.files.items()
        }
        return {"kind": "images", "files": stamps, "channel_order": self.channel_order, "flip": self.flip}


def check_pairs(measurements: list[Path], scenes: list[Path]) -> None:
    """Raise InputError unless the two folders hold the same names, whatever the suffixes."""
    stems = [[file.stem for file in files] for files in (measurements, scenes)]
    for names, files in zip(stems, (measurements, scenes), strict=True):
        require(len(set(names)) == len(names), f"{files[0].parent}: expected each name once, whatever its suffix")
    for have, lack, files in ((stems[0], stems[1], scenes), (stems[1], stems[0], measurements)):
        alone = sorted(set(have) - set(lack))
        if alone:
            raise InputError(
                f"{files[0].parent}: no image named {', '.join(alone[:3])}{' ...' if alone[3:] else ''}, which has a "
                f"partner in the other folder ({len(alone)} in all)"
            )
