"""PSFs in files, brought to the pixels and channels of the measurements that they belong to."""

import os
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor

from lensless.errors import require
from lensless.images.prepare import Preparation, flip, normalise_psf
from lensless.images.read import read_image


@dataclass(frozen=True)
class PSFFile:
    """Where the PSFs of a data set lie, and how they are stored.

    name: a file, relative to the data set's folder; "{mask}" in it, such as "psfs/{mask:03d}.npy", is the mask's label.
    bits, channel_order: as for :func:`lensless.images.read.read_image`. background: subtracted, a level in [0, 1] or
    "corner". flip: mirrored about the centre pixel, where the measurements are mirrored too.
    """

    name: str
    _: KW_ONLY
    bits: int | None = None
    channel_order: str = "rgb"
    background: float | str | None = None
    flip: str = "none"

    def file_of(self, mask: int) -> str:
        """Name of the file with the PSF of a mask."""
        return self.name.format(mask=mask)

    def read(self, path: str | os.PathLike, shape: tuple[int, ...]) -> Tensor:
        """PSF on the pixels of measurements (C, h, w) = ``shape``; one factor makes the mean of its C sums 1.

        A finer PSF of the same sensor is averaged over areas; one channel serves all. Raises InputError where the
        proportions or the channels are others, or nothing is left above the background.
        """
        image = read_image(path, bits=self.bits, channel_order=self.channel_order)
        fits = image.ndim == 3 and image.shape[0] in (1, shape[0])
        require(fits, f"{path}: expected a PSF of 1 or {shape[0]} channels, got {tuple(image.shape)}")
        image = flip_psf(Preparation(background=self.background)(image).image, self.flip)
        return normalise_psf(_fitted(image, shape, Path(path)).expand(shape))[0]


def flip_psf(psf: Tensor, axes: str) -> Tensor:
    """Mirror a PSF (..., H, W) about its centre pixel (H // 2, W // 2): psf(-k); what has no partner becomes 0.

    axes: as for :func:`lensless.images.prepare.flip`. With measurements and scenes that are mirrored as they are,
    y = psf * x stays true to the pixel; along an even side the first row or column of the PSF is lost.
    """
    mirrored = flip(psf, axes)
    for axis, word in ((-2, "vertical"), (-1, "horizontal")):
        if axes in (word, "both") and psf.shape[axis] % 2 == 0:
            mirrored = mirrored.roll(1, axis)
            mirrored.select(axis, 0).zero_()
    return mirrored


def _fitted(image: Tensor, shape: tuple[int, ...], path: Path) -> Tensor:
    height, width = shape[-2:]
    factor = image.shape[-2] / height
    require(
        factor >= 1 and abs(image.shape[-1] / factor - width) < 1,
        f"{path}: expected a PSF of the measurement's proportions, {height} x {width} or finer, got "
        f"{image.shape[-2]} x {image.shape[-1]}",
    )
    if tuple(image.shape[-2:]) == (height, width):
        return image
    pixels = cv2.resize(image.movedim(0, -1).numpy(), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(pixels.reshape(height, width, -1)).movedim(-1, 0)
