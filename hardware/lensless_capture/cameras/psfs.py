"""Where a bench's PSFs come from: files, one a mask, or a diffuser that is made up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lensless_capture.errors import InputError, require

# Of the diffuser, in heights of the frame: its aperture, and the root mean square shift of a ray; bumps across it.
APERTURE, SHIFT, BUMPS = 0.5, 0.016, 5.0
# Rays a pixel and side; shifts of red, green and blue rays, relative to each other.
RAYS, DISPERSION = 4, (0.99, 1.0, 1.012)


def stored_psfs(folder: Path) -> Callable[[int], np.ndarray]:
    """From a mask's label to the PSF (C, h, w) in NNN.npy of ``folder``, which is stored as (h, w) or (h, w, C), as
    `lensless` writes it. Raises InputError where it is missing or damaged."""

    def read(label: int) -> np.ndarray:
        file = folder / f"{label:03d}.npy"
        try:
            stored = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            raise InputError(f"psfs: {file}: no such file; expected the PSF of every mask, from 000.npy on") from None
        except ValueError as error:
            raise InputError(f"psfs: {file} cannot be read as NPY ({error})") from error
        require(
            stored.ndim == 2 or (stored.ndim == 3 and stored.shape[2] in (1, 3)),
            f"psfs: expected (h, w) or (h, w, 1 or 3) in {file}, got {stored.shape}",
        )
        return np.atleast_3d(stored).transpose(2, 0, 1)

    return read


def caustic(seed: int, size: tuple[int, int]) -> np.ndarray:
    """PSF (3, H, W) of a smooth diffuser in geometrical optics, rays counted: they land at

        r = u + f grad z(u)

    for u evenly spread over a square aperture and z a random surface with Gaussian correlation.
    """
    shape = tuple(RAYS * n for n in size)
    frequencies = np.meshgrid(*(np.fft.fftfreq(n, 1 / RAYS) for n in shape), indexing="ij")  # cycles a pixel
    bumps = BUMPS / (APERTURE * size[0])
    surface = np.fft.fft2(np.random.default_rng(seed).standard_normal(shape))
    surface *= np.exp(-sum(f**2 for f in frequencies) / bumps**2)
    slopes = [np.fft.ifft2(2j * np.pi * f * surface).real for f in frequencies]
    reach = SHIFT * size[0] / np.sqrt(np.mean(np.square(slopes)))
    starts = np.meshgrid(*((np.arange(n) + 0.5) / RAYS - n / (2 * RAYS) for n in shape), indexing="ij")
    inside = np.maximum(*map(np.abs, starts)) < APERTURE * size[0] / 2
    landed = []
    for factor in DISPERSION:
        ends = [
            np.rint(start[inside] + factor * reach * slope[inside]).astype(int) + n // 2
            for start, slope, n in zip(starts, slopes, size, strict=True)
        ]
        on_sensor = np.logical_and(*((end >= 0) & (end < n) for end, n in zip(ends, size, strict=True)))
        place = np.ravel_multi_index([end[on_sensor] for end in ends], size)
        landed.append(np.bincount(place, minlength=size[0] * size[1]).reshape(size))
    return np.stack(landed).astype(np.float32)
