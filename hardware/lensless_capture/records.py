"""The record folder, the only contract between the Pi and the workstation.

    manifest.json                 {"schema": 1, "camera": {...}, "display": [H, W], "masks": [...], "plan": {...}, ...}
    000000.png  000000.json       16-bit raw counts; what the frame reported and what was shown
    quarantine/                   records that were found damaged, kept for inspection
    report.json                   what `report` makes of all this
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from lensless_capture.cameras.base import CameraInfo, Frame, Reported
from lensless_capture.errors import InputError, require
from lensless_capture.files import write_whole
from lensless_capture.png import encode, read_raw

SCHEMA = 1
KINDS = ("scene", "background", "dark", "psf", "frame")


class RecordFolder:
    """Numbered records in ``folder``: a record is complete as soon as its JSON is there, which is written last.

    Use :meth:`open`. ``damaged`` are the numbers that opening it moved to `quarantine`.
    """

    def __init__(self, folder: Path):
        self.folder, self.damaged = folder, []

    @classmethod
    def open(
        cls,
        folder: str | Path,
        camera: CameraInfo,
        plan: dict[str, Any],
        *,
        display: tuple[int, int] | None = None,
        masks: list[dict[str, Any]] | None = None,
    ) -> "RecordFolder":
        """Start a folder, or go on with one of the same camera, display, masks and ``plan`` (what is to be measured).

        display: (H, W) of the monitor. masks: what each pattern of a changeable mask is, as JSON.
        Records whose frame is missing or not as long as it was written are quarantined. Raises InputError, touching
        nothing, on another schema, camera, display, masks or plan, or a folder of other things.
        """
        self = cls(Path(folder))
        stated = {"schema": SCHEMA, "camera": camera.to_json(), "display": display, "masks": masks, "plan": plan}
        stated = _as_json(stated)
        manifest = self.folder / "manifest.json"
        if manifest.exists():
            found = _read(manifest)
            for key, value in stated.items():
                require(
                    found.get(key) == value,
                    f"{manifest}: expected {key} {value}, got {found.get(key)}; name another folder for these records",
                )
            self.damaged = [number for number in self.numbers() if not self._whole(number)]
            for number in self.damaged:
                self._quarantine(number)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            require(
                not any(self.folder.iterdir()),
                f"{self.folder}: expected a new or empty folder, or one with a manifest.json",
            )
            write_whole(manifest, _dump({**stated, "created": _now()}))
        return self

    @property
    def planned(self) -> int:
        """How many records the manifest promises. Raises InputError on a folder without one."""
        return _read(self.folder / "manifest.json")["plan"]["shots"]

    def numbers(self) -> list[int]:
        """Numbers of the complete records, in order."""
        return sorted(int(file.stem) for file in self.folder.glob("*.json") if file.stem.isdecimal())

    def missing(self, count: int) -> Iterator[int]:
        """Those of 0 to ``count`` - 1 that are not there yet, the first one first."""
        there = set(self.numbers())
        return (number for number in range(count) if number not in there)

    def write(
        self,
        number: int,
        frame: Frame,
        *,
        kind: str,
        scene: str | None = None,
        mask: int | None = None,
        verdict: str | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        """Write one record: first the frame, then its JSON, each whole or not at all.

        kind: scene, background, dark, psf or frame. scene: file name of the picture shown. mask: label of the pattern
        shown, None for the only mask. verdict: on the light, in words. notes: what else the JSON is to say.
        Raises OSError on a full disk.
        """
        require(kind in KINDS, f"kind: expected {', '.join(KINDS)}, got {kind!r}")
        content = encode(frame.pixels)
        record = {
            "kind": kind,
            "scene": scene,
            "mask": mask,
            "verdict": verdict,
            **(notes or {}),
            **frame.reported.to_json(),
            "time": _now(),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        write_whole(self._file(number, "png"), content)
        write_whole(self._file(number, "json"), _dump(record))

    def frame(self, number: int) -> Frame:
        """The frame of one record. Raises InputError where it cannot be read."""
        said = self.record(number)
        reported = {field.name: said[field.name] for field in fields(Reported)}
        return Frame(read_raw(self._file(number, "png")), Reported.from_json(reported))

    def record(self, number: int) -> dict[str, Any]:
        """What the JSON of one record says. Raises InputError where it cannot be read."""
        return _read(self._file(number, "json"))

    def _whole(self, number: int) -> bool:
        try:
            expected = self.record(number)["bytes"]
        except (InputError, KeyError, TypeError):
            return False
        frame = self._file(number, "png")
        return frame.exists() and frame.stat().st_size == expected

    def _quarantine(self, number: int) -> None:
        place = self.folder / "quarantine"
        place.mkdir(exist_ok=True)
        # a number can be damaged more than once
        attempt = sum(1 for _ in place.glob(f"{number:06d}.*.json"))
        for suffix in ("png", "json"):
            file = self._file(number, suffix)
            if file.exists():
                file.rename(place / f"{number:06d}.{attempt}.{suffix}")

    def _file(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06d}.{suffix}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _as_json(content: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(content))


def _dump(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected a folder of records") from None
    except ValueError as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from error
    require(isinstance(content, dict), f"{file}: expected a JSON object, got {type(content).__name__}")
    return content
