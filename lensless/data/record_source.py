"""Folders of records that a Raspberry Pi wrote, as a source of samples."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lensless.data.psf_file import PSFFile
from lensless.data.records import Record, RecordFolder
from lensless.data.source import Encoding, Source
from lensless.data.stored import full_scale, stored_file
from lensless.data.wrapped import fit
from lensless.errors import require
from lensless.images.prepare import downsample as average_blocks
from lensless.images.read import list_images


class RecordSource(Source):
    """The records of the kind "scene" in a :class:`~lensless.data.records.RecordFolder`, and the pictures shown.

    Frames are made linear and demosaiced, then averaged over ``downsample`` pixels a side. The background of a frame is
    the last record of the kind "background" before it with the same mask, or else the first one after it, in
    proportion to exposure * gain where both records state them.

    Where the manifest says how large the monitor was, a scene is what it showed: the picture as large as fits, in the
    middle of black, with twice the measurement's pixels along its longer side: scenes of pictures of any size are then
    of one size. Otherwise it is the picture itself.

    root: the folder. scenes: the pictures' folder, relative to root; None where only measurements are wanted.
    scene_encoding: theirs. psf: file of the PSF, or arguments of :class:`lensless.data.psf_file.PSFFile`.
    Raises InputError on another schema, a record without its frame, or a picture that is not in ``scenes``.
    """

    def __init__(
        self,
        root: Path,
        *,
        scenes: str | None = None,
        scene_encoding: str = "srgb",
        psf: PSFFile | None = None,
        downsample: int = 1,
    ):
        self.root, self.psf_file, self.downsample = Path(root), psf, downsample
        folder = RecordFolder.open(self.root)
        self.records = {record.stem: record for record in folder.of("scene")}
        self.backgrounds = {record.stem: record for record in folder.records if record.kind == "background"}
        self.stems = list(self.records)
        self.labels = np.array([record.mask for record in self.records.values()])
        self.groups = [str(record.scene) for record in self.records.values()]
        self.splits = {}
        self.digests = {record.png.name: record.sha256 for record in folder.records if record.sha256}
        self.pictures = None if scenes is None else _pictures(self.root / scenes, self.groups)
        self.encodings = {"measurement": Encoding(), "scene": Encoding(), "background": Encoding()}
        self.screen = None
        if self.pictures is not None:
            scale = full_scale(self.stored("scene", 0).dtype)
            self.encodings["scene"] = Encoding(full_scale=scale, encoding=scene_encoding)
        if folder.screen is not None:
            factor = 2 * max(self.stored("measurement", 0).shape) / max(folder.screen)
            self.screen = tuple(round(side * factor) for side in folder.screen)
            self.picture_encoding, self.encodings["scene"] = self.encodings["scene"], Encoding(full_scale=65535)

    def stored(self, what: str, index: int) -> np.ndarray | None:
        if what == "scene":
            return None if self.pictures is None else self._scene(self.pictures[self.groups[index]])
        record = self.records[self.stems[index]]
        if what == "measurement":
            return self._pixels(record.image())
        background = self._background(record)
        return None if background is None else self._pixels(_share(record, background) * background.image())

    def _scene(self, file: Path) -> np.ndarray:
        picture = stored_file(file)
        if self.screen is None:
            return picture
        return fit(self.picture_encoding.light(picture).expand(3, -1, -1), self.screen)

    def _pixels(self, image: Tensor) -> np.ndarray:
        return np.ascontiguousarray(average_blocks(image, self.downsample).movedim(0, -1).numpy())

    def _background(self, record: Record) -> Record | None:
        same = [other for other in self.backgrounds.values() if other.mask == record.mask]
        before = [other for other in same if other.stem < record.stem]
        return before[-1] if before else next(iter(same), None)

    def psf(self, mask: int) -> Tensor | None:
        if self.psf_file is None:
            return None
        height, width, channels = self.stored("measurement", 0).shape
        return self.psf_file.read(self.root / self.psf_file.file_of(mask), (channels, height, width))

    def name(self, index: int) -> str:
        return f"{self.root.name}/{self.stems[index]}"

    def identity(self) -> dict[str, Any]:
        return {
            "kind": "records", "root": str(self.root.resolve()), "downsample": self.downsample,
            "screen": self.screen,
            "records": [[stem, (self.root / f"{stem}.json").stat().st_mtime_ns] for stem in self.stems],
        }  # fmt: skip


def _share(record: Record, background: Record) -> float:
    """What the light of ``background`` amounts to under the settings of ``record``."""
    if record.integration is None or background.integration is None:
        return 1.0
    return record.integration / background.integration


def _pictures(folder: Path, names: list[str]) -> dict[str, Path]:
    found = {file.name: file for file in list_images(folder)}
    missing = sorted(set(names) - set(found))
    require(not missing, f"scenes: {folder} lacks {', '.join(missing[:3])} ({len(missing)} in all)")
    return found
