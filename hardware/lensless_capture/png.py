"""16-bit grey PNG files, and 8-bit pictures."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lensless_capture.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# of the PNG specification: 16 bits, grey, deflate, adaptive filters, not interlaced; and the filter type of a row
GREY_16, UP = bytes([16, 0, 0, 0, 0]), 2


def encode(pixels: np.ndarray) -> bytes:
    """PNG bytes of uint16 (H, W), or of uint8 (H, W) or (H, W, 3)."""
    if pixels.dtype == np.uint16:
        return _encode_raw(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _encode_raw(pixels: np.ndarray) -> bytes:
    """PNG of raw counts, for speed: every row minus the one above, byte by byte, and Huffman codes alone.

    Of a raw frame's noise only the uneven frequency of its bytes can be saved: searching for repeated strings, as zlib
    does otherwise, takes longer and yields larger files. Pillow tries out filters row by row, takes 2.4 times as long
    for files of the same size, and lets no other thread run meanwhile.
    """
    height, width = pixels.shape
    counts = pixels.astype(">u2").view(np.uint8)
    rows = np.empty((height, 1 + 2 * width), np.uint8)
    rows[:, 0] = UP
    rows[0, 1:] = counts[0]
    np.subtract(counts[1:], counts[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
    data = deflate.compress(rows) + deflate.flush()
    head = struct.pack(">II", width, height) + GREY_16
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


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
