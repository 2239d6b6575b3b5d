"""LenslessPiCam's FarFieldSimulator through its public interface, in torch, its faster variant.

The environment needs lensless==1.0.8, torchvision and waveprop.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import peer_torchvision  # noqa: F401
import torch
from lensless.utils.simulation import FarFieldSimulator
from protocol import answer, measure, read_job

PICTURE = (300, 400)


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    psf = np.moveaxis(np.load(Path(job["folder"], "psf.npy")), 0, -1)[None].copy()
    noisy = job["solver"] == "measurement"
    camera = FarFieldSimulator(
        psf=torch.from_numpy(psf / psf.sum()),
        object_height=0.3,
        scene2mask=0.4,
        mask2sensor=4e-3,
        sensor="rpi_hq",
        output_dim=psf.shape[1:3],
        snr_db=40 if noisy else None,
        quantize=noisy,
        random_shift=noisy,
        is_torch=True,
    )
    picture = torch.rand(*PICTURE, 3)

    def photographs(count: int) -> None:
        for _ in range(count):
            camera.propagate_image(picture)

    seconds = measure(photographs, job["iterations"])
    answer(seconds, {name: version(name) for name in ("lensless", "torch", "numpy")})


main()
