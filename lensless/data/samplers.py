"""Which samples come when: batches of one mask or of mixed masks, the same on any number of processes, resumable."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from lensless.data.epochs import Key
from lensless.data.sample import collate
from lensless.errors import require


class MaskBatchSampler(Sampler):
    """Batches of keys (epoch, i); their order is a function of (seed, epoch) alone.

    In epoch e, numpy.random.default_rng([seed, e]) shuffles the samples of each mask (``mixed``: of all masks
    together), cuts them into batches, and shuffles the batches. ``batch_size`` is that of all ``world`` processes
    together; process ``rank`` takes every ``world``-th sample of each batch, so the batches do not depend on ``world``.

    labels: mask of each sample. mixed: False for batches of one mask, whose PSF is then transformed once.
    shuffle: False for the samples in order, the last batch of each mask perhaps smaller; True drops that batch, another
    one in every epoch. Iterating goes on from :meth:`start_at`, then to the next epoch. Raises InputError where
    no batch is left or batch_size is no multiple of world.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        *,
        batch_size: int,
        seed: int = 0,
        mixed: bool = True,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
    ):
        require(
            0 <= rank < world and batch_size > 0 and batch_size % world == 0,
            f"batch_size: expected a multiple of world={world}, of all processes together, got {batch_size}",
        )
        self.batch_size, self.seed, self.mixed, self.shuffle = batch_size, seed, mixed, shuffle
        self.rank, self.world = rank, world
        labels = np.asarray(labels)
        self._groups = [np.arange(len(labels))]
        if not mixed:
            self._groups = [np.flatnonzero(labels == mask) for mask in np.unique(labels)]
        self._count = sum(len(batch) > rank for batch in self.batches(0))
        most = max(len(group) for group in self._groups)
        of_one_mask = "" if mixed else " of one mask"
        require(self._count > 0, f"batch_size: expected at most {most}, the samples{of_one_mask}, got {batch_size}")
        self.epoch = self.first = 0

    def __len__(self) -> int:
        """Batches that this process gets in a whole epoch."""
        return self._count

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration begin at ``batch`` of ``epoch``."""
        self.epoch, self.first = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be of ``epoch``, as trainers ask for; keeps a place within that same epoch."""
        if epoch != self.epoch:
            self.start_at(epoch)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, first = self.epoch, self.first
        self.start_at(epoch + 1)
        for batch in self.batches(epoch)[first:]:
            if len(batch) > self.rank:
                yield [(epoch, int(index)) for index in batch[self.rank :: self.world]]

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Sample numbers of every batch of ``epoch``, for all processes together."""
        random = np.random.default_rng([self.seed, epoch])
        found = []
        for group in self._groups:
            order = random.permutation(group) if self.shuffle else group
            found += [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if self.shuffle:
            found = [batch for batch in found if len(batch) == self.batch_size]
            found = [found[place] for place in random.permutation(len(found))]
        return found


class Loader(DataLoader):
    """Batches of a data set in a sampler's order, made by ``workers`` processes; knows its place and can return to it.

    The place in :meth:`state_dict` counts the batches handed out, not those that workers have prepared ahead.
    """

    def __init__(self, dataset: Dataset, *, sampler: MaskBatchSampler, workers: int = 0, pin_memory: bool = False):
        super().__init__(
            dataset,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
        )
        self._place = (0, 0)

    def __iter__(self) -> Iterator[Any]:
        sampler = self.batch_sampler
        epoch, batch = sampler.epoch, sampler.first
        for item in super().__iter__():
            batch += 1
            self._place = (epoch, batch)
            yield item

    def state_dict(self) -> dict[str, int]:
        """The place behind the last batch that was handed out: {"epoch", "batch"}."""
        return {"epoch": self._place[0], "batch": self._place[1]}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batch that :meth:`state_dict` was asked after; behind an epoch's last one with the next."""
        epoch, batch = state["epoch"], state["batch"]
        if batch >= len(self.batch_sampler):
            epoch, batch = epoch + 1, 0
        self.batch_sampler.start_at(epoch, batch)
        self._place = (epoch, batch)
