"""Co-design: move a phase mask by gradient, so that the pictures computed from what it lets through become better.

A mask makes a PSF, the PSF a measurement, the measurement a picture, and each step is differentiable:

    psf(h) = | propagate( exp(2 pi i (n - 1) h / lambda) ) |^2         h: the mask's height, metres
    y      = psf(h) * x + sigma * noise                                x: a scene
    x^     = W(h) y,   W = conj(P) / (|P|^2 + k max |P|^2)             Wiener inversion, P: spectrum of the psf
    loss   = mean (x^ - x)^2                                           over scenes and noise

so d loss / d h says how to change the height of every cell. The mask begins as a random diffuser. It is judged on
pictures that the gradient never saw, against the diffuser that it was, with noise from the same seed and with the k
that serves the diffuser best. What comes out looks like lenslets.

    python examples/co_design.py            a minute; writes co_design.png
"""

from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lensless.evaluation.metrics import psnr
from lensless.images.gamma import srgb_to_linear
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.mask_designs import diffuser_mask
from lensless.physics.masks import Mask
from lensless.physics.psf import Optics, point_source_psf
from lensless.recon.wiener import Wiener

TRAINING = ("astronaut", "coffee", "rocket")
HELD_OUT = ("chelsea",)


@dataclass(frozen=True)
class Settings:
    """Every constant of the experiment; the defaults take a minute on two cores."""

    pixels: tuple[int, int] = (60, 80)
    pixel_pitch: float = 16e-6  # metres
    distance: float = 5e-3  # mask to sensor, metres
    wavelength: float = 550e-9  # metres
    cells: tuple[int, int] = (45, 60)  # of the height map, as large as pixels
    correlation_length: float = 60e-6  # of the first height map, metres
    slope: float = 0.01  # of the first height map, rise over run
    index: float = 1.5
    sigma: float = 0.01  # noise, relative to a white scene's measurement
    k: float = 8e-3  # of the Wiener inversion: what serves the diffuser best
    steps: int = 100
    rate: float = 2e-8  # of Adam: metres of height a step
    patches: int = 12  # of each training picture
    seed: int = 0


def camera(mask: Mask, settings: Settings) -> LenslessConvolution:
    """The camera that the mask makes, differentiable in the mask."""
    optics = Optics(
        sensor_shape=settings.pixels,
        pixel_pitch=(settings.pixel_pitch,) * 2,
        distance=settings.distance,
        wavelengths=(settings.wavelength,),
        oversample=3,  # two are too few for how steep the mask becomes
    )
    return LenslessConvolution(point_source_psf(mask, optics))


def reconstruct(physics: LenslessConvolution, scenes: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    measurement = physics(scenes)
    noise = torch.randn(measurement.shape, generator=generator)
    return Wiener(settings.k)(measurement + settings.sigma * noise, physics)


def patches(names: tuple[str, ...], settings: Settings, generator: np.random.Generator) -> Tensor:
    """(N, 1, h, w) linear gray patches of scikit-image's pictures, halved in size by averaging."""
    found = []
    for name in names:
        picture = srgb_to_linear(torch.from_numpy(getattr(skimage.data, name)()) / 255).mean(-1).numpy()
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for _ in range(settings.patches):
            spare = np.subtract(picture.shape, settings.pixels)
            y, x = generator.integers(spare + 1)
            found.append(picture[y : y + settings.pixels[0], x : x + settings.pixels[1]])
    return torch.from_numpy(np.stack(found))[:, None]


@torch.no_grad()
def score(mask: Mask, scenes: Tensor, settings: Settings) -> float:
    """Mean PSNR in dB of the reconstructed scenes; the noise is the same for every mask."""
    generator = torch.Generator().manual_seed(settings.seed + 1)
    pictures = reconstruct(camera(mask, settings), scenes, settings, generator)
    return float(np.mean([psnr(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]))


def co_design(settings: Settings) -> tuple[Mask, list[dict[str, float]], Tensor]:
    """The trained mask, the scores along the way, and the held-out scenes."""
    generator = np.random.default_rng(settings.seed)
    training, held_out = (patches(names, settings, generator) for names in (TRAINING, HELD_OUT))
    mask = first_mask(settings)
    optimiser = torch.optim.Adam(mask.parameters(), lr=settings.rate)
    noise = torch.Generator().manual_seed(settings.seed)
    history = []
    for step in range(settings.steps + 1):
        if step % max(settings.steps // 10, 1) == 0:
            scores = {"training": score(mask, training, settings), "held out": score(mask, held_out, settings)}
            history.append({"step": step} | scores)
            print(f"step {step:4d}: " + ", ".join(f"{name} {value:.2f} dB" for name, value in scores.items()))
        batch = torch.from_numpy(generator.choice(len(training), 8, replace=False))
        scenes = training[batch]
        loss = (reconstruct(camera(mask, settings), scenes, settings, noise) - scenes).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return mask, history, held_out


def first_mask(settings: Settings) -> Mask:
    return diffuser_mask(
        settings.cells,
        pitch=(settings.pixel_pitch,) * 2,
        correlation_length=settings.correlation_length,
        slope=settings.slope,
        index=settings.index,
        seed=settings.seed,
        trainable=True,
    )


def figure(settings: Settings, mask: Mask, history: list[dict[str, float]], scenes: Tensor) -> Figure:
    """Height, PSF and the reconstruction of a held-out scene, before and after; the scores along the way."""
    page = Figure(figsize=(13, 5), layout="constrained")
    axes = page.subplot_mosaic([["h0", "p0", "x0", "curve"], ["h1", "p1", "x1", "scene"]])
    scene = scenes[int(scenes.var((1, 2, 3)).argmax())][None]
    panels = {"scene": ("that scene", scene)}
    for row, (when, shown) in enumerate({"before": first_mask(settings), "after": mask}.items()):
        with torch.no_grad():
            physics = camera(shown, settings)
            generator = torch.Generator().manual_seed(settings.seed + 1)
            panels[f"x{row}"] = (f"held-out scene {when}", reconstruct(physics, scene, settings, generator))
        panels[f"p{row}"] = (f"PSF {when}", physics.psf / physics.psf.max())
        axes[f"h{row}"].imshow(shown.height.detach() * 1e6)
        axes[f"h{row}"].set_title(f"height {when}")
    for place, (title, image) in panels.items():
        axes[place].imshow(image.squeeze().clamp(0, 1).sqrt(), cmap="gray", vmin=0, vmax=1)
        axes[place].set_title(title)
    for name in ("training", "held out"):
        axes["curve"].plot([entry["step"] for entry in history], [entry[name] for entry in history], label=name)
    axes["curve"].set_xlabel("step")
    axes["curve"].set_ylabel("mean PSNR / dB")
    axes["curve"].legend()
    return page


def main() -> None:
    settings = Settings()
    mask, history, held_out = co_design(settings)
    gain = history[-1]["held out"] - history[0]["held out"]
    print(f"seed {settings.seed}: {gain:+.2f} dB on held-out scenes")
    figure(settings, mask, history, held_out).savefig("co_design.png", dpi=90)


if __name__ == "__main__":
    main()
