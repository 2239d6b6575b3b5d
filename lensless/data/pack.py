"""A data set as parquet files with a card: one folder that anyone can read, check and publish."""

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from omegaconf import OmegaConf
from tqdm import tqdm

from lensless.data.card import Card
from lensless.data.folder import sha256
from lensless.data.hub_tables import import_datasets
from lensless.data.source import Encoding, Source
from lensless.data.stored import full_scale
from lensless.errors import require
from lensless.images.write import atomic_write, write_npy

COLUMNS = {"measurement": "lensless", "scene": "lensed", "background": "ambient"}
MASK = "mask_label"
PSFS = "psfs/{mask:03d}.npy"
SHARD_BYTES = 400_000_000


def pack(card: Card, splits: Mapping[str, np.ndarray], out: Path, *, about: Mapping[str, str]) -> dict[str, Any]:
    """Write ``out`` with data/SPLIT-*.parquet, psfs/, card.yaml and README.md; returns what the card says.

    Integer pixels are kept as they are. Floating-point ones become 16-bit PNG, from the least to the greatest value of
    the set (0 and 1 included), with the levels in the card: an error of at most (greatest - least) / 131070.
    about: summary, source, licence of the new card. Nothing appears before all is whole. Raises InputError where
    ``out`` exists, the licence is not stated, or an image cannot be read.
    """
    require(not out.exists(), f"out: {out} exists already; choose another folder, or delete it")
    for key in ("summary", "licence"):
        require(bool(about.get(key)), f"{key}: expected a line about the data set, for whoever gets it")
    source, folder = card.open(), out.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        columns = {what: PackedColumn(source, what) for what in COLUMNS if source.stored(what, 0) is not None}
        for split, indices in splits.items():
            _write_split(folder, split, _rows(source, columns, indices), list(columns))
        samples = {"kind": "hub", "mask": MASK, "psf": PSFS if _write_psfs(source, folder) else None}
        samples |= {what: columns[what].card() if what in columns else None for what in COLUMNS}
        content = {
            **about,
            "layout": "Table with the images " + ", ".join(COLUMNS[what] for what in columns) + f" and {MASK}.",
            "files": {file: {"sha256": sha256(folder / file)} for file in _files(folder)},
            "samples": samples,
            "splits": {split: {"rows": len(indices)} for split, indices in splits.items()},
            "alignment": None if card.alignment is None else card.alignment.to_card(),
            "brightness": card.brightness,
        }
        (folder / "card.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(content)), encoding="utf-8")
        (folder / "README.md").write_text(_readme(content), encoding="utf-8")
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return content


class PackedColumn:
    """How one kind of image becomes PNG: its own integers, or 16 bits between the set's extremes."""

    def __init__(self, source: Source, what: str):
        self.source, self.what = source, what
        first, encoding = source.stored(what, 0), source.encodings[what]
        self.own = first.dtype.kind == "u"
        self.encoding = encoding
        if not self.own:
            low, high = 0.0, 1.0
            for index in tqdm(range(len(source)), desc=f"range of {what}s", disable=None, leave=False):
                light = source.light(what, index)
                low, high = min(low, float(light.min())), max(high, float(light.max()))
            step = (high - low) / full_scale(np.dtype(np.uint16))
            self.encoding = Encoding(full_scale=(1 - low) / step, black_level=0.0 - low / step)

    def png(self, index: int) -> bytes:
        """The image of a sample as PNG."""
        values = self.source.stored(self.what, index)
        if not self.own:
            light = self.source.encodings[self.what].light(values).movedim(0, -1).double().numpy()
            span = self.encoding.full_scale - self.encoding.black_level
            values = np.rint(light * span + self.encoding.black_level).clip(0, 65535).astype(np.uint16)
        return cv2.imencode(".png", np.ascontiguousarray(values[..., ::-1]))[1].tobytes()

    def card(self) -> dict[str, Any]:
        """The arguments of :class:`lensless.data.hub_source.Column`."""
        return {
            "name": COLUMNS[self.what],
            "black_level": self.encoding.black_level,
            "white_level": self.encoding.full_scale,
            "encoding": self.encoding.encoding,
        }


def _rows(source: Source, columns: Mapping[str, PackedColumn], indices: np.ndarray) -> Iterator[dict[str, Any]]:
    for index in tqdm(indices, desc="pack", unit="sample", disable=None, leave=False):
        row = {COLUMNS[what]: {"bytes": column.png(int(index)), "path": None} for what, column in columns.items()}
        yield {**row, MASK: int(source.labels[index])}


def _write_split(folder: Path, split: str, rows: Iterator[dict[str, Any]], columns: list[str]) -> None:
    """Shards data/SPLIT-NNNNN.parquet of about 400 MB; no more than one is in memory."""
    datasets = import_datasets()
    kinds = {COLUMNS[what]: datasets.Image() for what in columns} | {MASK: datasets.Value("int64")}
    shard, size, number = [], 0, 0
    for row in rows:
        shard.append(row)
        size += sum(len(cell["bytes"]) for cell in row.values() if isinstance(cell, dict))
        if size > SHARD_BYTES:
            _write_shard(folder, f"{split}-{number:05d}", shard, datasets.Features(kinds))
            shard, size, number = [], 0, number + 1
    if shard:
        _write_shard(folder, f"{split}-{number:05d}", shard, datasets.Features(kinds))


def _write_shard(folder: Path, name: str, rows: list[dict[str, Any]], kinds: Any) -> None:
    with atomic_write(folder / "data" / f"{name}.parquet") as temporary:
        import_datasets().Dataset.from_list(rows, features=kinds).to_parquet(temporary)


def _write_psfs(source: Source, folder: Path) -> bool:
    psfs = {int(mask): source.psf(int(mask)) for mask in np.unique(source.labels)}
    for mask, psf in psfs.items():
        if psf is not None:
            write_npy(folder / PSFS.format(mask=mask), psf)
    return all(psf is not None for psf in psfs.values())


def _files(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]


def _readme(content: Mapping[str, Any]) -> str:
    """What the hub shows, and where it finds the splits."""
    splits = [{"split": split, "path": f"data/{split}-*"} for split in content["splits"]]
    head = OmegaConf.to_yaml(OmegaConf.create({"configs": [{"config_name": "default", "data_files": splits}]}))
    return (
        f"---\n{head}---\n# {content['summary']}\n\nLicence: {content['licence']}\n\n{content['layout']}\n\n"
        "How the images stand for light, and where scenes lie in reconstructions, is in card.yaml, which "
        "lensless-torch reads:\n\n"
        "    from lensless.data.dataset import load_dataset\n"
        "    dataset = load_dataset(FOLDER, \"train\")\n"
    )
