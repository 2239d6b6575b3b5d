"""Simulated samples without a data set on disk: a new one for every number and epoch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lensless.data.augment import Augment
from lensless.data.epochs import Key, epoch_and_index, epoch_generator
from lensless.data.sample import Sample
from lensless.data.scenes import Placement, read_picture
from lensless.data.simulation import one_thread
from lensless.errors import require
from lensless.physics.system import System

Place = Callable[[Tensor, System, torch.Generator], tuple[Tensor, list[int]]]


class OnTheFlySimulation(Dataset):
    """Pictures as simulated cameras would measure them; ``dataset[epoch, i]``, or ``dataset[i]`` in epoch 0.

    Sample i comes from system i mod M of M, whose number is its mask label, and shows a picture drawn by chance, placed
    by chance. It is a function of (seed, epoch, i), computed on one thread.

    systems: cameras with sensors of one size. psfs: what a calibration has found for each of them, (C, h, w), and the
    samples carry; None for the true ones. pictures: files; :func:`lensless.data.pictures.shrink_pictures` makes
    them fast to read. encoding: theirs, "srgb" or "linear". length: samples an epoch. place: where pictures stand.
    augment: a change of every sample. Raises InputError on systems of different sizes, and PictureError where a
    picture cannot be read.
    """

    brightness = "absolute"
    alignment = None

    def __init__(
        self,
        systems: Sequence[System],
        *,
        pictures: Sequence[Path],
        length: int,
        psfs: Sequence[Tensor] | None = None,
        encoding: str = "srgb",
        place: Place | None = None,
        seed: int = 0,
        augment: Augment | None = None,
    ):
        sizes = sorted({system.sensor.shape for system in systems})
        require(len(sizes) == 1, f"systems: expected one or more of one sensor size, got {sizes}")
        require(length > 0, f"length: expected at least 1 sample an epoch, got {length}")
        require(len(pictures) > 0, "pictures: expected at least one")
        self.systems, self.pictures, self.length, self.encoding = list(systems), list(pictures), length, encoding
        self.place = Placement() if place is None else place
        self.psfs, self.seed, self.augment = psfs, seed, augment

    def __len__(self) -> int:
        return self.length

    @property
    def shown(self) -> set[str]:
        """Names of the pictures."""
        return {picture.name for picture in self.pictures}

    @property
    def labels(self) -> np.ndarray:
        """Number of the system of every sample, (N,)."""
        return np.arange(self.length) % len(self.systems)

    def psf(self, mask: int) -> Tensor:
        """PSF (C, h, w) of a system as its calibration has it."""
        return self.systems[mask].psf if self.psfs is None else self.psfs[mask]

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = epoch_and_index(key)
        mask = index % len(self.systems)
        system = self.systems[mask]
        generator = epoch_generator(self.seed, epoch, index)
        with one_thread():
            picture = self.pictures[int(torch.randint(len(self.pictures), (), generator=generator))]
            scene, box = self.place(read_picture(picture, encoding=self.encoding), system, generator)
            sample = Sample(
                index=index,
                mask=mask,
                measurement=system.measure(scene[None], generator)[0],
                scene=scene,
                psf=self.psf(mask),
                background=system.background if system.ambient else None,
                origin={"picture": picture.name, "box": box, "system": system.name},
            )
            return sample if self.augment is None else self.augment(sample, epoch=epoch)
