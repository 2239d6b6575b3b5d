"""Nanoseconds a pixel of one real 2-D FFT over grid sizes, for every backend.

Each pair of heights and widths holds a multiple of 1024 and a 5-smooth size that is none: rows whose length is
a multiple of 1024 all start in the same cache sets, which `lensless.physics.fft.fast_size` avoids.
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable

import scipy.fft
import torch
from protocol import read_job

from lensless.physics.fft import GridFFT

SIZES = [((1000, 1024), (1000, 1024)), ((2000, 2048), (2000, 2048)), ((3000, 3072), (4050, 4096))]
REPEATS = 5


def transforms(grid: tuple[int, int], threads: int) -> dict[tuple[str, str], Callable[[], object]]:
    """(backend, direction) to one transform of a float32 image on ``grid``."""
    image = torch.rand(grid)
    spectrum = torch.fft.rfft2(image)
    runs = {}
    for backend in ("ducc", "torch"):
        fft = GridFFT(grid, backend=backend)
        buffer = torch.empty_like(spectrum)
        runs[backend, "forward"] = lambda fft=fft, out=buffer: fft.forward(image, out=out)
        runs[backend, "inverse"] = lambda fft=fft, out=buffer: fft.inverse(out, grid, out=image)
    pixels, half = image.numpy().copy(), spectrum.numpy()
    runs["scipy", "forward"] = lambda: scipy.fft.rfft2(pixels, workers=threads)
    runs["scipy", "inverse"] = lambda: scipy.fft.irfft2(half, s=grid, workers=threads)
    return runs


def main() -> None:
    threads = read_job()["threads"]
    torch.set_num_threads(threads)
    for heights, widths in SIZES:
        for grid in itertools.product(heights, widths):
            for (backend, direction), run in transforms(grid, threads).items():
                nanoseconds = statistics.median(_seconds(run) for _ in range(REPEATS + 1)) * 1e9
                record = {"backend": backend, "direction": direction, "grid": grid, "threads": threads}
                print(json.dumps({**record, "ns_per_pixel": nanoseconds / (grid[0] * grid[1])}))


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


main()
