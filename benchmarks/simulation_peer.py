"""LenslessPiCam's simulator and LCD mask through their public interfaces; runs in an environment of its own."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from protocol import answer, measure, read_job

# the driver of the physical display, which is not on PyPI; importing the mask needs its name, simulating does not
sys.modules["slm_controller"] = sys.modules["slm_controller.hardware"] = MagicMock()

from lensless.hardware.sensor import VirtualSensor  # noqa: E402
from lensless.hardware.slm import get_intensity_psf, get_programmable_mask  # noqa: E402
from lensless.utils.simulation import FarFieldSimulator  # noqa: E402
from waveprop.devices import slm_dict  # noqa: E402

PATTERNS = 100
PICTURE = (300, 400)


def simulator(job: dict) -> Callable[[], object]:
    """One picture through the far field simulator, in torch, its faster variant."""
    psf = np.moveaxis(np.load(Path(job["folder"], "psf.npy")), 0, -1)[None].copy()
    noisy = job["task"] == "measurement"
    camera = FarFieldSimulator(
        psf=torch.from_numpy(psf / psf.sum()),
        object_height=0.3,
        scene2mask=0.4,
        mask2sensor=4e-3,
        sensor="rpi_hq",
        output_dim=tuple(job["shape"]),
        snr_db=40 if noisy else None,
        quantize=noisy,
        random_shift=noisy,
        is_torch=True,
    )
    picture = torch.rand(*PICTURE, 3)
    return lambda: camera.propagate_image(picture)


def lcd(job: dict) -> Callable[[], object]:
    """Shadows of 100 patterns, one after the other."""
    full_height = 3040
    sensor = VirtualSensor.from_name("rpi_hq", downsample=full_height / job["shape"][0])
    patterns = [torch.rand(54, 26) for _ in range(PATTERNS)]
    return lambda: [get_intensity_psf(get_programmable_mask(p, sensor, slm_dict["adafruit"])) for p in patterns]


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    once = {"lcd": lcd}.get(job["task"], simulator)(job)

    @torch.no_grad()
    def run(count: int) -> None:
        for _ in range(count):
            once()

    answer(measure(run, job["iterations"]), {name: version(name) for name in ("lensless", "torch", "numpy")})


main()
