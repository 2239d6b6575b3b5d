"""Record folders, which `lensless-capture` writes: raw frames, and what each of them said about itself."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lensless.calibration.frame import RawFrame
from lensless.errors import InputError, require
from lensless.images.decode import decode
from lensless.images.read import read_image

SCHEMA = 1
RETAKE = "run the same `lensless-capture` command again, which retakes it"
# keys of a record without which its frame means nothing
NEEDED = ("kind", "bits", "black_level", "bayer")


@dataclass(frozen=True)
class Record:
    """One record: NNNNNN.json beside NNNNNN.png, a 16-bit raw frame.

    file: the JSON. kind: "scene", "background", "dark", "psf" or "frame". scene: name of the picture shown. mask: label
    of the pattern shown, 0 for the only one. exposure: seconds. gain: analogue. black_level: counts. bayer: None where
    the sensor is monochrome. frames: how many were averaged, None where it is not said. square: pixels of the
    checkerboard's, None where none was shown. bytes, sha256: of the PNG.
    """

    file: Path
    kind: str
    bits: int
    black_level: float
    bayer: str | None
    scene: str | None = None
    mask: int = 0
    exposure: float | None = None
    gain: float | None = None
    frames: int | None = None
    square: int | None = None
    bytes: int | None = None
    sha256: str | None = None

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises InputError where the JSON is missing, damaged or lacks a key, or the frame is missing or cut short."""
        content = read_json(file)
        lacking = [key for key in NEEDED if key not in content]
        require(not lacking, f"{file}: expected a record with {', '.join(NEEDED)}, got none of {', '.join(lacking)}")
        for key in ("exposure", "gain"):
            value = content.get(key)
            positive = value is None or (isinstance(value, int | float) and value > 0)
            require(positive, f"{file}: expected {key} > 0, got {value!r}")
        said = ("scene", "exposure", "gain", "frames", "square", "bytes", "sha256")
        optional = {key: content.get(key) for key in said}
        mask = 0 if content.get("mask") is None else int(content["mask"])
        record = cls(file, **{key: content[key] for key in NEEDED}, mask=mask, **optional)
        if record.bytes is not None and record.png.exists():
            got = record.png.stat().st_size
            require(got == record.bytes, f"{record.png}: {got} of {record.bytes} bytes are there; {RETAKE}")
        return record

    @property
    def stem(self) -> str:
        """The number, as its files are called."""
        return self.file.stem

    @property
    def png(self) -> Path:
        """The frame's file."""
        return self.file.with_suffix(".png")

    @property
    def integration(self) -> float | None:
        """exposure * gain, seconds, None where one is not known."""
        return None if self.exposure is None or self.gain is None else self.exposure * self.gain

    def verify(self) -> None:
        """Raise InputError unless the frame has the sha256 that the record states, if it states one."""
        if self.sha256 is not None:
            got = hashlib.sha256(_bytes(self.png)).hexdigest()
            require(got == self.sha256, f"{self.png}: is not the frame that was recorded (sha256 differs); {RETAKE}")

    def image(self) -> Tensor:
        """Linear light (C, H, W), demosaiced: (counts - black_level) / (2^bits - 1 - black_level)."""
        try:
            return read_image(self.png, bits=self.bits, bayer=self.bayer, black_level=self.black_level)
        except InputError as error:
            raise InputError(f"{error}; if the file is at fault, {RETAKE}") from error

    def raw(self) -> RawFrame:
        """The counts as they are, for calibration. Raises InputError where exposure or gain are not known."""
        require(self.integration is not None, f"{self.file}: expected exposure and gain, which calibration needs")
        try:
            counts = decode(self.png, None).values
        except InputError as error:
            raise InputError(f"{error}; {RETAKE}") from error
        layout = counts.ndim == 2 and counts.dtype == np.uint16
        require(layout, f"{self.png}: expected a 16-bit gray PNG, got {counts.dtype} {counts.shape}")
        return RawFrame(
            torch.from_numpy(counts.astype(np.int32)),
            name=f"{self.file.parent.name}/{self.stem}",
            exposure=self.exposure,
            gain=self.gain,
            bits=self.bits,
            black_level=self.black_level,
            bayer=self.bayer,
            frames=self.frames,
        )


@dataclass(frozen=True)
class RecordFolder:
    """All records of a folder in the order of their numbers.

    camera: what the manifest says of it. display: (H, W) of the monitor, and screen: (H, W) of its pixels that pictures
    were fitted into, None where it is not said. shift: of that part's middle, (down, right) pixels of the monitor.
    """

    root: Path
    camera: Any
    records: tuple[Record, ...]
    display: tuple[int, int] | None = None
    screen: tuple[int, int] | None = None
    shift: tuple[int, int] = (0, 0)

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """Raises InputError on another schema, and on a damaged record or one without its whole frame."""
        root = Path(root).expanduser()
        manifest = read_json(root / "manifest.json")
        schema = manifest.get("schema")
        require(schema == SCHEMA, f"{root}/manifest.json: expected schema {SCHEMA}, got {schema}")
        records = tuple(Record.read(file) for file in sorted(root.glob("*.json")) if file.stem.isdecimal())
        missing = [record.stem for record in records if not record.png.exists()]
        require(
            not missing,
            f"{root}: records without a frame: {', '.join(missing[:3])} ({len(missing)} in all); {RETAKE}",
        )
        return cls(root, manifest.get("camera"), records, **_monitor(manifest))

    def of(self, *kinds: str) -> list[Record]:
        """The records of these kinds. Raises InputError, saying which kinds there are, where there is none."""
        found = [record for record in self.records if record.kind in kinds]
        others = Counter(record.kind for record in self.records)
        there = ", ".join(f"{count} {kind}" for kind, count in others.items()) or "no records"
        require(bool(found), f"{self.root}: expected records of the kind {' or '.join(kinds)}, found {there}")
        return found


def record_of(image: Path) -> Record | None:
    """The record whose frame an image file is, None where there is no such record beside it."""
    file = image.with_suffix(".json")
    if image.suffix != ".png" or not file.exists() or not all(key in read_json(file) for key in NEEDED):
        return None
    return Record.read(file)


def _monitor(manifest: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The display, screen and shift of a :class:`RecordFolder`, as far as they are said."""
    display, plan = manifest.get("display"), manifest.get("plan") or {}
    if display is None:
        return {}
    if plan.get("height") is None:
        return {"display": tuple(display)}
    screen = tuple(round(side * plan["height"]) for side in display)
    return {"display": tuple(display), "screen": screen, "shift": tuple(plan.get("shift") or (0, 0))}


def read_json(file: Path) -> Mapping[str, Any]:
    """The JSON object of a record or manifest. Raises InputError where it is missing or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{file}: no such file; expected a folder of records") from None
    except ValueError as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from error
    require(isinstance(content, dict), f"{file}: expected a JSON object, got a {type(content).__name__}")
    return content


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; {RETAKE}") from None
