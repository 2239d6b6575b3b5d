"""The report as Markdown: every number that the page shows, for what reads no HTML."""

from collections.abc import Iterable, Iterator, Sequence

from lensless.evaluation.claims import Answer
from lensless.evaluation.measures import Measure
from lensless.evaluation.report.facts import choices, facts, judges
from lensless.evaluation.report.sweeps import Sweep, sweeps
from lensless.evaluation.report.tables import Tables, certain
from lensless.evaluation.results import Column, Row
from lensless.evaluation.statistics import Comparison, Interval

TRAINED = "◆"
CELLS = "Means with 95 % bootstrap intervals over pictures; the best on a system is bold, an empty cell has no records."
PAIRS = (
    "Paired differences with 95 % bootstrap intervals over pictures, bold where 0 is outside (↑ the model is better, "
    "↓ worse); pictures on which the model is better : worse; p of a sign test."
)

GAPS = "Score of the model that was trained on the system (of several, the one of the best PSNR) minus this model's."


def markdown(tables: Tables, answers: Sequence[Answer]) -> str:
    """The whole report, pictures and figures apart."""
    results = tables.results
    plain = [column for column in results.columns if column.x is None]
    reference = tables.reference()
    lines = [f"# {_word(results.description['title'])}", ""]
    for answer in answers:
        lines += [
            f"- **{answer.verdict}**: {_word(answer.statement)}",
            *(f"  - {_word(one)}" for one in answer.evidence),
        ]
    lines += [""] * bool(answers)
    lines += [*(f"- {what}: {_word(text)}" for what, text in facts(results)), "", *_notes(tables)]
    if plain:
        lines += ["## Scores", "", CELLS, ""]
        for measure in sorted(results.measures, key=lambda measure: measure not in results.headlines):
            lines += [f"### {measure.heading}", "", *_matrix(tables, plain, measure)]
    for sweep in sweeps(results):
        lines += [f"## {_word(sweep.title)}", "", CELLS, ""]
        for measure in results.headlines:
            lines += [f"### {measure.heading}", "", *_sweep(tables, sweep, measure)]
    compared = [measure for measure in results.headlines if measure.compared]
    known = [column for column in results.columns if tables.specialist(column)]
    if known:
        lines += ["## Gap to the diagonal", "", GAPS, ""]
        for measure in compared:
            lines += [f"### {measure.heading}", "", *_gaps(tables, known, measure)]
    if len(results.rows) > 1:
        lines += [f"## Differences: each model minus {_word(reference.name)}", "", PAIRS, ""]
        for measure in compared:
            lines += [f"### {measure.heading}", "", *_differences(tables, reference, measure)]
    return "\n".join(lines)


def _notes(tables: Tables) -> Iterator[str]:
    results, chosen = tables.results, choices(tables.results)
    if results.sets_apart:
        yield (
            f"{TRAINED} marks a system that the model was trained on; on unseen systems no model here was. The mean "
            "over systems not trained on is over other systems for other models."
        )
        yield ""
    if chosen:
        yield (
            f'A "best" row takes on each system the setting of the best mean {judges(results)} on these very images, '
            "an advantage that nobody has in practice:"
        )
        yield ""
        yield from (f"- {_word(line)}" for line in chosen)
        yield ""


def _matrix(tables: Tables, columns: Sequence[Column], measure: Measure) -> list[str]:
    rows, apart = tables.results.rows, tables.results.sets_apart
    means = [[tables.mean(row, column, measure) for row in rows] for column in columns]
    means.append([tables.mean_apart(row, measure) for row in rows])
    lines = [[_word(row.name), _word(", ".join(row.trained_on))] for row in rows]
    for column, cells in zip([*columns, None], means, strict=True):
        best = None if column is None and apart else _best(cells, measure)
        for line, row, cell in zip(lines, rows, cells, strict=True):
            line.append(_cell(cell, measure, bold=cell is best, mark=column is not None and row.knows(column)))
    heads = [f"{_word(column.name)}{' (unseen)' if apart and not column.seen else ''}" for column in columns]
    return _table(["model", "trained on", *heads, "mean over systems not trained on" if apart else "mean"], lines)


def _sweep(tables: Tables, sweep: Sweep, measure: Measure) -> list[str]:
    names = list(sweep.lines)
    lines = []
    for x in sweep.xs:
        places = [next((place for place in sweep.lines[name] if place[0] == x), None) for name in names]
        cells = [tables.mean(*place[1:], measure) if place else None for place in places]
        best = _best(cells, measure)
        lines.append([f"{x:g}", *(_cell(cell, measure, bold=cell is best) for cell in cells)])
    return _table([_word(sweep.axis or "x"), *map(_word, names)], lines)


def _gaps(tables: Tables, columns: Sequence[Column], measure: Measure) -> list[str]:
    lines = []
    for row in tables.results.rows:
        specialists = {column: tables.specialist(column) for column in columns}
        gaps = [None if specialists[column] is row else tables.gap(row, column, measure) for column in columns]
        lines.append([_word(row.name), *("" if gap is None else _difference(gap, measure) for gap in gaps)])
    return _table(["model", *(_word(column.name) for column in columns)], lines)


def _differences(tables: Tables, reference: Row, measure: Measure) -> list[str]:
    results = tables.results
    others = [row for row in results.rows if row is not reference]
    lines = []
    for name, columns in [*((column.name, [column]) for column in results.columns), ("all", results.columns)]:
        found = [tables.difference(row, reference, columns, measure) for row in others]
        lines.append([_word(name), *("" if one is None else _pair(one, measure) for one in found)])
    return _table(["system", *(_word(row.name) for row in others)], lines)


def _best(cells: Iterable[Interval | None], measure: Measure) -> Interval | None:
    """The best mean of those that are there."""
    sign = 1 if measure.higher_is_better else -1
    return max((cell for cell in cells if cell), key=lambda cell: sign * cell.mean, default=None)


def _cell(mean: Interval | None, measure: Measure, *, bold: bool, mark: bool = False) -> str:
    if mean is None:
        return ""
    number = measure.text(mean.mean)
    return f"{TRAINED + ' ' if mark else ''}{f'**{number}**' if bold else number}{_interval(mean, measure)}"


def _interval(mean: Interval, measure: Measure, *, sign: bool = False) -> str:
    """What one picture alone has none of."""
    low, high = (measure.text(end, sign=sign) for end in (mean.low, mean.high))
    return f" [{low}, {high}]" if mean.groups > 1 else ""


def _difference(found: Comparison, measure: Measure) -> str:
    number = measure.text(found.difference.mean, sign=True)
    number = f"**{number}**" if certain(found) else number
    return number + _interval(found.difference, measure, sign=True)


def _pair(found: Comparison, measure: Measure) -> str:
    arrow = "↑" if (found.difference.mean > 0) == measure.higher_is_better else "↓"
    counts = f"{found.better} : {found.groups - found.better}"
    return f"{arrow if certain(found) else ''}{_difference(found, measure)}; {counts}; p {found.p:.2g}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)] + [""]


def _word(text: str) -> str:
    """Text that ends no cell and starts no markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
