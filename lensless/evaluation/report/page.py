"""The report as one HTML file that needs nothing else: tables, figures and pictures, all inside."""

import html
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from lensless.evaluation.claims import Answer
from lensless.evaluation.measures import Measure
from lensless.evaluation.report.album import Page
from lensless.evaluation.report.facts import choices, facts, judges
from lensless.evaluation.report.sweeps import sweep_svg, sweeps
from lensless.evaluation.report.tables import Tables, certain
from lensless.evaluation.results import Results, Row
from lensless.evaluation.statistics import Comparison, Interval

# of a map whose lightness grows evenly and that the colour-blind see alike; the page interpolates
COLOURS = [to_hex(colour) for colour in mpl.colormaps["cividis"](np.linspace(0, 1, 9))]
# so many comparisons behind an answer are shown at once
FEW = 3
MARKS = {"yes": "✔", "no": "✘", "not decided": "?"}


def page(tables: Tables, answers: Sequence[Answer], pictures: Sequence[Page], *, left_out: int) -> str:
    """The file's text. left_out: pictures that there was no room for."""
    results = tables.results
    source = files("lensless.evaluation.report")
    template = Template(source.joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(results.description["title"]),
        suite=html.escape(results.description["name"]),
        style=source.joinpath("page.css").read_text(encoding="utf-8"),
        script=source.joinpath("page.js").read_text(encoding="utf-8"),
        data=_json(_data(tables, pictures)),
        answers="".join(_answer(answer) for answer in answers),
        facts="".join(f"<dt>{html.escape(what)}</dt><dd>{html.escape(text)}</dd>" for what, text in facts(results)),
        notes="".join(_notes(results)),
        figures="".join(_figures(tables)),
        left_out=f"There was no room for {left_out} more." if left_out else "",
    )


def _json(data: Any) -> str:
    """JSON that ends no script element."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _answer(answer: Answer) -> str:
    evidence = "".join(f"<li>{html.escape(line)}</li>" for line in answer.evidence)
    number = f"{len(answer.evidence)} comparison{'s' * (len(answer.evidence) != 1)}"
    return (
        f'<li class="{answer.verdict.replace(" ", "-")}"><strong>{MARKS[answer.verdict]} {answer.verdict}</strong> '
        f"{html.escape(answer.statement)}<details{' open' if len(answer.evidence) <= FEW else ''}>"
        f"<summary>{number}</summary><ul>{evidence}</ul></details></li>"
    )


def _notes(results: Results) -> Iterator[str]:
    chosen = choices(results)
    if chosen:
        yield (
            f"<p>A “best” row takes on each system the setting of the best mean {judges(results)} on these very "
            "images, an advantage that nobody has in practice.</p>"
        )
        yield f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in chosen)}</ul>"


def _figures(tables: Tables) -> Iterator[str]:
    """Every sweep by every measure, of which the page shows the chosen one."""
    for sweep in sweeps(tables.results):
        yield f"<div><h3>{html.escape(sweep.title)}</h3>"
        for measure in tables.results.measures:
            label = html.escape(f"{measure.heading} over {sweep.axis or 'x'}: {sweep.title}")
            yield (
                f'<div class="figure" role="img" aria-label="{label}" data-measure="{measure.name}" hidden>'
                f"{sweep_svg(sweep, tables, measure)}</div>"
            )
        yield "</div>"


def _data(tables: Tables, pictures: Sequence[Page]) -> dict[str, Any]:
    results = tables.results
    rows, columns = results.rows, results.columns
    specialists = [tables.specialist(column) for column in columns]
    return {
        "measures": [
            {
                "name": measure.name,
                "kind": measure.kind,
                "form": measure.form,
                "title": measure.title,
                "higher": measure.higher_is_better,
                "digits": measure.digits,
                "compared": measure.compared,
            }
            for measure in results.measures
        ],
        "measure": results.headline.name,
        "rows": [{"name": row.name, "trainedOn": list(row.trained_on)} for row in rows],
        "columns": [
            {
                "name": column.name,
                "seen": column.seen,
                "images": results.images(column),
                "specialist": None if specialist is None else rows.index(specialist),
            }
            for column, specialist in zip(columns, specialists, strict=True)
        ],
        "apart": results.sets_apart,
        "known": [[row.knows(column) for column in columns] for row in rows],
        "cells": {measure.name: [_cells(tables, row, measure) for row in rows] for measure in results.measures},
        "pairs": {
            measure.name: [
                [_pairs(tables, row, other, measure) for other in rows[:place]] for place, row in enumerate(rows)
            ]
            for measure in results.measures
            if measure.compared
        },
        "reference": rows.index(tables.reference()),
        "album": [_shown(results, one) for one in pictures],
        "colours": COLOURS,
    }


def _cells(tables: Tables, row: Row, measure: Measure) -> list[list[float] | None]:
    """[mean, low, high, images] of each system and of those that the row was not trained on."""
    means = [tables.mean(row, column, measure) for column in tables.results.columns]
    return [mean and [*_ends(mean), mean.n] for mean in [*means, tables.mean_apart(row, measure)]]


def _pairs(tables: Tables, row: Row, other: Row, measure: Measure) -> list[list[Any] | None]:
    """[difference, low, high, pictures better, worse, p, certain] on each system and on all of them."""
    columns = tables.results.columns
    found = [tables.difference(row, other, some, measure) for some in [*([column] for column in columns), columns]]
    return [one and _pair(one) for one in found]


def _pair(one: Comparison) -> list[Any]:
    return [*_ends(one.difference), one.better, one.groups - one.better, _short(one.p), certain(one)]


def _ends(mean: Interval) -> list[float | None]:
    """Mean, low and high; one picture has no interval."""
    ends = [mean.low, mean.high] if mean.groups > 1 else [None, None]
    return [_short(mean.mean), *(None if end is None else _short(end) for end in ends)]


def _shown(results: Results, shown: Page) -> dict[str, Any]:
    column = next(column for column in results.columns if column.name == shown.system)
    records = {row.name: results.cell(row, column).get(shown.image) for row in results.rows}
    scores = {
        measure.name: {
            name: _short(value)
            for name, record in records.items()
            if record is not None and (value := measure.of(record)) is not None
        }
        for measure in results.measures
    }
    return {"system": shown.system, "image": shown.image, "pictures": shown.pictures, "scores": scores}


def _short(value: float) -> float:
    """Six digits, to keep the page small."""
    return float(f"{value:.6g}")
