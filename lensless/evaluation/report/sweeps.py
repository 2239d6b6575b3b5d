"""Scores along the axis of a sweep: a figure for each series, as inline SVG."""

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from lensless.evaluation.measures import Measure
from lensless.evaluation.report.tables import Tables
from lensless.evaluation.results import Column, Results, Row

# Okabe and Ito's colours, told apart by the colour-blind, but black and yellow, which dark or light pages swallow
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = "os^Dv*"
DASHES = ("-", "--", ":")
# drawn in the place of the text's colour, which the page decides
INK = "#010203"
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
DECADE = 10
# of a legend: columns, and the height of a line in inches
COLUMNS, LINE = 2, 0.2


@dataclass(frozen=True)
class Sweep:
    """One figure. title: the series. axis: what x means. lines: by name, the places of their points in ascending x."""

    title: str
    axis: str
    lines: dict[str, list[tuple[float, Row, Column]]]

    @property
    def xs(self) -> list[float]:
        return sorted({x for points in self.lines.values() for x, _, _ in points})


def sweeps(results: Results) -> list[Sweep]:
    """Of systems: one for each series, with a line a model. Of models: one for each system, with a line a series."""
    axis = results.description.get("axis") or ""
    series = dict.fromkeys(column.series for column in results.columns if column.x is not None)
    found = []
    for name in series:
        columns = [column for column in results.columns if column.series == name and column.x is not None]
        lines = {row.name: _ascending((column.x, row, column) for column in columns) for row in results.rows}
        found.append(Sweep(name or results.description["title"], axis, lines))
    moving = [row for row in results.rows if row.x is not None]
    for column in results.columns if moving else []:
        lines = {row.series or "models": [] for row in moving}
        for row in moving:
            lines[row.series or "models"].append((row.x, row, column))
        found.append(Sweep(column.name, axis, {name: _ascending(points) for name, points in lines.items()}))
    return found


def _ascending(points: Iterator[tuple[float, Row, Column]]) -> list[tuple[float, Row, Column]]:
    return sorted(points, key=lambda point: point[0])


def sweep_figure(sweep: Sweep, tables: Tables, measure: Measure) -> Figure:
    """Means with bands of their intervals.

    The horizontal axis is logarithmic where all values are positive and span over a decade, and so is the vertical one,
    but for decibels and shares.
    """
    figure, heights = Figure(), []
    axis = figure.subplots()
    for number, (name, points) in enumerate(sweep.lines.items()):
        means = [(x, mean) for x, row, column in points if (mean := tables.mean(row, column, measure))]
        if not means:
            continue
        xs, means = zip(*means, strict=True)
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}
        axis.plot(xs, [mean.mean for mean in means], marker=MARKERS[number % len(MARKERS)], ms=4, label=name, **style)
        low, high = ([getattr(mean, end) for mean in means] for end in ("low", "high"))
        axis.fill_between(xs, low, high, color=style["color"], alpha=0.15, linewidth=0)
        heights += [*low, *high]
    if _decades(sweep.xs):
        axis.set_xscale("log")
        axis.set_xticks(sweep.xs, [f"{x:g}" for x in sweep.xs])
        axis.minorticks_off()
    axis.set_yscale("log" if measure.digits is None and _decades(heights) else "linear")
    axis.set_xlabel(sweep.axis)
    axis.set_ylabel(measure.heading)
    axis.grid(alpha=0.2, color=INK)
    axis.spines[["top", "right"]].set_visible(False)
    # inches, for a layout engine would draw everything twice
    legend = LINE * math.ceil(len(axis.lines) / COLUMNS)
    width, height = 4.8, 2.9 + legend
    figure.set_size_inches(width, height)
    figure.subplots_adjust(
        left=0.65 / width, right=1 - 0.1 / width, bottom=(0.5 + legend) / height, top=1 - 0.1 / height
    )
    figure.legend(loc="lower center", ncols=COLUMNS)
    return figure


def _decades(values: list[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) / min(values) > DECADE


def sweep_svg(sweep: Sweep, tables: Tables, measure: Measure) -> str:
    """The figure as an SVG element in the colour of the text around it, whose names no other one has."""
    stream = io.StringIO()
    with mpl.rc_context(STYLE | {"svg.hashsalt": f"{sweep.title}/{measure.name}"}):
        figure = sweep_figure(sweep, tables, measure)
        figure.savefig(
            stream, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = stream.getvalue()
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text[text.index("<svg") :])
    return text.replace(INK, "currentColor")
