"""16-bit grey PNG files, and 8-bit pictures, through Pillow."""

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lensless_capture.errors import InputError

# Of a raw frame's noise, only the uneven frequency of its bytes can be saved: searching for repeated strings, as zlib
# does otherwise, takes longer and yields larger files.
NO_STRINGS = {"compress_level": 1, "compress_type": zlib.Z_HUFFMAN_ONLY}


def encode(pixels: np.ndarray) -> bytes:
    """PNG bytes of uint16 (H, W), or of uint8 (H, W) or (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **NO_STRINGS)
    return buffer.getvalue()


def read_raw(file: Path) -> np.ndarray:
    """uint16 (H, W) from a 16-bit grey PNG or TIFF. Raises InputError on anything else."""
    pixels = np.asarray(_open(file))
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui" or pixels.dtype.itemsize == 1:
        raise InputError(f"{file}: expected 16-bit grey (H, W), got {pixels.dtype} {pixels.shape}")
    return pixels.astype(np.uint16)


def read_picture(file: Path) -> np.ndarray:
    """uint8 RGB (H, W, 3) from a picture file, as a monitor shows it. Raises InputError where it cannot be read."""
    return np.asarray(_open(file).convert("RGB"))


def _open(file: Path) -> Image.Image:
    try:
        image = Image.open(file)
        image.load()
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{file}: cannot be read as a picture ({error})") from error
    return image
