"""Where a programmable mask is: a known geometry recovered from one simulated PSF, from ten random starts.

The LCD of the DigiCam (54 x 26 sub-pixels, random values) turned by 1.1 degrees, 4.1 mm before the sensor, its middle
some pixels off the axis, lit by a point 0.4 m away. The measured PSF is computed as finely as the light needs, by the
spherical wave through the turned display, with shot noise at 30 dB (arXiv 2502.01102); the fit's own model turns and
interpolates the PSF of the straight display in collimated light, on a coarser grid. Each start is off by up to

    distance +- 20 %, rotation +- 5 degrees, shift +- 20 pixels along each axis        (uniform; distance in logarithm)

    python examples/mask_calibration.py            five minutes on one core; prints a table
"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lensless.calibration.mask_fit import MaskFit, fit_mask
from lensless.calibration.mask_model import Geometry, MaskModel
from lensless.physics.lcd import LCD, LCDMask, random_pattern
from lensless.physics.noise import add_noise_at_snr
from lensless.physics.psf import Optics, point_source_psf
from lensless.physics.random import sample_generator

TRUTH = Geometry(distance=4.1e-3, source_distance=0.4, rotation=math.radians(1.1), shift=(2.3, -3.7))


@dataclass(frozen=True)
class Settings:
    """Every constant of the experiment. True samples a pixel are those of the measured PSF."""

    cells: tuple[int, int] = (54, 26)
    pixels: tuple[int, int] = (190, 253)
    pitch: float = 24.8e-6  # metres: 16 pixels of an IMX477 a side
    wavelengths: tuple[float, ...] = (620e-9, 540e-9, 460e-9)
    oversample: int = 3
    true_oversample: int = 6
    gains: tuple[float, ...] = (1.2, 1.0, 0.7)
    snr_db: float = 30.0
    distance: float = 0.2  # of the starts, relative
    rotation: float = 5.0  # degrees
    shift: float = 20.0  # pixels
    truth: Geometry = TRUTH
    seed: int = 0

    def optics(self, distance: float, oversample: int) -> Optics:
        return Optics(
            sensor_shape=self.pixels,
            pixel_pitch=(self.pitch, self.pitch),
            distance=distance,
            wavelengths=self.wavelengths,
            oversample=oversample,
        )

    def values(self) -> Tensor:
        return random_pattern(self.seed, self.cells)


def measure(settings: Settings) -> Tensor:
    """(1, C, h, w): the spherical wave of the source through the display where it really is, with noise."""
    truth = settings.truth
    magnification = 1 + truth.distance / truth.source_distance
    offset = tuple(pixels * settings.pitch / magnification for pixels in truth.shift)
    mask = LCDMask(settings.values(), lcd=LCD(rotation=truth.rotation, offset=offset))
    optics = settings.optics(truth.distance, settings.true_oversample)
    with torch.no_grad():
        psf = point_source_psf(mask, optics, source_distance=truth.source_distance).float()
    psf = psf * torch.tensor(settings.gains)[:, None, None]
    return add_noise_at_snr(psf[None], settings.snr_db, sample_generator(settings.seed, 0))


def starts(settings: Settings, count: int) -> list[Geometry]:
    """Random ones about the truth."""
    generator = np.random.default_rng(settings.seed)
    truth, reach = settings.truth, math.log1p(settings.distance)
    return [
        replace(
            truth,
            distance=truth.distance * math.exp(generator.uniform(-reach, reach)),
            rotation=truth.rotation + math.radians(generator.uniform(-settings.rotation, settings.rotation)),
            shift=tuple(s + generator.uniform(-settings.shift, settings.shift) for s in truth.shift),
        )
        for _ in range(count)
    ]


def errors(found: Geometry, truth: Geometry) -> tuple[float, float, float]:
    """Distance in per cent, rotation in degrees, shift in pixels."""
    return (
        100 * abs(found.distance / truth.distance - 1),
        math.degrees(abs(found.rotation - truth.rotation)),
        math.dist(found.shift, truth.shift),
    )


def recover(settings: Settings, count: int) -> list[tuple[float, float, float]]:
    """Fit from ``count`` random starts, print a line for each, and return the errors."""
    measured = measure(settings)
    optics = settings.optics(settings.truth.distance, settings.oversample)
    model = MaskModel(LCDMask(settings.values(), lcd=LCD()), optics)
    print("start:  mm   degrees        shift | error:  %   degrees    pixels | unexplained   seconds")
    found = []
    for start in starts(settings, count):
        began = time.perf_counter()
        fit: MaskFit = fit_mask(measured, model, start=start)
        found.append(errors(fit.geometry, settings.truth))
        shift = "{:6.1f} {:6.1f}".format(*start.shift)
        off = "{:9.3f} {:9.4f} {:9.4f}".format(*found[-1])
        seconds = time.perf_counter() - began
        print(
            f"{1e3 * start.distance:10.3f} {math.degrees(start.rotation):9.2f} {shift} | {off} | {fit.error:11.2%} "
            f"{seconds:9.1f}"
        )
    return found


def main() -> None:
    found = recover(Settings(), 10)
    print("largest: {:.3f} % of distance, {:.4f} degrees, {:.4f} pixels".format(*np.max(found, axis=0)))


if __name__ == "__main__":
    main()
