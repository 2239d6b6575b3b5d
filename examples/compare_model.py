"""A trained model and the classical solvers on scenes that none of them saw: PSNR, SSIM, and a picture.

The scenes are the test split of an experiment, photographs that neither training nor its validation used:

    python examples/compare_model.py cpu_small --scenes photos/           a shipped model's name or a folder
    python examples/compare_model.py runs/mine/model --experiment experiment=cpu_small

PSNR = 10 log10(1 / mean((x^ - x)^2)) dB, without any fit: the mean over the scenes with its standard error, and the
mean difference to the model. "best" rows have the parameter, of those listed here, that is best on these very scenes:
an advantage that no one has in practice.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure
import torch
from torch import Tensor

from lensless.data.sample import Batch, collate
from lensless.evaluation.metrics import psnr, ssim
from lensless.images.gamma import linear_to_srgb
from lensless.models.pretrained import Model
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.admm import ADMM
from lensless.recon.gradient import FISTA
from lensless.recon.wiener import Wiener
from lensless.tasks.compose import build, compose

TAUS, KS, ITERATIONS = (4e-4, 8e-4, 1.5e-3, 3e-3, 6e-3), (3e-3, 1e-2, 3e-2, 1e-1), (5, 10, 20, 50, 100)


def methods(model: torch.nn.Module) -> dict[str, list]:
    """What competes: for each row the candidates, of which the best counts."""
    return {
        "Wiener": [Wiener()],
        "Wiener, best k": [Wiener(k) for k in KS],
        "FISTA, 100 iterations": [FISTA(100)],
        "FISTA, best number of iterations": [FISTA(n) for n in ITERATIONS],
        "ADMM, 100 iterations": [ADMM(100)],
        "ADMM, 100 iterations, best tau": [ADMM(100, tau=tau) for tau in TAUS],
        "the model's inversion alone": [model.inversion],
        "the model": [model],
    }


@torch.no_grad()
def compare(rows: dict[str, list], batch: Batch) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """(images, PSNR of each scene, SSIM of each scene) of the best candidate of each row."""
    physics, found = LenslessConvolution(batch.psf), {}
    for name, candidates in rows.items():
        images = [candidate(batch.measurement, physics) for candidate in candidates]
        best = max(images, key=lambda x: float(each(psnr, x, batch.scene).mean()))
        found[name] = best, each(psnr, best, batch.scene), each(ssim, best, batch.scene)
    return found


def each(score: Callable[[Tensor, Tensor], float], images: Tensor, scenes: Tensor) -> Tensor:
    return torch.tensor([score(image, scene) for image, scene in zip(images, scenes, strict=True)])


def table(found: dict[str, tuple[Tensor, Tensor, Tensor]]) -> str:
    lines = ["| method | PSNR / dB | below the model / dB | SSIM |", "|---|---:|---:|---:|"]
    of_model = found["the model"][1]
    for name, (_, quality, similarity) in found.items():
        error, gap = quality.std() / len(quality) ** 0.5, (of_model - quality).mean()
        lines.append(f"| {name} | {quality.mean():.2f} ± {error:.2f} | {gap:.2f} | {similarity.mean():.3f} |")
    return "\n".join(lines)


def figure(found: dict[str, tuple[Tensor, Tensor, Tensor]], batch: Batch, *, rows: int = 4) -> matplotlib.figure.Figure:
    """Scenes by row; the measurement, what each method makes of it, and the scene."""
    rows = min(rows, len(batch.scene))
    columns = {"measurement": batch.measurement / batch.measurement.amax((1, 2, 3), keepdim=True)}
    columns |= {name: images for name, (images, _, _) in found.items() if "best" not in name}
    columns["scene"] = batch.scene
    sheet = matplotlib.figure.Figure(figsize=(2 * len(columns), 1.6 * rows), layout="constrained")
    axes = sheet.subplots(rows, len(columns), squeeze=False)
    for column, (name, images) in enumerate(columns.items()):
        axes[0, column].set_title(name, fontsize=8)
        for row in range(rows):
            axes[row, column].imshow(linear_to_srgb(images[row].clamp(0, 1)).movedim(0, -1).numpy())
            axes[row, column].axis("off")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, a shipped model's name, or OWNER/NAME@COMMIT")
    parser.add_argument("--scenes", default="skimage", help="a folder, a quoted glob of photographs, or skimage")
    parser.add_argument("--experiment", default="experiment=cpu_small", help="whose cameras and scenes to test on")
    parser.add_argument("--n", type=int, default=64, help="number of scenes")
    parser.add_argument("--figure", type=Path, help="PNG of the first scenes")
    options = parser.parse_args()
    words = [options.experiment, "out=unused", f"experiment.scenes={options.scenes}"]
    test = compose("train", words, paths=("experiment.scenes",)).experiment.validation
    test.split, test.samples = "test", options.n
    scenes = build(test, "validation")
    batch = collate([scenes[index] for index in range(len(scenes))])
    model = Model.from_pretrained(options.model).reconstruction.eval()
    found = compare(methods(model), batch)
    print(table(found))
    if options.figure is not None:
        figure(found, batch).savefig(options.figure, dpi=72)


if __name__ == "__main__":
    main()
