"""This library's unrolled ADMM, alone and between two DRUNets, through its public interface."""

from importlib.metadata import version
from pathlib import Path

from lensless.memory import keep_freed_memory
from lensless.threads import spin_briefly

spin_briefly()  # as the `lensless` command does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from protocol import answer, measure, read_job  # noqa: E402

from lensless.models.drunet import DRUNet  # noqa: E402
from lensless.models.modular import ModularReconstruction  # noqa: E402
from lensless.models.processor import Processor  # noqa: E402
from lensless.physics.convolution import LenslessConvolution  # noqa: E402
from lensless.recon.unrolled import UnrolledADMM  # noqa: E402

# of the two networks, of 4 million and of 128 thousand weights each
WIDTHS = {"modular-training": (32, 64, 116, 128), "light-training": (4, 8, 16, 32)}


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    psf, y = (torch.from_numpy(np.load(Path(job["folder"], f"{name}.npy"))) for name in ("psf", "measurement"))
    physics, y = LenslessConvolution(psf), y.expand(job["batch"], -1, -1, -1).contiguous()
    parts = {}
    if widths := WIDTHS.get(job["solver"]):
        parts = {name: Processor(DRUNet(4, out_channels=3, widths=widths)) for name in ("pre", "post")}
    model = ModularReconstruction(UnrolledADMM(5), **parts)
    optimiser = torch.optim.AdamW(model.parameters())

    @torch.no_grad()
    def forward(calls: int) -> None:
        for _ in range(calls):
            model(y, physics)

    def training(calls: int) -> None:
        for _ in range(calls):
            optimiser.zero_grad()
            # as precision=bf16-mixed does
            with torch.autocast("cpu", torch.bfloat16, enabled=job["backend"] == "bf16"):
                loss = (model(y, physics) - y).square().mean()
            loss.backward()
            optimiser.step()

    run = forward
    if job["solver"] != "unrolled-forward":
        keep_freed_memory()  # as `lensless train` does
        run = training
    answer(measure(run, job["iterations"]), {name: version(name) for name in ("torch", "numpy", "ducc0")})


main()
