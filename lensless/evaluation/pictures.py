"""Where the benchmark's pictures lie."""

import re
from pathlib import Path


def picture_file(out: Path, *, system: str, image: int, contender: str) -> Path:
    """PNG of what a contender made of an image; "scene" and "measurement" are contenders too."""
    return out / "pictures" / _word(system) / f"{image:03d}" / f"{_word(contender)}.png"


def _word(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^\w.+-]+", "_", name)
