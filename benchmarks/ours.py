"""This library's solvers through their public interface."""

from importlib.metadata import version
from pathlib import Path

from lensless.threads import spin_briefly

spin_briefly()  # as the `lensless` command does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from protocol import answer, measure, read_job  # noqa: E402

from lensless.physics.convolution import LenslessConvolution  # noqa: E402
from lensless.recon.admm import ADMM  # noqa: E402
from lensless.recon.gradient import FISTA  # noqa: E402

SOLVERS = {"admm": ADMM, "fista": FISTA}


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    psf, measurement = (
        torch.from_numpy(np.load(Path(job["folder"], f"{name}.npy"))) for name in ("psf", "measurement")
    )
    physics = LenslessConvolution(psf, backend=job["backend"])
    seconds = measure(lambda n: SOLVERS[job["solver"]](n)(measurement[None], physics), job["iterations"])
    answer(seconds, {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
