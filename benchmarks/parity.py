"""How far imported models are from LenslessPiCam's own outputs, beside the stated tolerances, as a Markdown table.

    python benchmarks/parity.py [FOLDER]

FOLDER holds the reference cases, by default ../shared/reference/lenslesspicam beside the checkout. The deviation is
max|a - b| / max|b| of each array, in float32.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lensless.interop.from_lenslesspicam import from_lenslesspicam
from lensless.physics.convolution import LenslessConvolution

REFERENCE = Path(__file__).parents[2] / "shared/reference/lenslesspicam"
ARRAYS = ("final", "inverted", "pre_processed", "psf_corrected")


def cases(folder: Path) -> list[Path]:
    """The checkpoints among the reference cases."""
    return sorted(folder.glob("ckpt_*"))


def read_case(case: Path) -> tuple[dict, dict[str, Tensor]]:
    """Its description, and its arrays as (B, C, H, W)."""
    with np.load(case / "arrays.npz", allow_pickle=False) as file:
        images = {name: values.reshape(-1, *values.shape[-3:]).transpose(0, 3, 1, 2) for name, values in file.items()}
    arrays = {name: torch.from_numpy(np.ascontiguousarray(image)) for name, image in images.items()}
    return json.loads((case / "case.json").read_text()), arrays


@torch.no_grad()
def deviations(case: Path) -> dict[str, tuple[float, float]]:
    """Deviation and tolerance of every array of a case."""
    about, arrays = read_case(case)
    parent = case / "parent"
    model = from_lenslesspicam(
        case / "checkpoint",
        parent=parent if parent.is_dir() else None,
        legacy_denoiser=about["parameters"]["legacy_denoiser"],
    ).reconstruction
    camera = LenslessConvolution(arrays.get("psfs", arrays["psf"]))
    stages = model.stages(arrays["y"], camera, background=arrays.get("background"))
    found = {
        "final": stages["image"],
        "inverted": stages["inversion"],
        "pre_processed": stages.get("pre", stages.get("background_subtracted")),
        "psf_corrected": stages.get("psf"),
    }
    return {
        name: (float((found[name] - arrays[name]).abs().max() / arrays[name].abs().max()), tolerance)
        for name, tolerance in about["tolerance"]["value"].items()
    }


def table(folder: Path) -> str:
    """One row a case: deviation / tolerance of each array that it has."""
    lines = [f"| case | {' | '.join(ARRAYS)} |", f"| --- |{' ---: |' * len(ARRAYS)}"]
    for case in cases(folder):
        found = deviations(case)
        cells = [f"{found[name][0]:.1e} / {found[name][1]:.1e}" if name in found else "" for name in ARRAYS]
        lines.append(f"| {case.name.removeprefix('ckpt_')} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE))
