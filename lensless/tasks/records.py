"""What is written down beside every result, and how a rerun knows what is finished."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lensless.versions import version


class Stopwatch:
    """Seconds of named stages: `with watch("read"): ...` adds to `watch.seconds["read"]`."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - began, 6)


def stamp(path: Path) -> dict[str, str | int]:
    """What tells a file from a changed one: its absolute path, size and time of modification."""
    status = path.stat()
    return {"path": str(path.absolute()), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def fingerprint(config: dict[str, Any], files: list[Path]) -> str:
    """sha256 of a configuration, the stamps of the files that it reads, and the version of this library."""
    content = [config, [stamp(path) for path in files], version("lensless-torch")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_finished(record: Path, expected: str) -> bool:
    """Whether the JSON ``record`` carries the fingerprint ``expected`` and every file that it lists is there."""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    if not isinstance(content, dict) or content.get("fingerprint") != expected:
        return False
    return all((record.parent / name).exists() for name in content["files"])
