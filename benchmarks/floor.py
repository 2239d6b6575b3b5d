"""The floor of an iteration: its four real FFTs a channel on the padded grid, in buffers that are reused.

"full" transforms every row. "pruned" skips the rows that are known to be zero or are cropped away: of the two
transforms each way, one lies on the grid and one on the sensor.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import answer, measure, read_job

from lensless.physics.fft import GridFFT, fast_shape


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    channels, *sensor = np.load(Path(job["folder"], "psf.npy"), mmap_mode="r").shape
    grid = fast_shape(tuple(2 * n for n in sensor))
    fft = GridFFT(grid)
    spectrum = torch.empty(fft.spectrum_shape, dtype=torch.complex64)
    images = [torch.rand(size) for size in (grid, sensor if job["backend"] == "pruned" else grid)]

    def run(iterations: int) -> None:
        for _ in range(iterations * channels):
            for image in images:
                fft.forward(image, out=spectrum)
                fft.inverse(spectrum, tuple(image.shape), out=image)

    answer(measure(run, job["iterations"]), {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
