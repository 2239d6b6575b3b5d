"""A reconstruction together with its card: written to a folder, read from one, shared through the hub."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from lensless.errors import InputError, require
from lensless.images.write import atomic_write
from lensless.models import hub, weights, zoo
from lensless.models.architecture import describe, restore
from lensless.models.card import Card, read_card, write_card
from lensless.models.modular import ModularReconstruction
from lensless.models.state import load_state

CARD = "card.json"
WEIGHTS = "model.safetensors"
FILES = (CARD, WEIGHTS)


@dataclass(frozen=True)
class Model:
    """A reconstruction of parts that a card can name, and its card.

    Its folder holds `model.safetensors` and `card.json`, which states the architecture and the sha256 of the weights.
    """

    reconstruction: ModularReconstruction
    card: Card

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, revision: str | None = None) -> Self:
        """The model in a folder, shipped under a name, or at one commit of "OWNER/NAME" on the hub; ready for use.

        Nothing in a card or a file of weights is run. Raises InputError for an unknown name or a hub model without
        its commit, for files that are missing, damaged, pickled or do not belong together, for an architecture that
        is not of this library, and for weights that do not fit it, with the names that differ.
        """
        folder = zoo.locate(name_or_path, revision=revision, files=FILES)
        if not (folder / CARD).exists() and (folder / ".hydra").is_dir():
            raise InputError(f"model: {folder} is LenslessPiCam's; `lensless import {folder}` makes a model of it")
        card = read_card(folder / CARD)
        reconstruction = restore(card.architecture)
        require(
            isinstance(reconstruction, ModularReconstruction),
            f"architecture: expected a ModularReconstruction in {folder}, got {type(reconstruction).__name__}",
        )
        state = weights.read(folder / WEIGHTS, expected_sha256=card.weights_sha256)
        load_state(reconstruction, state, str(folder / WEIGHTS))
        return cls(reconstruction.eval(), card)

    def save(self, folder: str | Path) -> Self:
        """Write both files, whole or not at all; the model as written, whose card has all entries.

        Raises InputError for a part that no card can name, weights that are not finite and where it cannot write.
        """
        folder = Path(folder)
        content = weights.pack(self.reconstruction)
        card = dataclasses.replace(
            self.card, architecture=describe(self.reconstruction), weights_sha256=weights.sha256(content)
        )
        with atomic_write(folder / WEIGHTS) as temporary:
            temporary.write_bytes(content)
            write_card(folder / CARD, card)
        return dataclasses.replace(self, card=card)

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Upload both files to "OWNER/NAME", which is made where it is missing; the commit to fetch the model by.

        Raises InputError as ``save`` does, and where the hub refuses.
        """
        with TemporaryDirectory() as folder:
            self.save(folder)
            return hub.upload(Path(folder), repository, FILES, message=f"Model: {self.card.summary}", private=private)
