"""LenslessPiCam's unrolled ADMM, alone and between two DRUNets; in an environment of its own.

A network given as a module makes it import packages that no index has (slm_controller); given as a function, as its
documentation allows, it does not. The environment needs lensless==1.0.8 and torchvision.
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import peer_torchvision  # noqa: F401
import torch
from lensless.recon.drunet.network_unet import UNetRes
from protocol import answer, measure, read_job

from lensless import UnrolledADMM

# of the two networks, of 4 million and of 128 thousand weights each
WIDTHS = {"modular-training": [32, 64, 116, 128], "light-training": [4, 8, 16, 32]}


def processor(widths: list[int]) -> tuple[Callable, torch.nn.Module]:
    """Images (B, 1, H, W, 3) and a noise level through a network, zero-padded to multiples of 8."""
    network = UNetRes(
        in_nc=4, out_nc=3, nc=widths, nb=4, act_mode="R", downsample_mode="strideconv", upsample_mode="convtranspose"
    )

    def process(image: torch.Tensor, noise_level: torch.Tensor, **unused: None) -> torch.Tensor:
        x = image[:, 0].movedim(-1, 1)
        scale = x.amax((1, 2, 3), keepdim=True)
        height, width = x.shape[-2:]
        padded = torch.nn.functional.pad(x / scale, (0, -width % 8, 0, -height % 8))
        level = (noise_level / 255).expand(len(x), 1, *padded.shape[-2:])
        y = network(torch.cat([padded, level], 1))[..., :height, :width]
        return (y.clamp(min=0) * scale).movedim(1, -1)[:, None]

    return process, network


def main() -> None:
    job = read_job()
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    psf, y = (
        torch.from_numpy(np.moveaxis(np.load(Path(job["folder"], f"{name}.npy")), 0, -1)[None].copy())
        for name in ("psf", "measurement")
    )
    y = y.expand(job["batch"], -1, -1, -1, -1).contiguous()
    widths = WIDTHS.get(job["solver"])
    processors = [processor(widths), processor(widths)] if widths else []
    names = ("pre_process", "post_process")
    model = UnrolledADMM(psf, n_iter=5, **{n: process for n, (process, _) in zip(names, processors, strict=False)})
    modules = torch.nn.ModuleList([model, *(network for _, network in processors)])
    optimiser = torch.optim.AdamW(modules.parameters())

    @torch.no_grad()
    def forward(calls: int) -> None:
        for _ in range(calls):
            model(y)

    def training(calls: int) -> None:
        for _ in range(calls):
            optimiser.zero_grad()
            (model(y) - y).square().mean().backward()
            optimiser.step()

    run = forward if job["solver"] == "unrolled-forward" else training
    answer(measure(run, job["iterations"]), {name: version(name) for name in ("lensless", "torch", "numpy")})


main()
