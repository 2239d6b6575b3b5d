"""From a file to linear light: full scale, black level, encoding, colour order and mosaic."""

import glob
import os
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lensless.calibration.raw import demosaic
from lensless.errors import InputError
from lensless.images.decode import DECODERS, Decoded, decode
from lensless.images.gamma import srgb_to_linear
from lensless.physics.cfa import BAYER_PATTERNS

_SRGB_BY_DEFAULT = (".jpg", ".jpeg", ".webp")


def read_image(
    path: str | os.PathLike,
    *,
    bits: int | None = None,
    bayer: str | None = None,
    black_level: float = 0.0,
    encoding: str | None = None,
    channel_order: str = "rgb",
    key: str | None = None,
    axes: str | None = None,
) -> Tensor:
    """Linear light (C, H, W), or (D, C, H, W) for a stack, as float32 from an image file.

    x = (counts - black_level) / (2^bits - 1 - black_level) for integer pixels; floats are taken as they are.
    Values below the black level stay negative, so that the noise keeps its mean.

    path: PNG, TIFF (several pages are a stack), JPEG, WebP, NPY, NPZ, or DNG with the extra ``raw``. An alpha
    channel of a picture is dropped, an orientation tag is not applied.
    bits: the depth that full scale stands for; default the width of the stored type, 8 or 16, whatever the
    content. black_level: in counts. A DNG states both, and its Bayer pattern.
    bayer: filter pattern of a mosaic (RGGB, BGGR, GRBG, GBRG), which is then demosaiced.
    encoding: "linear" or "srgb" (IEC 61966-2-1, undone here); default srgb for JPEG and WebP and linear for
    all else, PNG included.
    channel_order: "rgb", or "bgr" for arrays from OpenCV; gray is left alone.
    key: the array's name in an NPZ that holds several.
    axes: what the array's axes are, from D (plane), C, H, W, such as "DHW" or "CHW"; default HW, HWC where
    the last of three is 1, 3 or 4, DHWC, and in a TIFF what it states (samples are C, all other axes D).

    Raises InputError naming the file on anything unreadable, empty, not finite or at odds with the arguments.
    """
    for name, value, allowed in (
        ("encoding", encoding, (None, "linear", "srgb")),
        ("channel_order", channel_order, ("rgb", "bgr")),
        ("bayer", bayer, (None, *BAYER_PATTERNS)),
    ):
        if value not in allowed:
            expected = ", ".join(option for option in allowed if option)
            raise InputError(f"{name}: expected one of {expected}, got {value!r}")
    path = Path(path).expanduser()
    decoded = decode(path, key)
    if decoded.bayer is not None:
        if bits is not None or bayer is not None or black_level:
            raise InputError(f"{path}: a DNG states bits, bayer and black_level itself; leave them out")
        bayer = decoded.bayer
    elif not np.issubdtype(decoded.values.dtype, np.floating):
        decoded = _state_scale(path, decoded, bits, black_level)
    elif bits is not None or black_level:
        raise InputError(
            f"{path}: bits and black_level are for integer pixels, this file holds {decoded.values.dtype}; "
            "leave them out and subtract a background instead"
        )
    image = torch.from_numpy(_arrange(path, _scale(decoded), decoded.axes if axes is None else axes))
    if not bool(torch.isfinite(image).all()):
        bad = int((~torch.isfinite(image)).sum())
        raise InputError(f"{path}: expected finite float32 values, got {bad} NaN or infinite")
    if encoding == "srgb" or (encoding is None and path.suffix.lower() in _SRGB_BY_DEFAULT):
        image = srgb_to_linear(image)
    if channel_order == "bgr" and image.shape[-3] != 1:
        _expect_channels(path, image, 3, "channel_order=bgr")
        image = image.flip(-3)
    if bayer is not None:
        _expect_channels(path, image, 1, f"the Bayer mosaic {bayer}")
        image = demosaic(image.squeeze(-3), bayer)
    return image


def list_images(pattern: str | os.PathLike) -> list[Path]:
    """The image files that a file name, a folder or a glob stands for, in natural order (im2 before im10).

    Raises InputError where there is none.
    """
    path = Path(pattern).expanduser()
    if os.path.isfile(path):
        return [path]
    inside = glob.escape(str(path)) + "/*" if os.path.isdir(path) else str(path)
    matches = glob.glob(inside, recursive=True)
    files = [file for file in map(Path, matches) if file.suffix.lower() in DECODERS and os.path.isfile(file)]
    if not files:
        kinds = ", ".join(DECODERS)
        raise InputError(f"{pattern}: expected a file, a folder or a glob of images ({kinds}), found none")
    return sorted(files, key=_natural)


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def _state_scale(path: Path, decoded: Decoded, bits: int | None, black_level: float) -> Decoded:
    values = decoded.values
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise InputError(f"{path}: expected uint8, uint16 or floating point, got {values.dtype}; convert it")
    width = 8 * values.dtype.itemsize
    bits = width if bits is None else bits
    if not isinstance(bits, int) or not 1 <= bits <= width:
        raise InputError(f"bits: expected an integer from 1 to {width} for the {values.dtype} of {path}, got {bits}")
    full_scale = 2**bits - 1
    if values.size and values.max() > full_scale:
        raise InputError(
            f"{path}: expected at most {full_scale}, the full scale of bits={bits}, got {values.max()}; "
            "state the depth that the file was written with"
        )
    if not isinstance(black_level, int | float) or not 0 <= black_level < full_scale:
        raise InputError(f"black_level: expected 0 up to {full_scale} counts, got {black_level} for {path}")
    return decoded._replace(full_scale=full_scale, black_level=black_level)


def _scale(decoded: Decoded) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = decoded.values.astype(np.float32)
    if decoded.full_scale is not None:
        values -= decoded.black_level
        values /= decoded.full_scale - decoded.black_level
    return values


def _arrange(path: Path, values: np.ndarray, axes: str | None) -> np.ndarray:
    if axes is None:
        raise InputError(
            f"{path}: the shape {values.shape} does not say which axis is which; state it, such as axes=DHW "
            "for a stack, axes=CHW or axes=HWC"
        )
    if not isinstance(axes, str) or len(set(axes)) != len(axes) or not set("HW") <= set(axes) <= set("DCHW"):
        raise InputError(f"axes: expected H and W with at most one D and one C, such as DHW, got {axes!r}")
    if len(axes) != values.ndim:
        raise InputError(f"axes: expected one letter an axis of {values.shape} in {path}, got {axes!r}")
    if values.size == 0:
        raise InputError(f"{path}: expected at least one pixel, got the shape {values.shape}")
    values = values.transpose([axes.index(name) for name in "DCHW" if name in axes])
    return np.ascontiguousarray(values if "C" in axes else np.expand_dims(values, -3))


def _expect_channels(path: Path, image: Tensor, channels: int, what: str) -> None:
    if image.shape[-3] != channels:
        raise InputError(f"{path}: {what} needs {channels} channel(s), got {image.shape[-3]}")
