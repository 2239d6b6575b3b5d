"""A made-up camera: the caustic of a random smooth surface as PSF, and its measurement of coloured blocks."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import oaconvolve


def caustic(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Where rays through a random smooth surface land: (H, W), float32, maximum 1.

    Each ray moves by the surface's slope, which changes by up to 1.5 pixels a pixel: enough for neighbouring
    rays to cross and to draw the bright lines of a caustic.
    """
    surface = gaussian_filter(generator.standard_normal(shape), min(shape) / 25)
    surface *= 1.5 / np.abs(np.gradient(np.gradient(surface, axis=0), axis=0)).max()
    rows, columns = np.indices(shape) + np.stack(np.gradient(surface))
    pixels = (rows.round().astype(int) % shape[0]) * shape[1] + columns.round().astype(int) % shape[1]
    light = np.bincount(pixels.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    light = gaussian_filter(light.astype(np.float32), 0.7)
    return light / light.max()


def blocks(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Random coloured blocks, (3, H, W) in [0, 1]."""
    side = max(shape) // 12 + 1
    colours = generator.random((3, -(-shape[0] // side), -(-shape[1] // side)), dtype=np.float32)
    return colours.repeat(side, 1).repeat(side, 2)[:, : shape[0], : shape[1]]


def write_sample(folder: Path, shape: tuple[int, int], *, seed: int = 0) -> None:
    """psf.npy and measurement.npy, (3, H, W) float32, maximum 1: y = crop(psf * x) + noise of one percent."""
    generator = np.random.default_rng(seed)
    psf = caustic(shape, generator) * np.array([0.9, 1.0, 0.8], np.float32)[:, None, None]
    measurement = oaconvolve(blocks(shape, generator), psf, mode="same", axes=(1, 2))
    measurement += 0.01 * measurement.mean() * generator.standard_normal(measurement.shape, dtype=np.float32)
    np.save(folder / "psf.npy", psf)
    np.save(folder / "measurement.npy", (measurement / measurement.max()).clip(min=0).astype(np.float32))
