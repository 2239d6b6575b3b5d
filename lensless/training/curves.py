"""What a run logs, as a table that survives being killed, and as a figure."""

import csv
import io
from pathlib import Path

import torch
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from torch import Tensor

from lensless.images.write import atomic_write

HEADER = ("step", "name", "value")


class Curves(Logger):
    """Appends every logged number to a CSV file: step (from 0), name, value.

    steps: how many the run has made before; rows from there on are of a run that was killed and are dropped.
    """

    def __init__(self, file: Path, *, steps: int):
        super().__init__()
        self.file, self.steps = file, steps

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def begin(self) -> None:
        """Write the table without what is dropped. Raises InputError where it cannot be written."""
        kept = [row for row in read_curves(self.file) if row[0] < self.steps] if self.steps else []
        with atomic_write(self.file) as temporary:
            temporary.write_text(_lines([HEADER, *kept]), encoding="utf-8")

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        rows = [(step, name, value) for name, value in metrics.items() if name != "epoch"]
        with self.file.open("a", encoding="utf-8") as file:
            file.write(_lines(rows))

    def log_hyperparams(self, *_: object, **__: object) -> None:
        """The configuration is in the run's record."""


def read_curves(file: Path) -> list[tuple[int, str, float]]:
    """The rows of a table, in the order of writing; a last line that was cut off is left out."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines[1:] if line.endswith("\n")]
    return [(int(step), name, float(value)) for step, name, value in csv.reader(whole)]


def curve(rows: list[tuple[int, str, float]], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one name."""
    found = [(step, value) for step, other, value in rows if other == name]
    return [step for step, _ in found], [value for _, value in found]


def training_figure(rows: list[tuple[int, str, float]], grid: Tensor) -> Figure:
    """Loss and PSNR by step over the last validation pictures, a display image (3, H, W) in [0, 1]."""
    height = 8 * grid.shape[-2] / grid.shape[-1]
    figure = Figure(figsize=(8, 3 + height), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3, height))
    loss, quality = above.subplots(1, 2)
    for name, label in (("train/loss", "training"), ("val/loss", "validation")):
        loss.semilogy(*curve(rows, name), label=label, lw=1)
    quality.plot(*curve(rows, "val/psnr"), color="C1", marker=".")
    for axis, title in ((loss, "loss"), (quality, "validation PSNR, dB")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    loss.legend(fontsize=8)
    pictures = below.subplots()
    pictures.imshow(torch.movedim(grid, 0, -1).numpy())
    pictures.set_axis_off()
    return figure


def _lines(rows: list[tuple]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
