"""The floor of a convolution: one FFT forth and one back a channel on the smallest grid, in buffers that are reused."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import answer, measure, read_job

from lensless.physics.convolution import least_grid
from lensless.physics.fft import GridFFT, fast_shape


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    channels, *sensor = np.load(Path(job["folder"], "psf.npy"), mmap_mode="r").shape
    fft = GridFFT(fast_shape(tuple(least_grid(n, n) for n in sensor)))
    spectrum = torch.empty(fft.spectrum_shape, dtype=torch.complex64)
    image = torch.rand(fft.shape)

    def convolutions(count: int) -> None:
        for _ in range(count * channels):
            fft.forward(image, out=spectrum)
            fft.inverse(spectrum, fft.shape, out=image)

    answer(measure(convolutions, job["iterations"]), {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
