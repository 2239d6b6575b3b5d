"""Cards: what a data set is, where it comes from, and how its samples are read."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pooch
from omegaconf import OmegaConf

from lensless.calibration.alignment import Alignment
from lensless.data.hub_source import Column, HubSource
from lensless.data.image_source import ImageSource
from lensless.data.psf_file import PSFFile
from lensless.data.record_source import RecordSource
from lensless.data.simulated_source import SimulatedSource
from lensless.data.source import Source
from lensless.data.wrapped import ResizedScenes
from lensless.errors import InputError, check_name, require
from lensless.images.write import atomic_write
from lensless.resources import resource_dir

PARTS = (PSFFile, Column)
KINDS = {"simulated": SimulatedSource, "images": ImageSource, "records": RecordSource, "hub": HubSource}
ABOUT = ("summary", "source", "licence", "layout", "example", "files")
# pairs of folders that make a data set without a card
FOLDERS = (("lensless", "lensed"), ("measurements", "scenes"))


@dataclass(frozen=True)
class Card:
    """A data set as its YAML card describes it.

    file: the YAML, None where a folder without a card was recognised. root: the folder of its files, None for the hub.
    samples: {kind, ...}, kind being a key of KINDS and the rest arguments of that class. splits: rules of
    :func:`lensless.data.splits.split_indices`. alignment: where scenes lie in reconstructions, None for the same grid.
    fit_scenes: bring scenes of any size to the alignment's. brightness: "absolute" where y = psf * x holds in the
    units of the scene, "relative" where a gain is unknown and scores have to fit one. about: summary, source, licence,
    layout, example and files. Raises InputError on other words.
    """

    file: Path | None
    root: Path | None
    samples: Mapping[str, Any]
    splits: Mapping[str, Any]
    alignment: Alignment | None = None
    fit_scenes: bool = False
    brightness: str = "relative"
    about: Mapping[str, Any] | None = None

    def __post_init__(self):
        check_name("samples.kind", str(self.samples.get("kind")), list(KINDS))
        known = list(inspect.signature(KINDS[self.samples["kind"]]).parameters)
        for key in self.samples:
            check_name("samples", key, ["kind", *known[1:]])
        check_name("brightness", self.brightness, ["absolute", "relative"])
        require(not self.fit_scenes or self.alignment is not None, "fit_scenes: needs an alignment, for its size")

    def open(self) -> Source:
        """The samples. Raises InputError where files are missing."""
        arguments = {key: value for key, value in self.samples.items() if key != "kind"}
        kind = KINDS[self.samples["kind"]]
        for key, hint in get_type_hints(kind.__init__).items():
            part = next((part for part in PARTS if part is hint or part in get_args(hint)), None)
            if part is not None and arguments.get(key) is not None:
                arguments[key] = _part(part, key, arguments[key])
        source = kind(self.root, **arguments)
        return ResizedScenes(source, size=self.alignment.size) if self.fit_scenes else source


def _part(part: type, key: str, value: Any) -> Any:
    """A PSFFile or a Column from its name alone, or from its name and arguments."""
    entry = {"name": value} if isinstance(value, str) else dict(value)
    for word in entry:
        check_name(key, word, [one.name for one in fields(part)])
    require("name" in entry, f"{key}: expected a name, got {', '.join(entry)}")
    return part(entry.pop("name"), **entry)


def load_card(card: str | Path, *, folder: str | Path | None = None) -> Card:
    """The card of a shipped name, a YAML file, or a folder.

    A folder is described by its own card.yaml, or recognised: by card.json as a simulated data set, by manifest.json
    as records, by the folders lensless and lensed (or measurements and scenes) as pairs of images.
    folder: where the files of a named card or a YAML lie, if not where `lensless fetch` puts them or beside the YAML.
    Raises InputError where nothing is found, or the card says something unknown.
    """
    path = Path(card).expanduser()
    if path.is_dir():
        found = path / "card.yaml"
        return read_card_file(found, root=path) if found.exists() else recognise(path)
    if path.suffix in (".yaml", ".yml"):
        return read_card_file(path, root=path.parent if folder is None else Path(folder).expanduser())
    check_name("card (and there is no folder of that name)", str(card), card_names())
    file = resource_dir("datasets") / f"{card}.yaml"
    found = read_card_file(file, root=None if folder is None else Path(folder).expanduser())
    if found.root is None and found.samples["kind"] != "hub":
        fetched = Path(pooch.os_cache("lensless")) / str(card)
        require(fetched.is_dir(), f"{card}: not there; run `lensless fetch {card}`, or state the folder of its files")
        return replace(found, root=fetched)
    return found


def card_names() -> list[str]:
    """The shipped cards of data sets with pairs, `datasets/NAME.yaml`; others are of files to fetch alone."""
    return sorted(path.stem for path in resource_dir("datasets").glob("*.yaml") if "samples" in OmegaConf.load(path))


def read_card_file(file: Path, *, root: Path | None) -> Card:
    """The card in a YAML file. Raises InputError naming the file where it is missing or says something unknown."""
    try:
        entries = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected the card of a data set") from None
    require(isinstance(entries, dict), f"{file}: expected keys and values, got a {type(entries).__name__}")
    known = [*ABOUT, "samples", "splits", "alignment", "fit_scenes", "brightness"]
    for key in entries:
        check_name(f"{file}", str(key), known)
    require("samples" in entries, f"{file}: the card names no samples, so there are no pairs to load")
    try:
        return Card(
            file=file,
            root=root,
            samples=entries["samples"],
            splits=entries.get("splits") or {},
            alignment=Alignment.from_card(entries["alignment"]) if entries.get("alignment") else None,
            fit_scenes=bool(entries.get("fit_scenes", False)),
            brightness=entries.get("brightness", "relative"),
            about={key: entries[key] for key in ABOUT if key in entries},
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def store_alignment(card: Card, alignment: Alignment, file: Path) -> None:
    """Write ``card`` to ``file`` with another alignment; all else in its YAML stays as it is, comments included."""
    if card.file is not None:
        text = card.file.read_text(encoding="utf-8")
    else:
        text = OmegaConf.to_yaml(OmegaConf.create({"samples": card.samples, "brightness": card.brightness}))
    entry = OmegaConf.to_yaml(OmegaConf.create({"alignment": alignment.to_card()}))
    # the key and the lines that belong to it: indented ones, and those of a list
    text = re.sub(r"^alignment:.*\n(?:[ \-].*\n)*", "", text.rstrip("\n") + "\n", flags=re.MULTILINE)
    with atomic_write(file) as temporary:
        temporary.write_text(text + entry, encoding="utf-8")


def recognise(folder: Path) -> Card:
    """The card of a folder without one, by the files in it. Raises InputError where they are of no known kind."""
    if (folder / "card.json").exists():
        return Card(None, folder, {"kind": "simulated"}, {}, brightness="absolute")
    if (folder / "manifest.json").exists():
        return Card(None, folder, {"kind": "records"}, {})
    for measurements, scenes in FOLDERS:
        if (folder / measurements).is_dir() and (folder / scenes).is_dir():
            return Card(None, folder, {"kind": "images", "measurements": measurements, "scenes": scenes}, {})
    pairs = " or ".join(" and ".join(names) for names in FOLDERS)
    raise InputError(
        f"{folder}: expected a data set with card.yaml, card.json (simulated) or manifest.json (records), or the "
        f"folders {pairs}"
    )
