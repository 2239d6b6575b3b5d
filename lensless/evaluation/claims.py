"""Claims about reconstructions, as the suites state them, and what the records say: yes, no, or not decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lensless.errors import check_name
from lensless.evaluation.results import BY_NAME, Results
from lensless.evaluation.statistics import Comparison, Interval, compare, mean_interval

CLAIMS = ("better", "larger_gain")

# by image: a value, more being better, and what the scene shows
Values = Mapping[int, tuple[float, str]]


@dataclass(frozen=True)
class Answer:
    """statement: the claim. verdict: "yes", "no" or "not decided". evidence: a line for each comparison."""

    statement: str
    verdict: str
    evidence: list[str]


def answers(results: Results) -> list[Answer]:
    """What the records say about the `statements` of a suite.

    A statement is {text, claim, ...}. With claim "better" the `model` is compared with each model of `than` on each of
    `systems` by each of `metrics`, and "yes" means that every difference's interval lies above 0 and, with `apart`,
    that the two means' intervals within pictures do not overlap (:attr:`Comparison.apart`). With claim "larger_gain"
    the mean difference of the first and the second model of `gain` on the system `gain[2]` is compared with that of
    `over`, image by image. "no" means an interval on the other side of 0. Raises InputError on another claim.
    """
    found = []
    for statement in results.description.get("statements") or []:
        check_name("statements.claim", str(statement.get("claim")), list(CLAIMS))
        judge = _better if statement["claim"] == "better" else _larger_gain
        judged = list(judge(statement, results))
        found.append(Answer(statement["text"], _verdict([side for side, _ in judged]), [line for _, line in judged]))
    return found


def _verdict(sides: Sequence[int]) -> str:
    if sides and all(side > 0 for side in sides):
        return "yes"
    return "no" if any(side < 0 for side in sides) else "not decided"


def _better(statement: Mapping[str, Any], results: Results) -> Iterator[tuple[int, str]]:
    """For each comparison: 1, -1 or 0 (not decided), and a line about it."""
    model = statement["model"]
    for system in statement["systems"]:
        for other in statement["than"]:
            for metric in statement["metrics"]:
                where = f"{model} - {other}, {metric} on {system}"
                pair = _pairs(_values(model, system, metric, results), _values(other, system, metric, results))
                if pair is None:
                    yield 0, f"{where}: nothing recorded"
                    continue
                one, two, groups = pair
                found = compare(one, two, groups)
                side = _side(found.difference)
                if statement.get("apart") and side > 0 and not found.apart:
                    side = 0
                yield side, (
                    f"{where}: {_shown(found.difference)}; {found.better} of {found.groups} pictures better, "
                    f"p = {found.p:.2g}; the means' intervals {_overlap(found, one, two, groups)}"
                )


def _overlap(found: Comparison, one: Sequence[float], two: Sequence[float], groups: Sequence[str]) -> str:
    first, second = (mean_interval(values, groups) for values in (one, two))
    if first.low > second.high or second.low > first.high:
        return "do not overlap"
    return "overlap, those within pictures do not" if found.apart else "overlap"


def _larger_gain(statement: Mapping[str, Any], results: Results) -> Iterator[tuple[int, str]]:
    for metric in statement["metrics"]:
        first, second = (_gain(*statement[key], metric, results) for key in ("gain", "over"))
        where = "{} over {} on {}, ".format(*statement["gain"]) + "against {} over {} on {}".format(*statement["over"])
        pair = _pairs(first, second)
        if pair is None:
            yield 0, f"gain of {where}, {metric}: nothing recorded"
            continue
        gains = (mean_interval(values, pair[2]) for values in pair[:2])
        found = compare(*pair)
        yield _side(found.difference), (
            f"gain of {where}, {metric}: {' against '.join(map(_shown, gains))}, difference {_shown(found.difference)}"
        )


def _values(model: str, system: str, metric: str, results: Results) -> Values:
    """Those of a model, or of what stands for a group, on a system; its sign turned where less is better."""
    measure = BY_NAME[metric]
    sign = 1 if measure.higher_is_better else -1
    names = [row.name for row in results.rows if model in (row.name, row.group)]
    cell = results.cells.get((names[0], system), {}) if names else {}
    found = {image: (measure.of(record), record["picture"]) for image, record in cell.items()}
    return {image: (sign * value, picture) for image, (value, picture) in found.items() if value is not None}


def _gain(model: str, other: str, system: str, metric: str, results: Results) -> Values:
    """By image: how much better a model is than another."""
    one, two = (_values(name, system, metric, results) for name in (model, other))
    return {image: (one[image][0] - two[image][0], one[image][1]) for image in sorted(set(one) & set(two))}


def _pairs(one: Values, other: Values) -> tuple[list[float], list[float], list[str]] | None:
    """Values of both and groups, of the images that both have; None where there are none."""
    images = sorted(set(one) & set(other))
    if not images:
        return None
    return [one[i][0] for i in images], [other[i][0] for i in images], [one[i][1] for i in images]


def _side(interval: Interval) -> int:
    return int(interval.low > 0) - int(interval.high < 0)


def _shown(interval: Interval) -> str:
    return f"{interval.mean:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}]"
