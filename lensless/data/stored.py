"""Images as stored, (H, W, C), from files and from the bytes in a table."""

from pathlib import Path

import cv2
import imagecodecs
import numpy as np

from lensless.errors import InputError, require
from lensless.images.decode import decode

PNG = b"\x89PNG\r\n\x1a\n"
TYPES = (np.uint8, np.uint16, np.float32)


def stored_file(file: Path) -> np.ndarray:
    """Pixels (H, W, C) of an image file, in its own type. Raises InputError naming the file."""
    decoded = decode(file, None)
    require(decoded.axes in ("HW", "HWC"), f"{file}: expected one gray or colour image, got {decoded.values.shape}")
    return _checked(decoded.values, str(file))


def stored_bytes(content: bytes, name: str) -> np.ndarray:
    """Pixels (H, W, C) of a PNG, JPEG, WebP or TIFF in memory, in its own type. Raises InputError with ``name``."""
    try:
        if content.startswith(PNG):
            pixels = imagecodecs.png_decode(content)
        else:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            pixels = pixels[..., [2, 1, 0]] if pixels is not None and pixels.ndim == 3 else pixels
    except (ValueError, RuntimeError, cv2.error) as error:
        raise InputError(f"{name}: cannot be decoded, is it damaged or truncated? ({error})") from error
    require(pixels is not None, f"{name}: cannot be decoded, is it a whole PNG, JPEG, WebP or TIFF?")
    return _checked(pixels, name)


def full_scale(dtype: np.dtype, bits: int | None = None) -> float:
    """The number that stands for 1: 2^bits - 1 of integers, with the width of their type as default; 1 of floats."""
    return 1.0 if dtype.kind == "f" else float(2 ** (8 * dtype.itemsize if bits is None else bits) - 1)


def _checked(pixels: np.ndarray, name: str) -> np.ndarray:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    pixels = pixels[..., :-1] if pixels.shape[-1] in (2, 4) else pixels  # alpha
    require(
        pixels.dtype in TYPES and pixels.ndim == 3,
        f"{name}: expected uint8, uint16 or float32 (H, W, C), got {pixels.dtype} {pixels.shape}; convert it",
    )
    return pixels
