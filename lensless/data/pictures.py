"""Photographs decoded and shrunk once, for those who read them in every epoch."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from lensless.data.scenes import read_picture
from lensless.errors import require
from lensless.images.write import atomic_write


def shrink_pictures(
    pictures: Sequence[Path], folder: str | Path, *, longest_side: int, encoding: str = "srgb"
) -> list[Path]:
    """Files below ``folder`` with the same pictures, at most ``longest_side`` pixels a side: uint16 NPY, linear light.

    Averaging over areas also averages out what compression left behind, so `longest_side` at half of the pictures' own
    is a good choice. A picture that is there already, from the same file, is not made again. To be read with the
    encoding "linear". Raises PictureError where one cannot be read.
    """
    require(longest_side > 0, f"longest_side: expected pixels > 0, got {longest_side}")
    found = []
    for picture in tqdm(pictures, desc="shrink pictures", unit="picture", disable=None, leave=False):
        status = picture.stat()
        known = [str(picture.resolve()), status.st_size, status.st_mtime_ns, longest_side, encoding]
        name = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
        file = Path(folder).expanduser() / name / f"{picture.stem}.npy"
        if not file.exists():
            _write(file, _shrunk(picture, longest_side, encoding))
        found.append(file)
    return found


def _shrunk(picture: Path, longest_side: int, encoding: str) -> np.ndarray:
    light = read_picture(picture, encoding=encoding).movedim(0, -1).numpy()
    factor = min(longest_side / max(light.shape[:2]), 1)
    size = [max(round(side * factor), 1) for side in light.shape[:2]]
    return np.rint(cv2.resize(light, size[::-1], interpolation=cv2.INTER_AREA) * 65535).astype(np.uint16)


def _write(file: Path, values: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    with atomic_write(file) as temporary:
        temporary.write_bytes(buffer.getbuffer())
