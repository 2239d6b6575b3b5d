"""PSFs of LenslessPiCam's programmable mask: the squared pattern, or waves propagated to the sensor.

It imports slm_controller, which no package index has, for the display's data sheet alone: that is written out here.
The environment needs lensless==1.0.8, torchvision and waveprop.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import peer_torchvision  # noqa: F401
import torch
from protocol import answer, measure, read_job

SENSOR = (3040, 4056)
CELLS = (54, 26)


class SLMParam:
    NAME = "name"
    CELL_SIZE = "cell_dim"
    SHAPE = SLM_SHAPE = "shape"
    SIZE = "size"
    DEADSPACE = "deadspace"
    PITCH = "pitch"
    COLOR_FILTER = "color_filter"
    MONOCHROME = "monochrome"


ADAFRUIT = {
    SLMParam.NAME: "adafruit",
    SLMParam.CELL_SIZE: np.array([0.06e-3, 0.18e-3]),
    SLMParam.SHAPE: np.array([384, 160]),
    SLMParam.SIZE: np.array([28.03e-3, 35.04e-3]),
    SLMParam.PITCH: np.array([28.03e-3 / 384, 35.04e-3 / 160]),
    SLMParam.DEADSPACE: np.array([0.013e-3, 0.039e-3]),
    SLMParam.COLOR_FILTER: np.eye(3)[:, None],
    SLMParam.MONOCHROME: False,
}


def main() -> None:
    hardware = ModuleType("slm_controller.hardware")
    hardware.SLMParam, hardware.slm_devices = SLMParam, {"adafruit": ADAFRUIT}
    sys.modules |= {"slm_controller": ModuleType("slm_controller"), "slm_controller.hardware": hardware}
    from lensless.hardware.sensor import VirtualSensor
    from lensless.hardware.slm import get_intensity_psf, get_programmable_mask
    from waveprop.color import ColorSystem

    job = read_job()
    torch.set_num_threads(job["threads"])
    _, height, _ = np.load(Path(job["folder"], "psf.npy"), mmap_mode="r").shape
    sensor = VirtualSensor.from_name("rpi_hq", downsample=SENSOR[0] // height)
    waves = job["backend"] == "waves"
    light = {"sensor": sensor, "scene2mask": 0.4, "mask2sensor": 4e-3, "color_system": ColorSystem.rgb()}
    generator = np.random.default_rng(0)

    def psfs(count: int) -> None:
        for _ in range(count):
            pattern = generator.random(CELLS, dtype=np.float32)
            if job["backend"] != "numpy":
                pattern = torch.from_numpy(pattern)
            mask = get_programmable_mask(pattern, sensor, ADAFRUIT, color_filter=ADAFRUIT[SLMParam.COLOR_FILTER])
            get_intensity_psf(mask, waveprop=waves, **(light if waves else {}))

    seconds = measure(psfs, job["iterations"])
    answer(seconds, {name: version(name) for name in ("lensless", "torch", "numpy", "waveprop")})


main()
