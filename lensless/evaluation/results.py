"""What `lensless benchmark score` left in a folder, as the rows, columns and cells of tables."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from statistics import fmean
from typing import Any

from lensless.errors import InputError, require
from lensless.evaluation.measures import MEASURES, Measure, measures_in
from lensless.evaluation.records import Records, read_records

Record = Mapping[str, Any]
BY_NAME = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True)
class Row:
    """A model, or a group of settings of one, of which on each system the best counts.

    name: as in tables. members: its names in the records, one unless it is a group. group: its name, None for a model.
    x, series: its place in a sweep.
    """

    name: str
    members: tuple[str, ...]
    group: str | None = None
    trained_on: tuple[str, ...] = ()
    x: float | None = None
    series: str | None = None

    def knows(self, column: "Column") -> bool:
        """Whether it was trained on this system; one of a sweep is the camera that the sweep is of."""
        return any(name == column.name or (column.series or "").startswith(f"{name}, ") for name in self.trained_on)


@dataclass(frozen=True)
class Column:
    """A system. judge: the measure by which the best of a group is taken. seen: whether some row was trained on it."""

    name: str
    judge: Measure
    seen: bool
    x: float | None = None
    series: str | None = None


@dataclass(frozen=True)
class Results:
    """A suite's records in order.

    out: the folder. description: SUITE.json. records: all that belong to it, of every member of a group. rows, columns:
    unseen systems come last. cells: records by row, column and image. chosen: the member of a group that a cell shows.
    missing: images without a record, of any member. damaged, repeated: of :class:`Records`. other_versions: records of
    the same models and systems by another version of the library.
    """

    out: Path
    description: Mapping[str, Any]
    records: list[Record]
    rows: list[Row]
    columns: list[Column]
    measures: list[Measure]
    cells: dict[tuple[str, str], dict[int, Record]]
    chosen: dict[tuple[str, str], str]
    missing: int
    damaged: list[str]
    repeated: int
    other_versions: int

    def cell(self, row: Row, column: Column) -> dict[int, Record]:
        """Records by image, none where nothing was computed."""
        return self.cells.get((row.name, column.name), {})

    def images(self, column: Column) -> int:
        """Images of the row that has most."""
        return max((len(self.cell(row, column)) for row in self.rows), default=0)

    @property
    def sets_apart(self) -> bool:
        """Whether the suite tells systems that were trained on from others."""
        return any(row.trained_on for row in self.rows) or not all(
            system.get("seen", True) for system in self.description["systems"].values()
        )

    @property
    def headline(self) -> Measure:
        """PSNR, affine where no system has an absolute brightness."""
        return self._of_form("psnr")

    @property
    def headlines(self) -> list[Measure]:
        """PSNR and LPIPS in the same form, and seconds, as far as there are any."""
        found = [self._of_form("psnr"), self._of_form("lpips_alex"), BY_NAME["seconds"]]
        return [measure for measure in found if measure in self.measures]

    def _of_form(self, kind: str) -> Measure:
        forms = {column.judge.form for column in self.columns}
        return BY_NAME[f"{'affine' if forms == {'affine'} else 'strict'}/{kind}"]


def read_results(out: Path, suite: str) -> Results:
    """Of ``out``/SUITE.json and those records beside it that are of its models, its systems and its version.

    Raises InputError where the description is missing or no JSON, and where there are no records.
    """
    description = _description(out, suite)
    records = read_records(out / "records")
    members, other_versions = _by_member(description, records)
    rows = list(_rows(description["rows"]))
    columns = sorted(_columns(description["systems"], rows), key=lambda column: not column.seen)
    cells, chosen, missing = {}, {}, 0
    for column in columns:
        images = description["systems"][column.name]["samples"]
        for row in rows:
            found = {name: members.get((name, column.name), {}) for name in row.members}
            missing += sum(images - len(one) for one in found.values())
            best = _best(found, column.judge) if row.group else row.name
            if best is not None and found[best]:
                cells[row.name, column.name] = found[best]
                chosen[row.name, column.name] = best
    measures = measures_in(record for cell in cells.values() for record in cell.values())
    require(bool(measures), f"{out}: no records of {suite}; {_again(out, suite)} first")
    return Results(
        out,
        description,
        [record for cell in members.values() for record in cell.values()],
        rows=rows,
        columns=columns,
        measures=measures,
        cells=cells,
        chosen=chosen,
        missing=missing,
        damaged=records.damaged,
        repeated=records.repeated,
        other_versions=other_versions,
    )


def _description(out: Path, suite: str) -> Mapping[str, Any]:
    file = out / f"{suite}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; {_again(out, suite)} first") from None
    except ValueError as error:
        raise InputError(f"{file}: no JSON ({error}); {_again(out, suite)} again") from error


def _again(out: Path, suite: str) -> str:
    return f"run `lensless benchmark score suite={suite} out={out}`"


def _by_member(
    description: Mapping[str, Any], records: Records
) -> tuple[dict[tuple[str, str], dict[int, Record]], int]:
    """Records by (name in `rows`, name in `systems`) and image, and how many of another version were left out.

    Of two of one image, which were scored with other LPIPS networks, the one with more metrics counts. Images beyond
    the `samples` of a system, of a suite with more of them in the same folder, are none of this one's.
    """
    rows, systems = _by_key(description["rows"]), _by_key(description["systems"])
    version = description["versions"]["lensless-torch"]
    found: dict[tuple[str, str], dict[int, Record]] = {}
    others = 0
    for record in records:
        places = list(product(rows[record.get("model_key")], systems[record.get("system_key")]))
        if places and record.get("versions", {}).get("lensless-torch") != version:
            others += 1
            continue
        for place in places:
            if record["image"] >= description["systems"][place[1]]["samples"]:
                continue
            cell = found.setdefault(place, {})
            before = cell.get(record["image"])
            if before is None or len(before["metrics"]) < len(record["metrics"]):
                cell[record["image"]] = record
    return found, others


def _by_key(named: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Names by `key`; what is the same thing under two names has one."""
    found = defaultdict(list)
    for name, one in named.items():
        found[one["key"]].append(name)
    return found


def _rows(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    for group, names in groupby(rows, key=lambda name: rows[name].get("tuning") or name):
        names = tuple(names)
        first = rows[names[0]]
        name = f"{group}, best {setting(group, names[0])[0]}" if "tuning" in first else group
        trained_on = tuple(first.get("trained_on", ()))
        yield Row(name, names, first.get("tuning"), trained_on, first.get("x"), first.get("series"))


def setting(group: str, member: str) -> tuple[str, str]:
    """("tau", "0.003") of "admm100, tau 0.003"."""
    key, _, value = member.removeprefix(f"{group}, ").rpartition(" ")
    return key, value


def _columns(systems: Mapping[str, Mapping[str, Any]], rows: list[Row]) -> Iterator[Column]:
    for name, system in systems.items():
        form = "affine" if system.get("brightness") == "relative" else "strict"
        about = system.get("x"), system.get("series")
        column = Column(name, BY_NAME[f"{form}/psnr"], False, *about)
        seen = system.get("seen", True) and any(row.knows(column) for row in rows)
        yield Column(name, column.judge, seen, *about)


def _best(members: Mapping[str, Mapping[int, Record]], judge: Measure) -> str | None:
    """The member of the best mean, of those that have most images."""
    values = {
        name: [value for record in one.values() if (value := judge.of(record)) is not None]
        for name, one in members.items()
    }
    most = max(map(len, values.values()))
    complete = [name for name in values if most and len(values[name]) == most]
    return max(complete, key=lambda name: fmean(values[name]), default=None)
