"""Folders of records that a Raspberry Pi wrote, as a source of samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lensless.data.psf_file import PSFFile
from lensless.data.source import Encoding, Source
from lensless.data.stored import full_scale, stored_file
from lensless.errors import InputError, require
from lensless.images.prepare import downsample as average_blocks
from lensless.images.read import list_images, read_image

SCHEMA = 1


class RecordSource(Source):
    """Records NNNNNN.json of the kind "scene" beside NNNNNN.png, a 16-bit raw frame, and the pictures that were shown.

    A record states kind, bits, black_level, bayer (null: monochrome), mask (a label, null for the only one) and scene
    (name of the picture shown). Frames are made linear and demosaiced, then averaged over ``downsample`` pixels a side.
    The background of a frame is the last record of the kind "background" before it with the same mask, or else the
    first one after it.

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
        schema = read_record(self.root / "manifest.json").get("schema")
        require(schema == SCHEMA, f"{self.root}/manifest.json: expected schema {SCHEMA}, got {schema}")
        files = sorted(file for file in self.root.glob("*.json") if file.stem.isdecimal())
        every = {file.stem: read_record(file) for file in files}
        missing = [stem for stem in every if not (self.root / f"{stem}.png").exists()]
        require(not missing, f"{self.root}: records without a frame: {', '.join(missing[:3])} ({len(missing)} in all)")
        self.records = {stem: record for stem, record in every.items() if record["kind"] == "scene"}
        self.backgrounds = {stem: record for stem, record in every.items() if record["kind"] == "background"}
        require(bool(self.records), f"{self.root}: expected records of the kind scene, found {len(every)} others")
        self.stems = list(self.records)
        self.labels = np.array([_mask(record) for record in self.records.values()])
        self.groups = [str(record["scene"]) for record in self.records.values()]
        self.splits = {}
        self.digests = {f"{stem}.png": record["sha256"] for stem, record in every.items() if "sha256" in record}
        self.pictures = None if scenes is None else _pictures(self.root / scenes, self.groups)
        self.encodings = {"measurement": Encoding(), "scene": Encoding(), "background": Encoding()}
        if self.pictures is not None:
            scale = full_scale(self.stored("scene", 0).dtype)
            self.encodings["scene"] = Encoding(full_scale=scale, encoding=scene_encoding)

    def stored(self, what: str, index: int) -> np.ndarray | None:
        if what == "scene":
            return None if self.pictures is None else stored_file(self.pictures[self.groups[index]])
        stem = self.stems[index]
        if what == "background":
            stem = self._background(stem)
        return None if stem is None else self._frame(stem)

    def _frame(self, stem: str) -> np.ndarray:
        record = self.records.get(stem) or self.backgrounds[stem]
        image = read_image(
            self.root / f"{stem}.png",
            bits=record["bits"],
            bayer=record["bayer"],
            black_level=record["black_level"],
        )
        return np.ascontiguousarray(average_blocks(image, self.downsample).movedim(0, -1).numpy())

    def _background(self, stem: str) -> str | None:
        mask = _mask(self.records[stem])
        same = [other for other, record in self.backgrounds.items() if _mask(record) == mask]
        before = [other for other in same if other < stem]
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
            "records": [[stem, (self.root / f"{stem}.json").stat().st_mtime_ns] for stem in self.stems],
        }  # fmt: skip


def read_record(file: Path) -> dict[str, Any]:
    """The JSON of a record or manifest. Raises InputError where it is missing or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected a folder of records") from None
    except ValueError as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from error


def _mask(record: dict[str, Any]) -> int:
    return 0 if record.get("mask") is None else int(record["mask"])


def _pictures(folder: Path, names: list[str]) -> dict[str, Path]:
    found = {file.name: file for file in list_images(folder)}
    missing = sorted(set(names) - set(found))
    require(not missing, f"scenes: {folder} lacks {', '.join(missing[:3])} ({len(missing)} in all)")
    return found
