"""`lensless demo`: photograph a picture with a simulated lensless camera, and reconstruct it."""

from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from omegaconf import DictConfig, OmegaConf
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from lensless.errors import InputError
from lensless.evaluation.figures import reconstruction_figure
from lensless.evaluation.metrics import scores
from lensless.images.gamma import srgb_to_linear
from lensless.images.prepare import normalise_psf
from lensless.images.write import atomic_write, write_json
from lensless.physics.convolution import LenslessConvolution
from lensless.tasks.compose import build
from lensless.tasks.method import solve
from lensless.tasks.records import Stopwatch
from lensless.versions import versions

PATHS = ("output",)
POSITIONAL = None


def run(cfg: DictConfig) -> int:
    """Simulate, reconstruct, score; write `demo.png` and `demo.json` into ``cfg.output`` and print the numbers."""
    folder, watch = Path(cfg.output).expanduser(), Stopwatch()
    solver = build(cfg.recon, "recon")
    size = tuple(cfg.size)
    if len(size) != 2 or not all(isinstance(n, int) and n >= 64 for n in size):
        raise InputError(f"size: expected [height, width] of at least 64 pixels, got {list(size)}")
    if not 1 <= cfg.bits <= 16:
        raise InputError(f"bits: expected 1 to 16, got {cfg.bits}")
    with watch("simulate"):
        psf, _ = normalise_psf(_tape_psf(size, seed=cfg.seed))
        scene = _astronaut(size)
        physics = LenslessConvolution(psf.expand(3, -1, -1))
        measurement = _expose(physics(scene[None])[0], snr=cfg.snr, bits=cfg.bits, seed=cfg.seed)
    with watch("solve"):
        solution = solve(solver, measurement[None], physics)
    image = solution.image[0]
    metrics = scores(image, scene)
    panels = {"scene": scene, "PSF": psf, "measurement": measurement, "reconstruction": image}
    figure = reconstruction_figure(panels, solution.history)
    with atomic_write(folder / "demo.png") as temporary:
        figure.savefig(temporary, dpi=120)
    write_json(
        folder / "demo.json",
        {
            "metrics": metrics,
            "iterations": solution.iterations,
            "stopped_by": solution.stopped_by,
            "seconds": watch.seconds,
            "config": OmegaConf.to_container(cfg, resolve=True),
            "versions": versions(),
            "notes": ["the scene was simulated on the grid that it is reconstructed on, with noise and quantisation"],
            "history": solution.history,
        },
    )
    print(f"{solution.iterations} iterations in {watch.seconds['solve']:.1f} s")
    print("affine-fitted PSNR {psnr_affine:.2f} dB, SSIM {ssim_affine:.3f}".format(**metrics))
    print(f"{folder / 'demo.png'}\n{folder / 'demo.json'}")
    return 0


def _astronaut(size: tuple[int, int]) -> Tensor:
    """Linear (3, H, W) of scikit-image's astronaut: the upper part in the sensor's proportions, averaged down."""
    picture = skimage.data.astronaut()
    height = min(round(picture.shape[1] * size[0] / size[1]), picture.shape[0])
    linear = srgb_to_linear(torch.from_numpy(picture[:height]).movedim(-1, 0) / 255)
    smaller = cv2.resize(linear.movedim(0, -1).numpy(), size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(smaller).movedim(-1, 0)


def _tape_psf(size: tuple[int, int], *, seed: int, rays: int = 4) -> Tensor:
    """(1, H, W) caustic of a thin, smooth, random sheet such as adhesive tape, by counting bent rays.

    A ray that meets the sheet at u lands at u + d grad h(u), h a random height of smooth bumps, d chosen for a mean
    bend of 7 pixels; rays x rays of them for each pixel of an aperture of half the sensor. A stand-in for the wave
    optics of `lensless.physics`.
    """
    height, width = size
    bumps = gaussian_filter(np.random.default_rng(seed).standard_normal(size), 9)
    slopes = np.gradient(bumps)
    slopes = [7 * slope / np.hypot(*slopes).mean() for slope in slopes]
    rows, columns = (np.arange(n // 4, n - n // 4, 1 / rays) for n in size)
    start = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    landed = [u + map_coordinates(slope, start, order=1) for u, slope in zip(start, slopes, strict=True)]
    counts, _, _ = np.histogram2d(
        landed[0].ravel(), landed[1].ravel(), bins=size, range=((-0.5, height - 0.5), (-0.5, width - 0.5))
    )
    return torch.from_numpy(gaussian_filter(counts, 0.7).astype(np.float32))[None]


def _expose(light: Tensor, *, snr: float, bits: int, seed: int) -> Tensor:
    """What a sensor reads: the brightest pixel at 0.9 of full scale, Gaussian noise of ``snr`` dB, ``bits`` bits."""
    signal = 0.9 * light / light.max()
    noise = torch.randn(signal.shape, generator=torch.Generator().manual_seed(seed))
    noisy = signal + noise * signal.square().mean().sqrt() * 10 ** (-snr / 20)
    levels = 2**bits - 1
    return (noisy.clamp(0, 1) * levels).round() / levels
