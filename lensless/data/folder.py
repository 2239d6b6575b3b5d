"""A simulated data set on disk, and the card that says what is in it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lensless.data.sample import Sample
from lensless.errors import InputError
from lensless.images.read import read_image
from lensless.images.write import write_json, write_npy, write_png16


@dataclass(frozen=True)
class DatasetFolder:
    """Files of a data set, one set for each sample i, with i in six digits:

        scenes/i.png         16 bits, linear        measurements/i.npy   float32, linear, channels last
        psfs/MMM.npy         one for each mask      backgrounds/MMM.npy  its ambient light, where there is some
        records/i.json       mask, split, picture, box, sha256; comes last and says that the sample is whole
        card.json            all of the records and the configuration; "complete" once every sample is there

    Every file appears whole or not at all, so any number of processes may write different samples at a time.
    """

    root: Path

    def psf_file(self, mask: int) -> Path:
        return self.root / "psfs" / f"{mask:03d}.npy"

    def background_file(self, mask: int) -> Path:
        return self.root / "backgrounds" / f"{mask:03d}.npy"

    def record_file(self, index: int) -> Path:
        return self.root / "records" / f"{index:06d}.json"

    @property
    def card_file(self) -> Path:
        return self.root / "card.json"

    def begin(self, card: dict[str, Any]) -> None:
        """Write an incomplete card, or find the one that another process or an earlier run wrote.

        Raises InputError where the folder holds another data set.
        """
        if not self.card_file.exists():
            write_json(self.card_file, {"complete": False, **card})
            return
        found = read_card(self.root)["fingerprint"]
        if found != card["fingerprint"]:
            raise InputError(
                f"out: {self.root} holds a data set of another configuration or version, see its card.json; choose "
                "another folder, or delete this one"
            )

    def has(self, index: int) -> bool:
        """Whether sample ``index`` is finished."""
        return self.record_file(index).exists()

    def psf(self, mask: int) -> Tensor:
        """The PSF of a mask, (C, h, w)."""
        return read_image(self.psf_file(mask))

    def write_mask(self, mask: int, psf: Tensor, background: Tensor | None) -> None:
        """PSF and, where there is one, ambient light of a mask."""
        if background is not None:
            write_npy(self.background_file(mask), background)
        write_npy(self.psf_file(mask), psf)

    def write_sample(self, index: int, sample: Sample, *, split: str) -> None:
        """Scene, measurement and, last, the record of a sample."""
        scene = self.root / "scenes" / f"{index:06d}.png"
        measurement = self.root / "measurements" / f"{index:06d}.npy"
        write_png16(scene, sample.scene, gamma="linear")
        write_npy(measurement, sample.measurement)
        record = {"mask": sample.mask, "split": split, **sample.origin}
        write_json(self.record_file(index), {"index": index, **record, "sha256": self._digests([scene, measurement])})

    def skip_sample(self, index: int, reason: str) -> None:
        """Record that there is no sample ``index``, and why."""
        write_json(self.record_file(index), {"index": index, "skipped": reason})

    def finish(self, n: int, card: dict[str, Any]) -> bool:
        """Write the complete card if samples 0 to n - 1 are there, whoever made them; returns whether they are."""
        if not all(self.has(index) for index in range(n)):
            return False
        records = [json.loads(self.record_file(index).read_text(encoding="utf-8")) for index in range(n)]
        for leftover in self.root.glob("*/.*.tmp.*"):
            leftover.unlink(missing_ok=True)  # of killed processes: nothing but the card is still to be written
        masks = sorted([*self.root.glob("psfs/*"), *self.root.glob("backgrounds/*")])
        whole = {"n": n, "sha256": self._digests(masks), "samples": records}
        write_json(self.card_file, {"complete": True, **card, **whole})
        return True

    def _digests(self, files: Iterable[Path]) -> dict[str, str]:
        return {file.relative_to(self.root).as_posix(): sha256(file) for file in files}


def sha256(file: Path) -> str:
    """Hexadecimal digest of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read_card(root: Path) -> dict[str, Any]:
    """The card of a data set folder. Raises InputError where there is none, or it is damaged."""
    file = Path(root) / "card.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected the folder of a data set") from None
    except ValueError as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from error
