"""What a record is judged by: quality in two forms, consistency with the measurement, and cost."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lensless.evaluation.scoring import FORMS

MEGABYTE = 1e6


@dataclass(frozen=True)
class Measure:
    """One number of a record.

    name: "strict/psnr", "reprojection", "seconds", ...; kind is what follows the form. digits: after the point, None
    for three significant ones. compared: whether differences of models are of interest.
    """

    name: str
    title: str
    higher_is_better: bool
    digits: int | None
    compared: bool = True

    @property
    def form(self) -> str | None:
        """Either of FORMS, or None where there is one form only."""
        form, slash, _ = self.name.partition("/")
        return form if slash else None

    @property
    def kind(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def heading(self) -> str:
        """The title with the form."""
        return f"{self.title}, {self.form}" if self.form else self.title

    def of(self, record: Mapping[str, Any]) -> float | None:
        """The number in a record, None where it is missing or not finite."""
        value = record.get(self.name) if self.name in ("seconds", "bytes") else record["metrics"].get(self.name)
        if value is None or not math.isfinite(value):
            return None
        return value / MEGABYTE if self.name == "bytes" else float(value)

    def text(self, value: float, *, sign: bool = False) -> str:
        """The number as a table shows it."""
        shape = ("+" if sign else "") + (".3g" if self.digits is None else f".{self.digits}f")
        return format(value, shape)


def _quality(form: str) -> list[Measure]:
    return [
        Measure(f"{form}/psnr", "PSNR in dB", True, 2),
        Measure(f"{form}/ssim", "SSIM", True, 3),
        Measure(f"{form}/lpips_alex", "LPIPS (alex)", False, 3),
        Measure(f"{form}/lpips_vgg", "LPIPS (vgg)", False, 3),
        Measure(f"{form}/mse", "MSE", False, None),
    ]


MEASURES = [
    *(measure for form in FORMS for measure in _quality(form)),
    Measure("reprojection", "misfit ||A x - y|| / ||y||", False, 3),
    Measure("seconds", "seconds an image", False, None, compared=False),
    Measure("bytes", "peak memory of a batch in MB", False, None, compared=False),
]


def measures_in(records: Iterable[Mapping[str, Any]]) -> list[Measure]:
    """Those that some record has a number of."""
    records = list(records)
    return [measure for measure in MEASURES if any(measure.of(record) is not None for record in records)]
