"""Tables of the Hugging Face hub, or the same parquet files on disk, as a source of samples."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lensless.data.hub_tables import hub_file, hub_tables, image_column, local_tables
from lensless.data.psf_file import PSFFile
from lensless.data.source import Encoding, Source
from lensless.data.stored import full_scale, stored_bytes
from lensless.errors import require


@dataclass(frozen=True)
class Column:
    """A column of images, and how their numbers stand for light.

    name: of the column. bits: depth of integers, None for the width of their type. black_level: counts. white_level:
    the count that stands for 1, None for the full scale of the bits. encoding: "linear" or "srgb".
    """

    name: str
    _: KW_ONLY
    bits: int | None = None
    black_level: float = 0.0
    white_level: float | None = None
    encoding: str = "linear"

    def decoder(self, dtype: np.dtype) -> Encoding:
        """What turns pixels of this type into light."""
        white = full_scale(dtype, self.bits) if self.white_level is None else self.white_level
        return Encoding(full_scale=white, black_level=self.black_level, encoding=self.encoding)


MEASUREMENT, SCENE = Column("lensless"), Column("lensed")


class HubSource(Source):
    """Rows of a table with a column of images for the measurements and one for the scenes.

    Columns are read one by one, and their images decoded when asked for: labels never touch an image.

    root: a folder with `data/SPLIT-*.parquet`, such as a downloaded copy, or None to load ``name`` from the hub, which
    downloads it. revision: commit of the hub's repository. measurement, scene, background: columns, None for what is
    not there. mask: name of the column of labels; where it is None, or the table has no such column, the label is the
    row's number (from 0, within its split) modulo ``masks``. psf: its file in the repository, None where it is not
    there. Raises InputError without the extra, the files or a column, and ConnectionError where the hub is not reached.
    """

    def __init__(
        self,
        root: Path | None,
        *,
        name: str | None = None,
        revision: str | None = None,
        measurement: Column = MEASUREMENT,
        scene: Column | None = SCENE,
        background: Column | None = None,
        mask: str | None = None,
        masks: int = 1,
        psf: PSFFile | None = None,
    ):
        self.digests = {}
        self.root, self.repository, self.revision, self.psf_file = root, name, revision, psf
        columns = {"measurement": measurement, "scene": scene, "background": background}
        self.columns = {what: column for what, column in columns.items() if column is not None}
        tables = local_tables(root) if root is not None else hub_tables(name, revision)
        tables = {split: table for split, table in sorted(tables.items()) if len(table)}
        self.tables = {what: image_column(tables, column.name) for what, column in self.columns.items()}
        ends = np.cumsum([len(table) for table in tables.values()])
        self.splits = {
            split: np.arange(end - len(table), end) for end, (split, table) in zip(ends, tables.items(), strict=True)
        }
        self.labels = np.concatenate([_labels(table, mask, masks) for table in tables.values()])
        self.groups = [self.name(index) for index in range(len(self))]
        self.encodings = {what: column.decoder(self.stored(what, 0).dtype) for what, column in self.columns.items()}

    def stored(self, what: str, index: int) -> np.ndarray | None:
        if what not in self.columns:
            return None
        split, row = self._place(index)
        column = self.columns[what].name
        cell = self.tables[what][split][row][column]
        require(cell is not None and cell["bytes"], f"{self.name(index)}: no {column} in this row")
        return stored_bytes(cell["bytes"], f"{self.name(index)}: {column}")

    def psf(self, mask: int) -> Tensor | None:
        if self.psf_file is None:
            return None
        height, width, channels = self.stored("measurement", 0).shape
        file = self.psf_file.file_of(mask)
        path = self.root / file if self.root is not None else hub_file(self.repository, file, self.revision)
        return self.psf_file.read(path, (channels, height, width))

    def name(self, index: int) -> str:
        split, row = self._place(index)
        return f"{split}[{row}]"

    def identity(self) -> dict[str, Any]:
        prints = {split: table._fingerprint for split, table in self.tables["measurement"].items()}
        columns = {what: column.name for what, column in self.columns.items()}
        return {"kind": "hub", "name": self.repository, "tables": prints, "columns": columns}

    def _place(self, index: int) -> tuple[str, int]:
        split, rows = next((split, rows) for split, rows in self.splits.items() if index <= rows[-1])
        return split, int(index - rows[0])


def _labels(table: Any, column: str | None, masks: int) -> np.ndarray:
    if column in table.features:
        return table.data.column(column).to_numpy().astype(np.int64)
    return np.arange(len(table)) % masks
