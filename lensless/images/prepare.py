"""From linear light as read to what goes into a reconstruction: background, colour, geometry, size."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lensless.errors import InputError

_COLOURS = ("red", "green", "blue")
_FLIPS: dict[str, tuple[int, ...]] = {"none": (), "vertical": (-2,), "horizontal": (-1,), "both": (-2, -1)}


def corner_level(x: Tensor, size: int) -> Tensor:
    """Level of the top left size x size pixels of each channel: (..., C, H, W) to (..., C, 1, 1).

    The interquartile mean (of the middle half of the values): a hot pixel or a tag in the corner does not move it.
    Raises InputError unless 1 <= size <= min(H, W).
    """
    if not isinstance(size, int) or not 1 <= size <= min(x.shape[-2:]):
        raise InputError(f"corner: expected 1 to {min(x.shape[-2:])} pixels for {_size(x)}, got {size}")
    values = x[..., :size, :size].flatten(-2).sort(-1).values
    quarter = size * size // 4
    return values[..., quarter : size * size - quarter].mean(-1)[..., None, None]


def subtract_background(x: Tensor, background: Tensor | float) -> tuple[Tensor, float]:
    """max(x - background, 0) and the fraction of values that were negative before.

    x: (..., C, H, W). background: a number, one value a channel (C,) or (..., C, 1, 1), or a dark frame that
    broadcasts to x. Raises InputError on another shape.
    """
    background = torch.as_tensor(background, dtype=x.dtype, device=x.device)
    if background.ndim == 1:
        background = background[:, None, None]
    try:
        background = background.expand(x.shape)
    except RuntimeError:
        raise InputError(
            f"background: expected a number, ({x.shape[-3]},) or a dark frame {tuple(x.shape[-3:])}, "
            f"got {tuple(background.shape)}"
        ) from None
    difference = x - background
    return difference.clamp_min(0), int((difference < 0).sum()) / difference.numel()


def white_balance(x: Tensor, gains: Sequence[float]) -> Tensor:
    """gain_c x_c for x (..., C, H, W). Raises InputError unless there are C positive gains."""
    factors = _numbers(gains)
    if factors.shape != (x.shape[-3],) or factors.min() <= 0:
        raise InputError(f"white_balance: expected {x.shape[-3]} positive gains, got {gains}")
    return x * factors.to(x)[:, None, None]


def colour_matrix(x: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    """sum_k M_ck x_k for x (..., 3, H, W) and M 3 x 3. Raises InputError on other sizes."""
    numbers = _numbers(matrix)
    if numbers.shape != (3, 3) or x.shape[-3] != 3:
        raise InputError(f"colour_matrix: expected 3 x 3 and 3 channels, got {matrix} and {_size(x)}")
    return torch.einsum("ck,...khw->...chw", numbers.to(x), x)


def select_channels(x: Tensor, channels: str | Sequence[int]) -> Tensor:
    """Channels of x (..., C, H, W): "all", "red", "green", "blue", indices, or "gray", the mean of all.

    Raises InputError on another name, a colour of an image without 3 channels, or an index out of range.
    """
    count = x.shape[-3]
    if channels == "all":
        return x
    if channels == "gray":
        return x.mean(-3, keepdim=True)
    if isinstance(channels, str):
        if channels not in _COLOURS or count != 3:
            names = "all, gray, " + ("red, green, blue, " if count == 3 else "")
            raise InputError(f"channels: expected {names}or indices for {_size(x)}, got {channels!r}")
        channels = [_COLOURS.index(channels)]
    if not isinstance(channels, Sequence) or not channels or not set(channels) <= set(range(count)):
        raise InputError(f"channels: expected a list of indices from 0 to {count - 1}, got {channels}")
    return x[..., list(channels), :, :]


def flip(x: Tensor, axes: str) -> Tensor:
    """Mirror x (..., H, W): "vertical" (upside down), "horizontal", "both" or "none".

    Along an even size the centre pixel n // 2 goes to n // 2 - 1: a scene reconstructed from a flipped psf
    and a flipped measurement is the flipped scene one pixel further on. Raises InputError on another word.
    """
    if axes not in _FLIPS:
        raise InputError(f"flip: expected one of {', '.join(_FLIPS)}, got {axes!r}")
    return x.flip(_FLIPS[axes])


def rotate(x: Tensor, degrees: int) -> Tensor:
    """Turn x (..., H, W) anticlockwise by a multiple of 90 degrees; even sizes as in :func:`flip`.

    Raises InputError on another angle.
    """
    if not isinstance(degrees, int) or degrees % 90:
        raise InputError(f"rotation: expected a multiple of 90 degrees, got {degrees}")
    return torch.rot90(x, degrees // 90, (-2, -1))


def downsample(x: Tensor, factor: int) -> Tensor:
    """Mean over factor x factor blocks: (..., H, W) to (..., H // factor, W // factor).

    Rows and columns beyond a multiple of the factor are dropped so that the centre pixel H // 2 lies in the
    centre block, as near to its middle as can be: on both sides for an odd number of blocks, else at the end.
    Raises InputError unless factor is an integer with 1 <= factor <= min(H, W).
    """
    limit = min(x.shape[-2:])
    if not isinstance(factor, int) or not 1 <= factor <= limit:
        raise InputError(f"downsample: expected an integer from 1 to {limit} for {_size(x)}, got {factor}")
    for axis in (-2, -1):
        size, blocks = x.shape[axis], x.shape[axis] // factor
        start = max(size // 2 - factor // 2 - blocks // 2 * factor, 0)
        x = x.narrow(axis, start, blocks * factor).unflatten(axis, (blocks, factor)).mean(axis)
    return x


def normalise_psf(psf: Tensor) -> tuple[Tensor, float]:
    """(psf / f, f) with the one factor f for all channels and planes that makes their mean sum 1.

    f = mean over channels of sum over pixels, of psf (..., C, H, W). The balance between channels survives.
    Raises InputError unless f is positive.
    """
    factor = float(psf.sum((-2, -1), dtype=torch.float64).mean())
    if not factor > 0:
        raise InputError(f"psf: expected light, got a mean sum of {factor}; is the background too high?")
    return psf / factor, factor


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image ready for reconstruction and what there is to tell about it, in sentences."""

    image: Tensor
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Background, white balance, colour matrix, channels, flip, rotation, downsampling, in this order.

    The background belongs to the sensor, so it goes before all; gains are stated for the sensor's colours and
    the matrix for balanced ones; the geometry comes last, on no more channels than are wanted.

    background: None, a level in [0, 1], "corner" for the level of the top left ``corner`` x ``corner`` pixels
    (:func:`corner_level`), or the path of a dark frame, which the caller reads and passes as ``dark``. The
    other fields are the arguments of the functions above, None for no such step. Calling it on x
    (..., C, H, W) gives :class:`Prepared`. Raises InputError as these functions do.
    """

    background: float | str | os.PathLike | None = None
    corner: int = 25
    white_balance: Sequence[float] | None = None
    colour_matrix: Sequence[Sequence[float]] | None = None
    channels: str | Sequence[int] = "all"
    flip: str = "none"
    rotation: int = 0
    downsample: int = 1

    @property
    def dark_frame(self) -> Path | None:
        """The path in ``background``, where it is one."""
        named = isinstance(self.background, str | os.PathLike) and self.background != "corner"
        return Path(self.background) if named else None

    def __call__(self, x: Tensor, *, dark: Tensor | None = None) -> Prepared:
        if (dark is None) != (self.dark_frame is None):
            raise InputError(
                "dark: expected a frame exactly when background is the path of one, "
                f"got background {self.background!r} and {'no frame' if dark is None else 'a frame'}"
            )
        notes = []
        background = corner_level(x, self.corner) if self.background == "corner" else self.background
        if background is not None:
            x, clipped = subtract_background(x, background if dark is None else dark)
            if clipped:
                notes.append(f"{100 * clipped:.3g} % of the values were below the background and set to 0")
        if self.white_balance is not None:
            x = white_balance(x, self.white_balance)
        if self.colour_matrix is not None:
            x = colour_matrix(x, self.colour_matrix)
        x = select_channels(x, self.channels)
        x = rotate(flip(x, self.flip), self.rotation)
        image = downsample(x, self.downsample)
        rows, columns = (size % self.downsample for size in x.shape[-2:])
        if rows or columns:
            notes.append(f"{rows} row(s) and {columns} column(s) beyond a multiple of {self.downsample} dropped")
        return Prepared(image=image, notes=notes)


def _numbers(values: Sequence) -> Tensor:
    """Numbers as a tensor, one of no elements where they are not numbers or not of one length."""
    try:
        return torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError):
        return torch.empty(0)


def _size(x: Tensor) -> str:
    return f"an image (C, H, W) = {tuple(x.shape[-3:])}"
