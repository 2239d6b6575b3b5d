"""The numbers of the report: means, gaps and paired differences, each with its interval."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from lensless.evaluation.measures import Measure
from lensless.evaluation.results import Column, Results, Row
from lensless.evaluation.statistics import Comparison, Interval, compare, mean_interval

PREFERRED = "universal"


class Tables:
    """What the records of a suite say of its rows and columns. An entry for which there are no numbers is None.

    mean: (row, column, measure) -> one cell of the matrix, computed once.
    """

    def __init__(self, results: Results):
        self.results = results
        self.mean = functools.cache(self._mean)

    def _mean(self, row: Row, column: Column, measure: Measure) -> Interval | None:
        return self._interval(row, [column], measure)

    def mean_apart(self, row: Row, measure: Measure) -> Interval | None:
        """The mean over images of all systems that the row was not trained on; None where one of them has no numbers.

        A picture that several systems were shown is drawn as one.
        """
        columns = [column for column in self.results.columns if not row.knows(column)]
        if not all(self._values(row, column, measure) for column in columns):
            return None
        return self._interval(row, columns, measure)

    def specialist(self, column: Column) -> Row | None:
        """The row that was trained on a system; of several the best one by the system's PSNR."""
        trained = {row: self._values(row, column, column.judge) for row in self.results.rows if row.knows(column)}
        return max((row for row in trained if trained[row]), key=lambda row: fmean(trained[row].values()), default=None)

    def gap(self, row: Row, column: Column, measure: Measure) -> Comparison | None:
        """Score of the model trained on a system minus that of ``row``."""
        specialist = self.specialist(column)
        return specialist and self.difference(specialist, row, [column], measure)

    def difference(self, one: Row, other: Row, columns: Sequence[Column], measure: Measure) -> Comparison | None:
        """one - other on the images that both have; `better` counts pictures on which ``one`` is better, not larger."""
        differences, pictures = [], []
        for column in columns:
            mine, others = self._values(one, column, measure), self._values(other, column, measure)
            common = sorted(mine.keys() & others.keys())
            differences += [mine[image] - others[image] for image in common]
            pictures += self._pictures(one, column, common)
        if not differences:
            return None
        found = compare(differences, [0.0] * len(differences), pictures)
        return found if measure.higher_is_better else replace(found, better=found.groups - found.better)

    def reference(self) -> Row:
        """The model that others are compared with unless a reader chooses: the shipped one where it has numbers, or the
        best on the mean of those that were scored on most images."""
        scores = {row: self._scores(row) for row in self.results.rows}
        named = [row for row in scores if row.name == PREFERRED and scores[row]]
        most = max(map(len, scores.values()))
        complete = [row for row in scores if len(scores[row]) == most]
        return named[0] if named else max(complete, key=lambda row: fmean(scores[row] or [0]))

    def _scores(self, row: Row) -> list[float]:
        values = [self._values(row, column, self.results.headline) for column in self.results.columns]
        return [value for of_column in values for value in of_column.values()]

    def _interval(self, row: Row, columns: Sequence[Column], measure: Measure) -> Interval | None:
        values, pictures = [], []
        for column in columns:
            found = self._values(row, column, measure)
            values += found.values()
            pictures += self._pictures(row, column, found)
        return mean_interval(values, pictures) if values else None

    def _values(self, row: Row, column: Column, measure: Measure) -> dict[int, float]:
        cell = self.results.cell(row, column)
        return {image: value for image, record in cell.items() if (value := measure.of(record)) is not None}

    def _pictures(self, row: Row, column: Column, images: Iterable[int]) -> list[str]:
        cell = self.results.cell(row, column)
        return [cell[image]["picture"] for image in images]


def certain(comparison: Comparison) -> bool:
    """Whether the interval leaves out 0, which one picture cannot say."""
    return comparison.difference.groups > 1 and comparison.certain
