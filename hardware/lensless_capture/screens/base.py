"""What a screen is, and the pictures that calibration asks it to show."""

from typing import Protocol, Self

import numpy as np
from PIL import Image

from lensless_capture.errors import require


def _light(levels: np.ndarray) -> np.ndarray:
    """Linear light of sRGB levels 0 to 255 (IEC 61966-2-1)."""
    share = levels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


# Of each number that a screen is given, white being 1.
LIGHT = _light(np.arange(256))


class Screen(Protocol):
    """A context manager that holds a screen of ``size`` (H, W) pixels."""

    size: tuple[int, int]

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, picture: np.ndarray) -> None:
        """Show uint8 RGB (H, W, 3) of the screen's size; it is on the glass when this returns.

        Raises InputError on another shape and DeviceError where the screen is gone.
        """
        ...


def check_picture(picture: np.ndarray, size: tuple[int, int]) -> None:
    """Raise InputError unless ``picture`` is uint8 RGB of ``size``."""
    require(
        picture.dtype == np.uint8 and picture.shape == (*size, 3),
        f"picture: expected uint8 {(*size, 3)}, got {picture.dtype} {picture.shape}; place() fits it to the screen",
    )


def black(size: tuple[int, int]) -> np.ndarray:
    """A dark screen (H, W, 3)."""
    return np.zeros((*size, 3), np.uint8)


def point(size: tuple[int, int], *, centre: tuple[int, int] | None = None, radius: int = 2) -> np.ndarray:
    """A white disc of ``radius`` pixels about ``centre`` (row, column), default (H // 2, W // 2): a point source."""
    row, column = (size[0] // 2, size[1] // 2) if centre is None else centre
    require(0 <= row < size[0] and 0 <= column < size[1], f"centre: expected inside {size}, got {(row, column)}")
    rows, columns = np.ogrid[: size[0], : size[1]]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return np.repeat(inside[..., None] * np.uint8(255), 3, axis=-1)


def checkerboard(size: tuple[int, int], *, square: int) -> np.ndarray:
    """Squares of ``square`` pixels, white where row + column of squares is even; for registration.

    One white square, up and left of the middle, is black: it tells the board from its mirror images.
    Raises InputError unless four squares fit along each side.
    """
    most = min(size) // 4
    require(1 <= square <= most, f"square: expected 1 to {most} pixels of a display of {size}, got {square}")
    rows, columns = np.indices(size) // square
    white = (rows + columns) % 2 == 0
    row, column = (extent // square // 2 - 1 for extent in size)
    white[(rows == row) & (columns == column - (row + column) % 2)] = False
    return np.repeat(white[..., None] * np.uint8(255), 3, axis=-1)


def place(
    picture: np.ndarray,
    size: tuple[int, int],
    *,
    height: float = 1.0,
    shift: tuple[int, int] = (0, 0),
    brightness: float = 1.0,
) -> np.ndarray:
    """``picture`` (h, w, 3) on a black screen of ``size``, as large as fits ``height`` of it, its proportions kept.

    height: share of the screen's height and width that the picture may take. shift: of its middle, (down, right)
    pixels. brightness: factor on the screen's numbers.
    Raises InputError on a height or brightness outside (0, 1] or a picture that leaves the screen.
    """
    require(0 < brightness <= 1, f"brightness: expected in (0, 1], got {brightness}")
    rows, columns = placement(picture.shape[:2], size, height=height, shift=shift)
    shape = rows.stop - rows.start, columns.stop - columns.start
    resized = np.asarray(Image.fromarray(picture).resize(shape[::-1], Image.Resampling.LANCZOS))
    screen = black(size)
    screen[rows, columns] = np.rint(resized * brightness)
    return screen


def placement(
    shape: tuple[int, int], size: tuple[int, int], *, height: float = 1.0, shift: tuple[int, int] = (0, 0)
) -> tuple[slice, slice]:
    """Rows and columns of a screen of ``size`` that :func:`place` gives a picture of ``shape``; raises as it does."""
    require(0 < height <= 1, f"height: expected in (0, 1], got {height}")
    scale = height * min(size[0] / shape[0], size[1] / shape[1])
    rows, columns = (max(1, round(scale * extent)) for extent in shape)
    top = (size[0] - rows) // 2 + shift[0]
    left = (size[1] - columns) // 2 + shift[1]
    require(
        0 <= top <= size[0] - rows and 0 <= left <= size[1] - columns,
        f"shift: {shift} moves a picture of {(rows, columns)} off the screen of {size}; lower height or shift",
    )
    return slice(top, top + rows), slice(left, left + columns)


def mean_light(picture: np.ndarray) -> float:
    """Of a screen that shows uint8 RGB (H, W, 3), a white one being 1; told from the green of every other pixel each
    way, the colour that sensors see best."""
    return float(LIGHT[picture[::2, ::2, 1]].mean())
