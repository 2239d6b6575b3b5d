"""PSFs of this library's LCD mask: the shadow that it casts, or waves propagated to the sensor."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import answer, measure, read_job

from lensless.physics.lcd import LCD, LCDMask, random_pattern
from lensless.physics.propagation import Grid
from lensless.physics.psf import Optics, point_source_psf

SENSOR = (3040, 4056)
PIXEL = 1.55e-6
CELLS = (54, 26)
# patterns at once: few enough for memory that the allocator keeps, many enough for the rest not to count
TOGETHER = 10


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    _, *shape = np.load(Path(job["folder"], "psf.npy"), mmap_mode="r").shape
    pitch = (SENSOR[0] // shape[0] * PIXEL,) * 2
    lcd, grid = LCD(), Grid(tuple(shape), pitch)
    optics = Optics(sensor_shape=shape, pixel_pitch=pitch, distance=4e-3, wavelengths=lcd.wavelengths)
    optics = optics.demagnified(0.4)

    @torch.no_grad()
    def shadows(count: int) -> None:
        for patterns in _patterns(count):
            lcd.shadow(patterns, grid)

    @torch.no_grad()
    def propagated(count: int) -> None:
        for patterns in _patterns(count):
            point_source_psf(LCDMask(patterns, lcd=lcd), optics)

    seconds = measure({"auto": shadows, "waves": propagated}[job["backend"]], job["iterations"])
    answer(seconds, {name: version(name) for name in ("torch", "numpy", "ducc0")})


def _patterns(count: int):
    return torch.stack([random_pattern(seed, CELLS) for seed in range(count)]).split(TOGETHER)


main()
