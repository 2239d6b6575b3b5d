"""Pairs of measurements and scenes as a torch data set."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from lensless.calibration.alignment import Alignment
from lensless.data.augment import Augment
from lensless.data.cache import cached
from lensless.data.card import load_card
from lensless.data.epochs import Key, epoch_and_index
from lensless.data.sample import Sample
from lensless.data.source import Source
from lensless.data.splits import split_indices
from lensless.errors import check_name


class PairedDataset(Dataset):
    """Samples of a source, all or some; ``dataset[i]`` and, for an augmentation's sake, ``dataset[epoch, i]``.

    source: where the samples come from. indices: which of them, None for all. alignment: where scenes lie in
    reconstructions, None for the same grid. brightness: "absolute" where y = psf * x holds in the units of the scenes,
    "relative" where losses and scores have to fit a gain. augment: a change of every sample, made by whoever reads it.
    """

    def __init__(
        self,
        source: Source,
        *,
        indices: Sequence[int] | np.ndarray | None = None,
        alignment: Alignment | None = None,
        brightness: str = "relative",
        augment: Augment | None = None,
    ):
        self.source, self.alignment, self.brightness, self.augment = source, alignment, brightness, augment
        self.indices = np.arange(len(source)) if indices is None else np.asarray(indices, dtype=np.int64)
        self._psfs: dict[int, Tensor | None] = {}

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def shown(self) -> set[str]:
        """What the scenes show: no two splits have one of these in common."""
        return {self.source.groups[index] for index in self.indices}

    @property
    def labels(self) -> np.ndarray:
        """Mask of every sample, (N,), without decoding an image."""
        return self.source.labels[self.indices]

    def psf(self, mask: int) -> Tensor | None:
        """PSF (C, h, w) of a mask, read once."""
        if mask not in self._psfs:
            self._psfs[mask] = self.source.psf(mask)
        return self._psfs[mask]

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, place = epoch_and_index(key)
        index = int(self.indices[place])
        mask = int(self.source.labels[index])
        sample = Sample(
            index=index,
            mask=mask,
            measurement=self.source.light("measurement", index),
            scene=self.source.light("scene", index),
            psf=self.psf(mask),
            background=self.source.light("background", index),
            alignment=self.alignment,
            origin={"name": self.source.name(index)},
        )
        return sample if self.augment is None else self.augment(sample, epoch=epoch)

    def with_augment(self, augment: Augment | None) -> PairedDataset:
        """The same samples with another augmentation, or with none."""
        changed = copy.copy(self)
        changed.augment = augment
        return changed

    def subset(self, places: Sequence[int] | np.ndarray) -> PairedDataset:
        """The samples at these places."""
        changed = copy.copy(self)
        changed.indices = self.indices[np.asarray(places)]
        return changed


def load_dataset(
    card: str | Path,
    split: str = "train",
    *,
    folder: str | Path | None = None,
    cache: str | Path | None = None,
    augment: Augment | None = None,
) -> PairedDataset:
    """A split of a data set that a card describes.

    card: name of a shipped card (`lensless data list`), a YAML file, or a folder with a data set in it.
    split: "train", "validation", "test", another one that the card names, or "all". Unless the card says otherwise,
    validation is a twentieth of the scenes of train, which leaves them out.
    folder: where the files lie of a card that does not lie beside them; null for where `lensless fetch` puts them.
    cache: folder in which decoded images are kept from one run to the next, None to decode them at every access.
    Raises InputError on an unknown card or split, missing files, and, while the cache is filled, unreadable images,
    NaN and mixed sizes.
    """
    found = load_card(card, folder=folder)
    source = found.open()
    splits = split_indices(found.splits, source)
    splits["all"] = np.arange(len(source))
    check_name("split", split, list(splits))
    if cache is not None:
        source = cached(source, Path(cache).expanduser())
    return PairedDataset(
        source, indices=splits[split], alignment=found.alignment, brightness=found.brightness, augment=augment
    )
