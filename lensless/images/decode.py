"""File formats: what a file holds, with the names of its axes, before any value is interpreted."""

import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.lib.format import MAGIC_PREFIX

from lensless.errors import InputError

# what the decoders raise on damaged files: a wrong structure, wrong numbers in it, sizes that no memory holds
_DAMAGED = (
    OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, RuntimeError,
    AssertionError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, cv2.error,
    tifffile.TiffFileError,
)  # fmt: skip

_GRAY, _RGB, _MOSAIC, _LINEAR_RAW = 1, 2, 32803, 34892  # values of the TIFF tag PhotometricInterpretation
_ALPHA = (1, 2)  # values of the TIFF tag ExtraSamples


class Decoded(NamedTuple):
    """Values as stored; ``axes`` names their axes by D, C, H, W, or is None where the file leaves it open.

    The rest is set by formats that state it: full scale and black level in counts, and the Bayer pattern.
    """

    values: np.ndarray
    axes: str | None
    full_scale: float | None = None
    black_level: float | np.ndarray = 0.0
    bayer: str | None = None


def decode(path: Path, key: str | None) -> Decoded:
    """Read ``path`` by its suffix; ``key`` names the array of an NPZ. Raises InputError naming the path."""
    if os.path.isdir(path):
        raise InputError(f"{path}: expected an image file, got a folder")
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    decoder = DECODERS.get(path.suffix.lower())
    if decoder is None:
        found = path.suffix or "no suffix"
        raise InputError(f"{path}: expected a file of type {', '.join(DECODERS)}, got {found}")
    if key is not None and path.suffix.lower() != ".npz":
        raise InputError(f"key: names an array of an NPZ file, got {key!r} for {path}; leave it out")
    try:
        return decoder(path) if key is None else decoder(path, key)
    except InputError:
        raise
    except _DAMAGED as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path}: cannot be read, is it damaged or truncated? ({reason})") from error


def _png(path: Path) -> Decoded:
    return _picture(imagecodecs.png_decode(path.read_bytes()))


def _webp(path: Path) -> Decoded:
    return _picture(imagecodecs.webp_decode(path.read_bytes()))


def _jpeg(path: Path) -> Decoded:
    # OpenCV, and from memory: other ways fill the missing part of a truncated JPEG with gray and say nothing
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("no whole picture in it")
    return _picture(pixels if pixels.ndim == 2 else pixels[..., ::-1])


def _picture(pixels: np.ndarray) -> Decoded:
    if pixels.ndim == 2:
        return Decoded(pixels, "HW")
    has_alpha = pixels.shape[-1] in (2, 4)
    return Decoded(pixels[..., :-1] if has_alpha else pixels, "HWC")


def _tiff(path: Path) -> Decoded:
    with tifffile.TiffFile(path) as file:
        page, series = file.pages[0], file.series
        if page.photometric not in (_GRAY, _RGB, _MOSAIC, _LINEAR_RAW):
            raise InputError(f"{path}: expected a gray or RGB TIFF, got {page.photometric!r}; convert it")
        if len({(one.shape, one.dtype) for one in series}) > 1:
            found = ", ".join(f"{one.shape} {one.dtype}" for one in series)
            raise InputError(f"{path}: expected pages of one size and type, got {found}; keep one kind only")
        if any(len(one.dataoffsets) != math.prod(one.keyframe.chunked) for one in file.pages):
            raise ValueError("strips or tiles are missing")  # tifffile would fill them with zeros
        values = np.stack([one.asarray() for one in series])
        axes = ["D", *({"Y": "H", "X": "W", "S": "C"}.get(name, "D") for name in series[0].axes)]
        alpha = sum(kind in _ALPHA for kind in page.extrasamples)
    single = [i for i, name in enumerate(axes) if name == "D" and values.shape[i] == 1]
    values = values.squeeze(tuple(single))
    axes = "".join(name for i, name in enumerate(axes) if i not in single)
    if alpha and axes.endswith("C"):
        values = values[..., :-alpha]
    clear = axes.count("D") <= 1 and "H" in axes and "W" in axes
    return Decoded(values, axes if clear else None)


def _numpy(path: Path, key: str | None = None) -> Decoded:
    with path.open("rb") as file:
        magic = file.read(len(MAGIC_PREFIX))
        if magic != MAGIC_PREFIX and not magic.startswith(b"PK"):
            raise ValueError("neither NPY nor NPZ by its first bytes")
        file.seek(0)
        values = np.load(file, allow_pickle=False)
        if isinstance(values, np.lib.npyio.NpzFile):
            names = ", ".join(values.files) or "no arrays"
            if key is None and len(values.files) != 1:
                raise InputError(f"{path}: expected one array, got {names}; state which by key=NAME")
            if key is not None and key not in values.files:
                raise InputError(f"key: expected one of {names} in {path}, got {key!r}")
            values = values[key or values.files[0]]
    channels_last = values.ndim == 3 and values.shape[-1] in (1, 3, 4)
    return Decoded(values, "HWC" if channels_last else {2: "HW", 4: "DHWC"}.get(values.ndim))


def _dng(path: Path) -> Decoded:
    try:
        import rawpy
    except ImportError:
        raise InputError(f"{path}: reading DNG needs rawpy; pip install 'lensless-torch[raw]'") from None
    try:
        with rawpy.imread(str(path)) as raw:
            if raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2):
                raise InputError(f"{path}: expected a sensor with a 2 x 2 Bayer pattern; convert it to TIFF")
            colours = raw.raw_colors_visible
            bayer = "".join(chr(raw.color_desc[i]) for i in colours[:2, :2].flat)
            black = np.asarray(raw.black_level_per_channel, np.float32)[colours]
            # above the white level is saturated: the DNG specification (chapter 5) clips it
            counts = np.minimum(raw.raw_image_visible, raw.white_level)
            return Decoded(counts, "HW", raw.white_level, black, bayer)
    except rawpy.LibRawError as error:
        raise ValueError(error) from error


DECODERS = {
    ".png": _png, ".jpg": _jpeg, ".jpeg": _jpeg, ".webp": _webp, ".tif": _tiff, ".tiff": _tiff,
    ".npy": _numpy, ".npz": _numpy, ".dng": _dng,
}  # fmt: skip
