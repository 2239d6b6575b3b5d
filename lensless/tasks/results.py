"""The files of one reconstruction; the record comes last, so that it says that the others are whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lensless.evaluation.figures import as_picture, reconstruction_figure, white_level
from lensless.images.prepare import flip, rotate
from lensless.images.write import atomic_write, write_json, write_npy, write_png16
from lensless.tasks.session import Result
from lensless.versions import versions

# how the figure calls what a model makes on the way to its result
STAGES = {
    "psf": "PSF, corrected",
    "background_subtracted": "background subtracted",
    "pre": "pre-processed",
    "inversion": "inverted",
}


@dataclass(frozen=True, kw_only=True)
class View:
    """How a result is turned, and how bright it is shown.

    flip: none, vertical, horizontal or both. rotation: degrees anticlockwise, a multiple of 90. white: percentile of
    the picture's values that is shown as white, in (0, 100]. Raises InputError on anything else.
    """

    flip: str = "none"
    rotation: int = 0
    white: float = 99.9

    def __post_init__(self):
        self.white_level(self.turn(torch.ones(1, 1, 1)))

    def turn(self, image: Tensor) -> Tensor:
        """(..., H, W) flipped, then rotated."""
        return rotate(flip(image, self.flip), self.rotation)

    def white_level(self, picture: Tensor) -> float:
        """The value that is shown as white."""
        return white_level(picture, self.white)


def write_result(result: Result, folder: Path, name: str, *, view: View, record: dict[str, Any]) -> None:
    """Write NAME.png, NAME.npy, NAME_figure.png and at last NAME.json into ``folder``.

    ``record`` is what else the JSON shall hold. Raises InputError where a file cannot be written.
    """
    image = view.turn(result.image)
    picture = as_picture(image)
    maximum = view.white_level(picture)
    files = [f"{name}.png", f"{name}.npy", f"{name}_figure.png"]
    write_png16(folder / files[0], picture / maximum)
    write_npy(folder / files[1], image)
    if image.ndim == 4:
        for depth, plane in enumerate(image):
            files.append(f"{name}_planes/{depth:03d}.png")
            write_png16(folder / files[-1], as_picture(plane) / maximum)
    panels = {"PSF": result.psf, "measurement": result.measurement}
    for stage, made in result.stages.items():
        panels[STAGES[stage]] = view.turn(made) if stage == "inversion" else made
    panels["reconstruction"] = image
    if result.truth is not None:
        panels["ground truth"] = view.turn(result.truth)
    figure = reconstruction_figure(panels, result.solution.history)
    with atomic_write(folder / files[2]) as temporary:
        figure.savefig(temporary, dpi=120)
    write_json(
        folder / f"{name}.json",
        {
            **record,
            "files": files,
            "metrics": result.metrics,
            "notes": result.notes,
            "display_maximum": maximum,
            "psf_factor": result.psf_factor,
            "iterations": result.solution.iterations,
            "stopped_by": result.solution.stopped_by,
            "seconds": result.seconds,
            "versions": versions(),
            "history": result.solution.history,
        },
    )
