"""From a suite's configuration to its contenders and its systems, the trainings that it needs included."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lensless.data.card import card_names
from lensless.errors import check_name, require
from lensless.evaluation.contender import Contender
from lensless.evaluation.records import record_key
from lensless.evaluation.runner import TestSystem
from lensless.models import zoo
from lensless.models.card import describe_psf
from lensless.models.pretrained import Model
from lensless.physics.system import system_names
from lensless.tasks import train
from lensless.tasks.compose import build, compose, groups
from lensless.versions import machine, versions

# what a row of a suite may say, and what a sweep of it or of the systems
KINDS = ("solver", "model", "train")
ROW = (*KINDS, "iterations", "trained_on", "init", "x", "series", "sweep", "oracle")
SWEEP = ("key", "values")
# what sample i does not depend on: how many there are, and where the pictures, whose names count, lie on this machine
OF_THIS_RUN = ("scenes", "cache", "card", "samples")
# what a system says besides its data
ABOUT_SYSTEMS = ("x", "series", "seen")
# keys of a solver that are for people who watch
QUIET = {"record_every": 0, "progress": False}


@dataclass(frozen=True)
class Suite:
    """A suite as configured, and the folder that its models and records go to.

    title, statements: for the report. rows: what each contender is, by name, sweeps and oracles written out.
    systems: what each system is, by name.
    """

    cfg: DictConfig
    out: Path
    rows: dict[str, dict[str, Any]]
    systems: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, cfg: DictConfig) -> "Suite":
        """The suite of `lensless benchmark`, with only those models and systems that were asked for.

        Raises InputError on unknown words and names.
        """
        suite = OmegaConf.to_container(cfg.suite, resolve=True)
        rows = {name: dict(row) for name, row in _rows(suite["rows"])}
        systems = dict(_systems(suite))
        if cfg.models:
            rows = dict(_chosen(cfg.models, rows))
        if cfg.systems:
            systems = dict(_named_systems(cfg.systems, systems, suite))
        require(bool(rows), "models: expected at least one, got none")
        require(bool(systems), "systems: expected at least one, got none")
        return cls(cfg, Path(cfg.out).expanduser(), rows, systems)

    def trainings(self) -> dict[str, list[str]]:
        """The words of `lensless train` for every row that is trained, in an order in which each `init` comes first."""
        names = [name for name, row in self.rows.items() if "train" in row]
        names.sort(key=lambda name: "init" in self.rows[name])
        return {name: self._training(name) for name in names}

    def _training(self, name: str) -> list[str]:
        row, cfg = self.rows[name], self.cfg
        words = [*cfg.suite.training, *row["train"], *cfg.training]
        words += [f"out={self.run_folder(name)}", f"device={cfg.device}", f"workers={cfg.workers}"]
        words += [f"experiment.scenes={cfg.scenes}", f"experiment.train.size={cfg.size}"]
        if cfg.cache is not None:
            words.append(f"experiment.train.cache='{cfg.cache}'")
        if "init" in row:
            words.append(f"init={self.run_folder(row['init']) / 'model'}")
        return words

    def run_folder(self, name: str) -> Path:
        """Where the training of a row is."""
        return self.out / "models" / name

    def contenders(self) -> tuple[list[Contender], list[str]]:
        """The contenders that are there, and the names of those whose training is not finished."""
        found, waiting = [], []
        for name, row in self.rows.items():
            if "train" in row and not (self.run_folder(name) / "model" / "card.json").exists():
                waiting.append(name)
            else:
                found.append(self._contender(name, row))
        return found, waiting

    def _contender(self, name: str, row: Mapping[str, Any]) -> Contender:
        about = {key: row.get(key) for key in ("iterations", "tuning", "x")}
        about["trained_on"] = tuple(row.get("trained_on", ()))
        if "solver" in row:
            node = compose("reconstruct", list(row["solver"]), complete=False).recon
            node.update({key: value for key, value in QUIET.items() if key in node})
            identity = OmegaConf.to_container(node, resolve=True)
            return Contender(name, reconstruct=build(node, "recon"), identity=identity, **about)
        model = Model.from_pretrained(self.run_folder(name) / "model" if "train" in row else row["model"])
        identity = {
            "architecture": model.card.architecture,
            "weights": model.card.weights_sha256,
            "iterations": row.get("iterations"),
        }
        return Contender(name, reconstruct=model.reconstruction, identity=identity, **about)

    def test_systems(self) -> Iterator[TestSystem]:
        """The systems, one after the other: their data is read when it is their turn."""
        for name, system in self.systems.items():
            node = {key: value for key, value in system.items() if key not in ABOUT_SYSTEMS}
            known = node.get("card", name) is not None
            require(known, f"folder: expected the folder of the data set {name}, with a card.yaml, got none")
            dataset = build(OmegaConf.create(node), f"suite.systems.{name}")
            identity = {key: value for key, value in node.items() if key not in OF_THIS_RUN}
            if "card" in node:  # files, which may be others by now
                masks = sorted({int(mask) for mask in dataset.labels})
                identity["psfs"] = [describe_psf(psf)["sha256"] for psf in map(dataset.psf, masks) if psf is not None]
            about = {key: system.get(key) for key in ("x", "series")}
            yield TestSystem(
                name,
                dataset=dataset,
                identity=[identity, sorted(dataset.shown)],
                seen=system.get("seen", True),
                **about,
            )

    def samples(self, system: TestSystem) -> int:
        """How many of a system's samples are scored."""
        return min(self.cfg.images, len(system.dataset))

    def describe(self, contenders: Sequence[Contender], systems: Sequence[TestSystem]) -> dict[str, Any]:
        """What a report needs to know besides the records, as JSON; `key` tells records of now from earlier ones."""
        suite = OmegaConf.to_container(self.cfg.suite, resolve=True)
        kept = {key: suite.get(key) for key in ("name", "title", "axis", "statements")}
        rows = {one.name: self.rows[one.name] | {"key": record_key(one.identity)} for one in contenders}
        columns = {
            one.name: self.systems[one.name]
            | {"key": record_key(one.identity), "brightness": one.dataset.brightness, "samples": self.samples(one)}
            for one in systems
        }
        return kept | {
            "rows": rows,
            "systems": columns,
            "waiting": [name for name in self.rows if name not in rows],
            "command": f"lensless benchmark suite={suite['name']} scenes={self.cfg.scenes} images={self.cfg.images} "
            f"size={self.cfg.size} out={self.cfg.out}",
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "versions": versions(),
        }


def _rows(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row, those with a sweep or an oracle once for each of its values."""
    for name, row in rows.items():
        for key in row:
            check_name(f"suite.rows.{name}", str(key), list(ROW))
        kinds = [kind for kind in KINDS if kind in row]
        require(len(kinds) == 1, f"suite.rows.{name}: expected one of {', '.join(KINDS)}, got {kinds or 'none'}")
        many = row.get("sweep") or row.get("oracle")
        if many is None:
            yield name, dict(row)
            continue
        plain = {key: value for key, value in row.items() if key not in ("sweep", "oracle")}
        for value in many["values"]:
            label = f"{name}, {many['key'].rpartition('.')[2]} {value:g}"
            about = {"x": float(value), "series": name} if "sweep" in row else {"tuning": name}
            if "solver" in row:
                changed = {"solver": [*row["solver"], f"{many['key']}={value}"]}
            else:
                changed = {many["key"]: value}
            yield label, plain | changed | about


def _systems(suite: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each system over what all have in common; with sweeps, once for each of their values."""
    common, sweeps = suite.get("system") or {}, suite.get("sweeps") or {}
    for name, own in suite["systems"].items():
        system = _merged(common, own)
        if not sweeps:
            yield name, system
        for label, sweep in sweeps.items():
            for key in sweep:
                check_name(f"suite.sweeps.{label}", str(key), [*SWEEP, "systems"])
            if name in (sweep.get("systems") or suite["systems"]):
                for value in sweep["values"]:
                    node = OmegaConf.create(system)
                    OmegaConf.update(node, sweep["key"], value, force_add=True)
                    place = float(value[-1] if isinstance(value, list) else value)
                    about = {"x": place, "series": f"{name}, {label}"}
                    yield f"{name}, {label} {place:g}", OmegaConf.to_container(node) | about


def _merged(common: Mapping[str, Any], own: Mapping[str, Any] | None) -> dict[str, Any]:
    """``own`` over ``common``; a system with its own `_target_` has nothing in common."""
    own = dict(own or {})
    return own if "_target_" in own else OmegaConf.to_container(OmegaConf.merge(common, own))


def _chosen(names: Sequence[str], rows: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of these names: of the suite, of a solver of `lensless reconstruct`, or of a trained model."""
    solvers = groups("reconstruct")["recon"].choices
    for name in names:
        members = {other: row for other, row in rows.items() if name in (other, row.get("tuning"), row.get("series"))}
        if members:
            yield from members.items()
        elif name in solvers:
            yield name, {"solver": [f"recon={name}"]}
        elif name in zoo.names() or "/" in name or Path(name).expanduser().is_dir():
            yield name, {"model": name}
        else:
            of_suite = dict.fromkeys(row.get("tuning") or row.get("series") or other for other, row in rows.items())
            check_name("models", name, list(dict.fromkeys([*of_suite, *solvers, *zoo.names()])))


def _named_systems(
    names: Sequence[str], systems: dict[str, dict[str, Any]], suite: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The systems of these names: of the suite, a ready camera, or a data set's card."""
    for name in names:
        members = {
            other: system
            for other, system in systems.items()
            if name in (other, system.get("series")) or system.get("series", "").startswith(f"{name},")
        }
        if members:
            yield from members.items()
        elif name in system_names() and suite.get("system"):
            yield name, _merged(suite["system"], {"system": name})
        elif name in card_names() or Path(name).expanduser().exists():
            yield name, {"_target_": "lensless.data.dataset.load_dataset", "card": name, "split": "test"}
        else:
            check_name("systems", name, list(dict.fromkeys([*suite["systems"], *system_names(), *card_names()])))


def run_training(words: list[str]) -> None:
    """`lensless train` with these words, which goes on where it was cut and does nothing where it is finished."""
    train.run(compose("train", words, paths=train.PATHS))
