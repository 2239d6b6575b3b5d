"""Samples of a simulated data set: sample i is a function of (seed, i), whoever makes it and when."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lensless.data.sample import Sample
from lensless.data.scenes import Placement, read_picture
from lensless.errors import require
from lensless.physics.random import sample_generator
from lensless.physics.system import System


class Simulation(Dataset):
    """Measurements of pictures by one system with any number of masks; ``simulation[i]`` is a :class:`Sample`.

    Sample i has mask i mod M and picture (j + j div lcm(M, P)) mod P of P pictures, j = i mod M P: masks and pictures
    come equally often, and M P samples in a row hold each pair once. Position and noise are drawn from (seed, i), and
    everything is computed on one thread, so that the bytes do not depend on order, batches, workers or threads.
    A sample's origin is the name of its picture and the picture's box in the scene, [top, left, height, width].

    system: all but its PSF. psf: from a mask's label to its PSF, (C, h, w) as :attr:`System.psf`.
    masks: M. pictures: files. encoding: theirs, "srgb" or "linear". seed: a whole number.
    Getting a sample raises PictureError where its picture cannot be read.
    """

    def __init__(
        self,
        system: System,
        *,
        psf: Callable[[int], Tensor],
        masks: int,
        pictures: Sequence[Path],
        placement: Placement,
        encoding: str,
        seed: int,
    ):
        self.system, self.psf, self.masks = system, psf, masks
        self.pictures, self.placement, self.encoding, self.seed = pictures, placement, encoding, seed
        self._current: tuple[int, System] | None = None

    def mask(self, index: int) -> int:
        """Label of the mask of sample ``index``."""
        return index % self.masks

    def picture(self, index: int) -> Path:
        """File of the picture of sample ``index``."""
        count = len(self.pictures)
        place = index % (self.masks * count)
        return self.pictures[(place + place // math.lcm(self.masks, count)) % count]

    def __getitem__(self, index: int) -> Sample:
        path, mask = self.picture(index), self.mask(index)
        picture = read_picture(path, encoding=self.encoding)
        generator = sample_generator(self.seed, index)
        with one_thread():
            system = self._with_mask(mask)
            scene, box = self.placement(picture, system, generator)
            measurement = system.measure(scene[None], generator)[0]
        origin = {"picture": path.name, "box": box}
        return Sample(index=index, mask=mask, measurement=measurement, scene=scene, origin=origin)

    def _with_mask(self, mask: int) -> System:
        if self._current is None or self._current[0] != mask:
            self._current = mask, self.system.with_psf(self.psf(mask))
        return self._current[1]


def held_out_masks(seed: int, *, masks: int, count: int) -> list[int]:
    """Labels of the masks to test with: the first ``count`` of numpy.random.default_rng(seed).permutation(masks).

    Returns them sorted. Raises InputError unless 0 <= count < masks.
    """
    require(0 <= count < masks, f"test_masks: expected 0 to {masks - 1} of {masks} masks, got {count}")
    return sorted(np.random.default_rng(seed).permutation(masks)[:count].tolist())


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: sums are then formed in one order, whatever the machine's number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
