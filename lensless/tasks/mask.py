"""`lensless mask NAME`: a mask, its PSF, and how good a camera that makes, as a figure and numbers."""

from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from lensless.errors import require
from lensless.evaluation.mask_figure import Spot, mask_figure, mtf_difference_db
from lensless.images.write import atomic_write, write_json
from lensless.physics.masks import Mask
from lensless.physics.psf import Optics, point_source_psf
from lensless.tasks.compose import build
from lensless.versions import versions

PATHS = ("output", "measured")
POSITIONAL = "mask"


def run(cfg: DictConfig) -> int:
    """Write NAME.png and NAME.json into ``cfg.output`` and print the numbers."""
    mask, optics = build(cfg.mask, "mask"), build(cfg.optics, "optics")
    spots = [simulated(mask, optics, cfg.source_distance)]
    if cfg.measured is not None:
        spots.append(measured(cfg))
    numbers = {spot.name: spot.numbers() for spot in spots}
    numbers["simulated"]["light_captured"] = float(spots[0].psf.sum((-2, -1)).mean())
    if cfg.measured is not None:
        # ten periods across the mask
        lowest = 10 / min(mask.cells.extent)
        numbers["simulated"]["mtf_difference_db"] = mtf_difference_db(*spots, lowest=lowest)
    files = [Path(cfg.output).expanduser() / f"{cfg.name}.{suffix}" for suffix in ("png", "json")]
    figure = mask_figure(mask, mask.grid(optics.window.pitch), optics.wavelengths, spots)
    with atomic_write(files[0]) as temporary:
        figure.savefig(temporary, dpi=100)
    config = OmegaConf.to_container(cfg, resolve=True)
    write_json(files[1], {"numbers": numbers, "config": config, "versions": versions()})
    for name, values in numbers.items():
        print(f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in values.items()))
    print(*files, sep="\n")
    return 0


@torch.no_grad()
def simulated(mask: Mask, optics: Optics, source_distance: float) -> Spot:
    """The PSF of a point at ``source_distance`` metres."""
    require(source_distance > 0, f"source_distance: expected metres > 0, got {source_distance}")
    psf = point_source_psf(mask, optics.demagnified(source_distance))
    return Spot("simulated", psf.float(), optics.pixel_pitch)


def measured(cfg: DictConfig) -> Spot:
    """The PSF in the file ``cfg.measured``."""
    require(cfg.measured_pitch > 0, f"measured_pitch: expected metres > 0, got {cfg.measured_pitch}")
    image = build(cfg.measured_input, "measured_input")(Path(cfg.measured).expanduser())
    image = build(cfg.measured_prepare, "measured_prepare")(image).image
    return Spot("measured", image, (cfg.measured_pitch, cfg.measured_pitch))
