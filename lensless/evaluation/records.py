"""The benchmark's records: one line of JSON for each model, system and image, by any number of processes."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensless.errors import InputError

# what a line has to have
ENTRIES = ("key", "model", "system", "image", "picture", "metrics")


@dataclass(frozen=True)
class Records:
    """What a folder of `*.jsonl` holds: each record once, by its key, and what was wrong with other lines.

    damaged: "FILE:LINE" of lines that are cut off or no records; what they were to hold counts as not there.
    repeated: how many lines had the key of another one; the first one counts.
    """

    by_key: dict[str, dict[str, Any]]
    damaged: list[str]
    repeated: int

    def __iter__(self):
        return iter(self.by_key.values())


@dataclass(frozen=True)
class Known:
    """Which records a folder holds, by their keys alone; damaged and repeated as for :class:`Records`."""

    keys: set[str]
    damaged: list[str]
    repeated: int


def record_key(*parts: Any) -> str:
    """sha256 of whatever decides a record, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def read_records(folder: Path) -> Records:
    """All records in the files of ``folder``, those of other machines that were copied there included."""
    by_key: dict[str, dict[str, Any]] = {}
    damaged, repeated = [], 0
    for place, record in _lines(folder):
        if record is None:
            damaged.append(place)
        elif by_key.setdefault(record["key"], record) is not record:
            repeated += 1
    return Records(by_key, damaged, repeated)


def known_records(folder: Path) -> Known:
    """The keys of all records in the files of ``folder``, in a small part of the memory that the records take."""
    keys: set[str] = set()
    damaged, repeated = [], 0
    for place, record in _lines(folder):
        if record is None:
            damaged.append(place)
        else:
            repeated += record["key"] in keys
            keys.add(record["key"])
    return Known(keys, damaged, repeated)


def _lines(folder: Path) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """"FILE:LINE" and its record, None for a damaged one."""
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.isspace():  # between two processes of which one took the other's write for a cut-off line
                    yield f"{file}:{number}", _parsed(line)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and all(entry in record for entry in ENTRIES)
    return record if whole and isinstance(record["metrics"], dict) else None


def append_records(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append lines in one write, down to the disk. Raises InputError where the file cannot be written.

    After a line that a killed process left unfinished they begin on a line of their own.
    """
    text = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as stream:
            if stream.tell() and not _ends_a_line(file):
                text = "\n" + text
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); what is there stays") from error


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
