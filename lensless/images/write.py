"""Files out, whole or not at all: 16-bit PNG for looking at, NPY for computing with, JSON for the record."""

import errno
import io
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from lensless.errors import InputError
from lensless.images.gamma import linear_to_srgb

_HINTS = {
    errno.EACCES: "no permission to write there; choose another folder",
    errno.EPERM: "no permission to write there; choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EISDIR: "a folder has this name; choose another name",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.EEXIST: "a part of the path is a file; choose another folder",
}


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with its suffix, which is renamed to ``path`` on success.

    On any exception the temporary file is removed and an existing ``path`` stays as it was. Missing folders
    are made. Raises InputError naming the path where the system refuses (permission, disk full).
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        hint = _HINTS.get(error.errno, "choose another name or folder")
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); {hint}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_png16(path: str | os.PathLike, image: Tensor, *, gamma: str = "srgb") -> None:
    """16-bit PNG, round(65535 g(clip(x, 0, 1))), of a linear image (C, H, W), gray or RGB.

    gamma: "srgb" for g the display curve (IEC 61966-2-1), "linear" for none; read_image takes the same word
    as ``encoding``. Raises InputError on another shape, NaN, or where the file cannot be written.
    """
    if gamma not in ("srgb", "linear"):
        raise InputError(f"gamma: expected 'srgb' or 'linear', got {gamma!r}")
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.numel() == 0:
        raise InputError(f"image: expected (1, H, W) or (3, H, W) for {path}, got {tuple(image.shape)}")
    if bool(image.isnan().any()):
        raise InputError(f"image: expected numbers for {path}, got {int(image.isnan().sum())} NaN")
    image = image.detach().cpu().clamp(0, 1)
    if gamma == "srgb":
        image = linear_to_srgb(image)
    counts = (image * 65535).round().numpy().astype(np.uint16)
    _, png = cv2.imencode(".png", np.ascontiguousarray(counts[::-1].transpose(1, 2, 0)))
    with atomic_write(path) as temporary:
        temporary.write_bytes(png)


def write_npy(path: str | os.PathLike, image: Tensor) -> None:
    """Float32 NPY, channels last, of a linear image (..., C, H, W); read_image gives the same tensor back.

    With a number of channels other than 1, 3 or 4, reading (C, H, W) takes axes="HWC".
    Raises InputError on fewer than three axes or where the file cannot be written.
    """
    if image.ndim < 3:
        raise InputError(f"image: expected (..., C, H, W) for {path}, got {tuple(image.shape)}")
    buffer = io.BytesIO()
    np.save(buffer, image.detach().movedim(-3, -1).float().cpu().numpy(), allow_pickle=False)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def write_json(path: str | os.PathLike, data: Mapping[str, Any]) -> None:
    """Indented UTF-8 JSON; paths become strings, NaN and infinity (which JSON has not) null.

    Raises InputError where the file cannot be written.
    """
    text = json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False, default=os.fspath)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
