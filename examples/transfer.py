"""From one camera to another: fine-tuning a model trained for a tape against training one from scratch, by the minute.

Both runs are `lensless train experiment=cpu_small` for the simulated DigiCam, a programmable mask, at 96 x 128, with
the same settings, 1200 steps, photographs and order. One begins with the shipped model of the simulated tape
(init=cpu_small), the other with fresh weights. They run side by side on one thread each.

    python examples/transfer.py --scenes photos/

Writes transfer.png and prints the quality after some minutes: PSNR on 64 patches of held-out photographs, of the
averaged weights, after every 50 steps. Minutes are the processor time of the whole run, validation and its start
included, in equal parts for all steps: what it takes on a core of its own, whatever else the machine does. Cut short,
the same command goes on. The rate falls along half a cosine to the last step, so that a score halfway is less than what
a training of that length ends with, in both alike.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from lensless.data.sample import collate
from lensless.images.write import write_json
from lensless.models.pretrained import Model
from lensless.physics.convolution import LenslessConvolution
from lensless.tasks.compose import build, compose
from lensless.training.curves import curve, read_curves
from lensless.training.losses import psnr

START = "cpu_small"
# an average over the last hundred steps suits a run of 1200 better than the experiment's
SETTINGS = (
    "experiment=cpu_small",
    "experiment.train.system=digicam",
    "experiment.train.samples=200",
    "experiment.settings.epochs=24",
    "experiment.settings.ema=0.99",
    "workers=0",
)
RUNS = {"fine-tuned": (f"init={START}",), "from scratch": ()}
MINUTES = (1, 2, 5, 10)
# of processor time, in the folder of a run
SECONDS = "seconds.json"


@dataclass(frozen=True)
class Curve:
    """Validation PSNR, dB, against minutes of training."""

    minutes: np.ndarray
    quality: np.ndarray

    def after(self, minutes: float) -> float:
        """PSNR at a time, between its neighbours; NaN before the first score and after the last."""
        return float(np.interp(minutes, self.minutes, self.quality, left=np.nan, right=np.nan))

    def reaches(self, quality: float) -> float:
        """Minutes to the first score of at least ``quality``, NaN if there is none."""
        reached = self.minutes[self.quality >= quality]
        return float(reached[0]) if len(reached) else np.nan


def train(folder: Path, scenes: str) -> dict[str, Curve]:
    """Both runs, in folders below ``folder``, at the same time; raises SystemExit where one fails."""
    command = [sys.executable, "-c", "from lensless.cli import main; raise SystemExit(main())", "train", *SETTINGS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    places = {name: folder / name.replace(" ", "_") for name in RUNS}
    finished = [(place / "model").exists() for place in places.values()]
    processes = [
        subprocess.Popen([*command, *words, f"experiment.scenes={scenes}", f"out={place}"], env=environment)
        for words, place in zip(RUNS.values(), places.values(), strict=True)
    ]
    failed = False
    for process, place, done in zip(processes, places.values(), finished, strict=True):
        _, status, usage = os.wait4(process.pid, 0)
        failed |= status != 0
        if not done and place.exists():
            add_seconds(place / SECONDS, usage.ru_utime + usage.ru_stime)
    if failed:
        raise SystemExit("a training failed, see above; the same command goes on with it")
    return {name: read_curve(place) for name, place in places.items()}


def add_seconds(file: Path, seconds: float) -> None:
    """Add processor time to what a run has taken before."""
    before = json.loads(file.read_text())["processor"] if file.exists() else 0.0
    write_json(file, {"processor": before + seconds})


def read_curve(run: Path) -> Curve:
    """The scores of a finished run over its share of the processor time."""
    steps, quality = (np.array(values) for values in curve(read_curves(run / "curves.csv"), "val/psnr"))
    minutes = json.loads((run / SECONDS).read_text())["processor"] / 60
    return Curve((steps + 1) / (steps[-1] + 1) * minutes, quality)


@torch.no_grad()
def untrained(scenes: str) -> float:
    """Validation PSNR of the model that fine-tuning begins with, dB."""
    cfg = compose("train", [*SETTINGS, "out=unused", f"experiment.scenes={scenes}"], paths=("experiment.scenes",))
    validation = build(cfg.experiment.validation, "validation")
    batch = collate([validation[index] for index in range(len(validation))])
    model = Model.from_pretrained(START).reconstruction.eval()
    return float(psnr(model(batch.measurement, LenslessConvolution(batch.psf)), batch.scene).mean())


def table(curves: dict[str, Curve]) -> str:
    """dB after some minutes and at the end, and how soon each run is as good as the one from scratch ever was."""
    final = curves["from scratch"].quality.max()
    headings = [*(f"after {minutes} min" for minutes in MINUTES), "best", f"minutes to {final:.2f} dB"]
    lines = [f"| PSNR / dB | {' | '.join(headings)} |", f"|---|{'---:|' * len(headings)}"]
    for name, scores in curves.items():
        values = [*(scores.after(minutes) for minutes in MINUTES), scores.quality.max()]
        cells = ["-" if np.isnan(value) else f"{value:.2f}" for value in values]
        lines.append(f"| {name} | {' | '.join(cells)} | {scores.reaches(final):.1f} |")
    return "\n".join(lines)


def figure(curves: dict[str, Curve], before: float) -> Figure:
    page = Figure(figsize=(6.5, 4), layout="constrained")
    axis = page.subplots()
    for name, scores in curves.items():
        axis.plot(scores.minutes, scores.quality, marker=".", label=name)
    axis.axhline(before, color="0.5", linestyle=":", label="trained for the tape, as it is")
    axis.axhline(curves["from scratch"].quality.max(), color="C1", linewidth=0.8, linestyle="--")
    axis.set_xlabel("minutes of training on one core")
    axis.set_ylabel("validation PSNR / dB")
    axis.set_title("A model for another mask: tape to DigiCam, 96 x 128", fontsize=10)
    axis.set_xlim(left=0)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", default="skimage", help="a folder, a quoted glob of photographs, or skimage")
    parser.add_argument("--runs", type=Path, default=Path("outputs/transfer"), help="folder of both runs")
    parser.add_argument("--figure", type=Path, default=Path("transfer.png"), help="PNG to write")
    options = parser.parse_args()
    curves = train(options.runs, options.scenes)
    before = untrained(options.scenes)
    print(f"the {START} model as it is: {before:.2f} dB\n\n{table(curves)}")
    figure(curves, before).savefig(options.figure, dpi=90)


if __name__ == "__main__":
    main()
