"""PSFs of this library's LCD mask: the shadow that it casts, or waves propagated to the sensor."""

from importlib.metadata import version
from pathlib import Path

from lensless.threads import spin_briefly

spin_briefly()  # as the `lensless` command does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from protocol import answer, measure, read_job  # noqa: E402

from lensless.physics.lcd import LCD, LCDMask, random_pattern  # noqa: E402
from lensless.physics.propagation import Grid  # noqa: E402
from lensless.physics.psf import Optics, point_source_psf  # noqa: E402

SENSOR = (3040, 4056)
PIXEL = 1.55e-6
CELLS = (54, 26)
# bytes of PSFs at once: little enough for memory that the allocator keeps, else most of the time is page faults
TOGETHER = 2**24


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    _, *shape = np.load(Path(job["folder"], "psf.npy"), mmap_mode="r").shape
    pitch = (SENSOR[0] // shape[0] * PIXEL,) * 2
    lcd, grid = LCD(), Grid(tuple(shape), pitch)
    optics = Optics(sensor_shape=shape, pixel_pitch=pitch, distance=4e-3, wavelengths=lcd.wavelengths)
    optics = optics.demagnified(0.4)
    waves = job["backend"] == "waves"
    together = 4 if waves else max(TOGETHER // (4 * 3 * shape[0] * shape[1]), 1)

    @torch.no_grad()
    def psfs(count: int) -> None:
        for first in range(0, count, together):
            seeds = range(first, min(first + together, count))
            patterns = torch.stack([random_pattern(seed, CELLS) for seed in seeds])
            if waves:
                point_source_psf(LCDMask(patterns, lcd=lcd), optics)
            else:
                lcd.shadow(patterns, grid)

    # a hundred shadows are drawn in too short a time to measure
    seconds = measure(psfs, job["iterations"] * (1 if waves else 20))
    answer(seconds, {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
