"""This library's simulated camera through its public interface."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from lensless.threads import spin_briefly

spin_briefly()  # as the `lensless` command does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from protocol import answer, measure, read_job  # noqa: E402

from lensless.data.scenes import Placement  # noqa: E402
from lensless.physics.random import sample_generator  # noqa: E402
from lensless.physics.sensor import get_sensor  # noqa: E402
from lensless.physics.system import get_system  # noqa: E402

PICTURE = (300, 400)


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    psf = torch.from_numpy(np.load(Path(job["folder"], "psf.npy")))
    sensor = get_sensor("imx477").without_cfa().resized(tuple(psf.shape[-2:]))
    snr_db = 40.0 if job["solver"] == "measurement" else None
    camera = replace(get_system("tape"), sensor=sensor, snr_db=snr_db)
    camera = camera.with_psf(psf / psf.sum((-2, -1)).mean())
    generator = sample_generator(0, 0)
    picture, scene = torch.rand(3, *PICTURE, generator=generator), torch.rand(1, *psf.shape, generator=generator)

    def placed() -> torch.Tensor:
        return Placement()(picture, camera, generator)[0][None]

    steps = {
        "convolution": lambda: camera.light(scene),
        "photograph": lambda: camera.light(placed()),
        "measurement": lambda: camera.measure(placed(), generator),
        "sensor": lambda: camera.measure(placed(), generator),
    }

    @torch.no_grad()
    def simulated(count: int) -> None:
        for _ in range(count):
            steps[job["solver"]]()

    seconds = measure(simulated, job["iterations"])
    answer(seconds, {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
