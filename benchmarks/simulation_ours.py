"""This library's simulated camera and LCD through their public interfaces, and the FFTs that a convolution needs."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import answer, measure, read_job

from lensless.data.scenes import Placement
from lensless.physics.fft import GridFFT
from lensless.physics.lcd import LCD, random_pattern
from lensless.physics.propagation import Grid
from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor, get_sensor
from lensless.physics.system import System, get_system

PATTERNS = 100
PICTURE = (300, 400)


def sensor(job: dict) -> Sensor:
    return get_sensor("imx477").without_cfa().resized(tuple(job["shape"]))


def camera(job: dict) -> System:
    psf = torch.from_numpy(np.load(Path(job["folder"], "psf.npy")))
    system = replace(get_system("tape"), sensor=sensor(job), snr_db=40.0 if job["task"] == "measurement" else None)
    return system.with_psf(psf / psf.sum((-2, -1)).mean())


def convolution(job: dict) -> Callable[[], object]:
    """A scene as it is, (3, h, w), through the camera, without noise."""
    physics = camera(job).physics
    scene = torch.rand(1, *physics.scene_shape)
    return lambda: physics(scene)


def fft(job: dict) -> Callable[[], object]:
    """The floor of a convolution: one FFT forth and one back a channel on the padded grid, into reused buffers."""
    grid = camera(job).physics.fft.shape
    transform, image = GridFFT(grid), torch.rand(grid)
    spectrum = torch.empty(transform.spectrum_shape, dtype=torch.complex64)

    def once() -> None:
        for _ in range(3):
            transform.forward(image, out=spectrum)
            transform.inverse(spectrum, grid, out=image)

    return once


def photograph(job: dict) -> Callable[[], object]:
    """A picture placed before the camera, and its measurement with noise."""
    system, picture, generator = camera(job), torch.rand(3, *PICTURE), sample_generator(0, 0)

    def once() -> torch.Tensor:
        scene, _ = Placement()(picture, system, generator)
        return system.measure(scene[None], generator)

    return once


def lcd(job: dict) -> Callable[[], object]:
    """The light behind 100 patterns at the wavelengths of red, green and blue, without diffraction."""
    grid, display = Grid(sensor(job).shape, sensor(job).pitch), LCD()
    values = torch.stack([random_pattern(seed, (54, 26)) for seed in range(PATTERNS)])
    return lambda: [display.amplitude(values, grid, wavelength).square_() for wavelength in display.wavelengths]


def waves(job: dict) -> Callable[[], object]:
    """The PSFs of 100 cameras that differ in their patterns."""
    return lambda: [replace(get_system("digicam", mask_seed=s), sensor=sensor(job)).psf for s in range(PATTERNS)]


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    tasks = {
        "convolution": convolution,
        "fft": fft,
        "measurement": photograph,
        "sensor": photograph,
        "lcd": lcd,
        "waves": waves,
    }
    once = tasks[job["task"]](job)

    @torch.no_grad()
    def run(count: int) -> None:
        for _ in range(count):
            once()

    answer(measure(run, job["iterations"]), {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
