"""This library's solvers through their public interface."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import answer, measure, read_job

from lensless.physics.convolution import LenslessConvolution
from lensless.recon.admm import ADMM
from lensless.recon.gradient import FISTA

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
