"""`lensless import FOLDER output=FOLDER`: a model that LenslessPiCam published, in this library's format."""

from pathlib import Path

from omegaconf import DictConfig

from lensless.interop.from_lenslesspicam import from_lenslesspicam

PATHS = ("folder", "output", "parent")
POSITIONAL = "folder"


def run(cfg: DictConfig) -> int:
    """Read the published folder and write card and weights. Raises what is wrong with it."""
    model = from_lenslesspicam(
        cfg.folder,
        parent=cfg.parent,
        legacy_denoiser=cfg.legacy_denoiser,
        psf_norm=cfg.psf_norm,
        licence=cfg.licence,
    )
    output = Path(cfg.output).expanduser()
    model.save(output)
    weights = sum(parameter.numel() for parameter in model.reconstruction.parameters())
    print(f"{output}: {model.card.summary}, {weights} weights")
    for note in model.card.notes:
        print(f"  {note}")
    return 0
