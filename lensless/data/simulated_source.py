"""The folder that `lensless simulate` writes, as a source of samples."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lensless.data.folder import DatasetFolder, read_card
from lensless.data.source import Encoding, Source
from lensless.data.stored import stored_file
from lensless.errors import InputError, require


class SimulatedSource(Source):
    """Samples of a simulated data set, in the order of its card; those that were skipped are left out.

    root: its folder. Raises InputError where the card is missing, damaged, or not complete yet.
    """

    def __init__(self, root: Path):
        card = read_card(root)
        require(
            card.get("complete") is True,
            f"{root}: the data set is not complete; run the same `lensless simulate` again, it goes on",
        )
        self.folder = DatasetFolder(Path(root))
        self.fingerprint = card["fingerprint"]
        self.records = [record for record in card["samples"] if "skipped" not in record]
        require(bool(self.records), f"{root}: expected samples, all were skipped")
        self.digests = dict(card["sha256"])
        for record in self.records:
            self.digests |= record["sha256"]
        self.labels = np.array([record["mask"] for record in self.records])
        self.groups = [record["picture"] for record in self.records]
        names = [record["split"] for record in self.records]
        self.splits = {name: np.flatnonzero(np.array(names) == name) for name in sorted(set(names))}
        self.encodings = {"measurement": Encoding(), "scene": Encoding(full_scale=65535), "background": Encoding()}

    def stored(self, what: str, index: int) -> np.ndarray | None:
        file = self._file(what, index)
        if what == "background" and not file.exists():
            return None
        return stored_file(file)

    def _file(self, what: str, index: int) -> Path:
        record = self.records[index]
        if what == "background":
            return self.folder.background_file(record["mask"])
        suffix = {"measurement": "npy", "scene": "png"}[what]
        return self.folder.root / f"{what}s" / f"{record['index']:06d}.{suffix}"

    def psf(self, mask: int) -> Tensor:
        if not self.folder.psf_file(mask).exists():
            raise InputError(f"{self.folder.psf_file(mask)}: no such file; the card names a mask of that label")
        return self.folder.psf(mask)

    def name(self, index: int) -> str:
        return f"{self.folder.root.name}/{self.records[index]['index']:06d}"

    def identity(self) -> dict[str, Any]:
        return {"kind": "simulated", "fingerprint": self.fingerprint, "samples": [r["index"] for r in self.records]}
