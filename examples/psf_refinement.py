"""When a PSF is called better: small simulated cameras whose calibration is wrong in a known way.

The calibration is the true PSF, or one that is noisy, hazy (a background that was not subtracted), cut (faint light set
to 0), clipped (saturated), magnified by 1.5 %, turned by 0.7 degrees or blurred. `refine_psf` sees 16 measurements at
35 dB, of other photographs' parts than the 8 on which ADMM then reconstructs with either PSF. A decision is right if
the PSF is replaced where that raises the PSNR, and kept where it would lower it.

    python examples/psf_refinement.py            a quarter of an hour on one core; prints a table
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import skimage.data
import torch
from torch import Tensor

from lensless.calibration.refine import refine_psf
from lensless.evaluation.metrics import psnr
from lensless.images.gamma import srgb_to_linear
from lensless.images.prepare import normalise_psf
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.random import normal, sample_generator
from lensless.physics.system import System, get_system
from lensless.recon.admm import ADMM

CAMERAS = ("multilens", "diffuser")
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
TRAINING, HELD_OUT = 16, 8
SNR_DB = 35.0


def scenes(size: tuple[int, int]) -> Tensor:
    """(24, 3, h, w): six parts of each of four photographs, the last two of each at the end."""
    parts = []
    for name in PHOTOS:
        photo = getattr(skimage.data, name)()
        height, width = photo.shape[0] // 2, photo.shape[1] // 3
        for k in range(6):
            top, left = height * (k // 3), width * (k % 3)
            part = cv2.resize(photo[top : top + height, left : left + width], size[::-1], interpolation=cv2.INTER_AREA)
            parts.append(srgb_to_linear(torch.from_numpy(part) / 255).movedim(-1, 0))
    order = [k for k in range(len(parts)) if k % 6 < 4] + [k for k in range(len(parts)) if k % 6 >= 4]
    return torch.stack([parts[k] for k in order])


def wrong(psf: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Calibrations of a camera whose PSF is ``psf``, with a name for each."""
    yield "true", psf
    noise = normal(psf, sample_generator(3, 0)) * psf.square().mean().sqrt()
    yield "noisy", (psf + 0.3 * noise).clamp_min(0)
    yield "hazy", psf + 0.3 * psf.mean((-2, -1), keepdim=True)
    yield "cut", psf * (psf > 0.15 * psf.max())
    yield "clipped", psf.clamp_max(0.25 * float(psf.max()))
    yield "magnified", warped(psf, 1.015, 0.0)
    yield "turned", warped(psf, 1.0, 0.7)
    yield "blurred", torch.from_numpy(cv2.GaussianBlur(psf.movedim(0, -1).numpy(), (0, 0), 1.0)).movedim(-1, 0)


def warped(psf: Tensor, scale: float, degrees: float) -> Tensor:
    height, width = psf.shape[-2:]
    matrix = cv2.getRotationMatrix2D((width // 2, height // 2), degrees, scale)
    image = cv2.warpAffine(psf.movedim(0, -1).numpy(), matrix, (width, height), flags=cv2.INTER_CUBIC)
    return torch.from_numpy(image).movedim(-1, 0).clamp_min(0)


def quality(psf: Tensor, measurements: Tensor, truth: Tensor) -> float:
    """Mean PSNR in dB of what ADMM makes of the measurements, each at its best brightness."""
    found = ADMM(100)(measurements, LenslessConvolution(psf))
    gains = (found * truth).sum((1, 2, 3), keepdim=True) / found.square().sum((1, 2, 3), keepdim=True)
    return float(np.mean([psnr(one, other) for one, other in zip(gains * found, truth, strict=True)]))


def compare(system: System, **settings: float) -> Iterator[str]:
    """A line for each wrong calibration of a camera. settings: of refine_psf."""
    pictures = scenes(system.sensor.shape)
    y = torch.cat([system.measure(one[None], sample_generator(0, k)) for k, one in enumerate(pictures)])
    held_out = slice(TRAINING, TRAINING + HELD_OUT)
    for name, psf in wrong(system.psf):
        psf, _ = normalise_psf(psf)
        found = refine_psf(psf, y[:TRAINING], **settings)
        before, after = (quality(one, y[held_out], pictures[held_out]) for one in (psf, found.candidate))
        right = found.accepted == (after > before) or math.isclose(before, after)
        yield (
            f"{system.name:10} {name:10} {found.gain:8.1%}   {'replaced' if found.accepted else 'kept':9} "
            f"{before:7.2f} {after:9.2f}   {'right' if right else 'wrong'}"
        )


def main() -> None:
    print("camera     PSF           fall   decision     PSNR  replaced")
    for name in CAMERAS:
        for line in compare(replace(get_system(name, size="tiny"), snr_db=SNR_DB)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
