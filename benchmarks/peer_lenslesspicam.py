"""LenslessPiCam (PyPI `lensless`) through its public interface; runs in an environment of its own."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from protocol import answer, measure, read_job

import lensless

SOLVERS = {"admm": lensless.ADMM, "fista": lensless.FISTA}


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    psf, measurement = (np.load(Path(job["folder"], f"{name}.npy")) for name in ("psf", "measurement"))
    psf, measurement = np.moveaxis(psf, 0, -1)[None].copy(), np.moveaxis(measurement, 0, -1)[None].copy()
    if job["backend"] == "torch":
        psf, measurement = torch.from_numpy(psf), torch.from_numpy(measurement)
    solver = SOLVERS[job["solver"]](psf)
    solver.set_data(measurement)
    seconds = measure(lambda n: solver.apply(n_iter=n, disp_iter=None, plot=False), job["iterations"])
    answer(seconds, {name: version(name) for name in ("lensless", "torch", "numpy")})


main()
