"""Claims about reconstructions, as the suites state them, and what the records say: yes, no, or not decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lensless.errors import check_name
from lensless.evaluation.statistics import Interval, compare, mean_interval

# metrics of which less is better
LESS_IS_BETTER = ("mse", "lpips_alex", "lpips_vgg", "reprojection")
CLAIMS = ("better", "larger_gain")

# by image: a value and what the scene shows
Values = Mapping[int, tuple[float, str]]


@dataclass(frozen=True)
class Answer:
    """statement: the claim. verdict: "yes", "no" or "not decided". evidence: a line for each comparison."""

    statement: str
    verdict: str
    evidence: list[str]


class Scores:
    """The records of a suite, by (model, system): values of a metric, image by image, more being better.

    Of a group of rows with a `tuning` the member that is best on a system by strict PSNR stands for the group.
    """

    def __init__(self, description: Mapping[str, Any], records: Iterable[Mapping[str, Any]]):
        rows, systems = description["rows"], description["systems"]
        self.systems = systems
        self.by_pair: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
        for record in records:
            model, system = record["model"], record["system"]
            current = model in rows and system in systems
            keys = record["model_key"], record["system_key"]
            if current and keys == (rows[model]["key"], systems[system]["key"]):
                self.by_pair.setdefault((model, system), {})[record["image"]] = record
        self.groups: dict[str, list[str]] = {}
        for name, row in rows.items():
            self.groups.setdefault(row.get("tuning") or name, []).append(name)

    def chosen(self, model: str, system: str) -> str | None:
        """The row that stands for a model, or group, on a system; None where nothing is recorded."""
        there = [name for name in self.groups.get(model, []) if (name, system) in self.by_pair]
        return max(there, key=lambda name: np.mean(self._values(name, system, "strict/psnr")), default=None)

    def _values(self, row: str, system: str, metric: str) -> list[float]:
        return [record["metrics"][metric] for record in self.by_pair[row, system].values()]

    def paired(self, model: str, system: str, metric: str) -> Values:
        """By image: the value, its sign turned where less is better, and what the scene shows."""
        row = self.chosen(model, system)
        sign = -1 if metric.rpartition("/")[2] in LESS_IS_BETTER else 1
        images = {} if row is None else self.by_pair[row, system]
        return {
            image: (sign * record["metrics"][metric], record["picture"])
            for image, record in images.items()
            if metric in record["metrics"]
        }


def answers(description: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """What the records say about the `statements` of a suite's description.

    A statement is {text, claim, ...}. With claim "better" the `model` is compared with each model of `than` on each of
    `systems` by each of `metrics`, and "yes" means that every difference's interval lies above 0 and, with `apart`,
    that the two means' intervals do not overlap. With claim "larger_gain" the mean difference of the first and the second
    model of `gain` on the system `gain[2]` is compared with that of `over`, image by image. "no" means an interval on
    the other side of 0. Raises InputError on another claim.
    """
    scores = Scores(description, records)
    found = []
    for statement in description.get("statements") or []:
        check_name("statements.claim", str(statement.get("claim")), list(CLAIMS))
        judged = list(_better(statement, scores) if statement["claim"] == "better" else _larger_gain(statement, scores))
        found.append(Answer(statement["text"], _verdict([side for side, _ in judged]), [line for _, line in judged]))
    return found


def _verdict(sides: Sequence[int]) -> str:
    if sides and all(side > 0 for side in sides):
        return "yes"
    return "no" if any(side < 0 for side in sides) else "not decided"


def _better(statement: Mapping[str, Any], scores: Scores) -> Iterable[tuple[int, str]]:
    """For each comparison: 1, -1 or 0 (not decided), and a line about it."""
    model = statement["model"]
    for system in statement["systems"]:
        for other in statement["than"]:
            for metric in statement["metrics"]:
                where = f"{model} - {other}, {metric} on {system}"
                pair = _pairs(scores.paired(model, system, metric), scores.paired(other, system, metric))
                if pair is None:
                    yield 0, f"{where}: nothing recorded"
                    continue
                one, two, groups = pair
                found = compare(one, two, groups)
                side = _side(found.difference)
                apart = mean_interval(one, groups).low > mean_interval(two, groups).high
                if statement.get("apart") and side > 0 and not apart:
                    side = 0
                yield side, (
                    f"{where}: {_shown(found.difference)}; {found.better} of {found.groups} pictures better, "
                    f"p = {found.p:.2g}; the means' intervals {'do not overlap' if apart else 'overlap'}"
                )


def _larger_gain(statement: Mapping[str, Any], scores: Scores) -> Iterable[tuple[int, str]]:
    for metric in statement["metrics"]:
        first, second = (_gain(*statement[key], metric, scores) for key in ("gain", "over"))
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


def _pairs(one: Values, other: Values) -> tuple[list[float], list[float], list[str]] | None:
    """Values of both and groups, of the images that both have; None where there are none."""
    images = sorted(set(one) & set(other))
    if not images:
        return None
    return [one[i][0] for i in images], [other[i][0] for i in images], [one[i][1] for i in images]


def _gain(model: str, other: str, system: str, metric: str, scores: Scores) -> Values:
    """By image: how much better a model is than another."""
    one, two = (scores.paired(name, system, metric) for name in (model, other))
    return {image: (one[image][0] - two[image][0], one[image][1]) for image in sorted(set(one) & set(two))}


def _side(interval: Interval) -> int:
    return int(interval.low > 0) - int(interval.high < 0)


def _shown(interval: Interval) -> str:
    return f"{interval.mean:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}]"
