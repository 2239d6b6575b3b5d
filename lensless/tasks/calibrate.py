"""`lensless calibrate ACTION ... out=FOLDER`: measurements of a camera itself, and what they say about it."""

from omegaconf import DictConfig

from lensless.errors import check_name
from lensless.tasks.calibrate_align import align_board
from lensless.tasks.calibrate_linearity import check_linearity
from lensless.tasks.calibrate_mask import fit_geometry
from lensless.tasks.calibrate_psf import measure_psfs
from lensless.tasks.calibrate_refine import improve_psf

# taken literally
PATHS = ("records", "darks", "flat", "psf", "frames", "card", "out")
POSITIONAL = "action"


def run(cfg: DictConfig) -> int:
    """Do ``cfg.action``; returns 0 whatever the verdict."""
    actions = {
        "psf": measure_psfs,
        "mask": fit_geometry,
        "align": align_board,
        "refine": improve_psf,
        "linearity": check_linearity,
    }
    check_name("action", str(cfg.action), list(actions))
    return actions[cfg.action](cfg)
