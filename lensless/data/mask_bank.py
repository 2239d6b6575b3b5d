"""PSFs of many random masks of many kinds, computed once: cameras to train on that are no camera in particular."""

import functools
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lensless.data.workers import in_workers
from lensless.errors import InputError, require
from lensless.images.write import atomic_write
from lensless.physics.system import get_system

ATTEMPTS = 50


class MaskBank:
    """``bank[i]`` is the PSF (C, h, w) of random camera i, float32, the mean of its channel sums being 1.

    Camera i is of kind i mod K of K; numpy.random.default_rng([seed, i, a]) draws the mask's seed and, log-uniformly
    between their limits (whole numbers between whole ones), the settings of its kind, for the first attempt
    a = 0, 1, ... that the optics accept (a wave that the grid holds, a PSF that falls on the sensor). Files hold
    float16 relative to the peak, exact to 2^-12, far below any calibration's error.

    kinds: names of ready cameras (`configs/system`), and for each limits [least, most] of its settings, by key such as
    "mask_distance" or "mask.slope"; {} for the mask's seed alone. count: of cameras. size: see
    :func:`lensless.physics.system.sized_sensor`. folder: where the PSFs are kept, in a folder named after all of these.
    Raises InputError on an unknown kind or setting, limits out of order, and where no attempt is accepted.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        kinds: Mapping[str, Mapping[str, Any]],
        count: int,
        size: str = "small",
        seed: int = 0,
    ):
        some = count > 0 and len(kinds) > 0
        require(some, f"count: expected at least 1 camera of at least 1 kind, got {count} of {len(kinds)}")
        for kind, settings in kinds.items():
            for key, limits in settings.items():
                ordered = len(limits) == 2 and 0 < limits[0] <= limits[1]
                require(ordered, f"kinds.{kind}.{key}: expected 0 < least <= most, got {limits}")
        self.kinds = {
            kind: {key: tuple(limits) for key, limits in settings.items()} for kind, settings in kinds.items()
        }
        self.count, self.size, self.seed = count, size, seed
        # without the count: a larger bank adds to a smaller one
        identity = json.dumps([self.kinds, size, seed], sort_keys=True)
        self.folder = Path(folder).expanduser() / hashlib.sha256(identity.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return self.count

    def kind(self, index: int) -> str:
        """Name of the ready camera that camera ``index`` is a variation of."""
        return list(self.kinds)[index % len(self.kinds)]

    def file(self, index: int) -> Path:
        """Where the PSF of camera ``index`` is kept."""
        return self.folder / f"{index:05d}.npy"

    def prepare(self, *, workers: int = 0) -> None:
        """Compute the PSFs that are not there yet, with a progress bar; what an interrupted call made stays."""
        missing = [index for index in range(self.count) if not self.file(index).exists()]
        for index, psf in in_workers(self._light, missing, workers=workers, unit="mask"):
            self._write(index, psf)

    def __getitem__(self, index: int) -> Tensor:
        return _read(self.file(index))

    def _light(self, index: int) -> Tensor:
        kind, reason = self.kind(index), ""
        for attempt in range(ATTEMPTS):
            random = np.random.default_rng([self.seed, index, attempt])
            mask_seed = int(random.integers(2**31))
            settings = {key: _between(limits, random) for key, limits in self.kinds[kind].items()}
            try:
                return get_system(kind, size=self.size, mask_seed=mask_seed, settings=settings).psf
            except InputError as error:
                reason = str(error)
        raise InputError(f"kinds.{kind}: none of {ATTEMPTS} attempts within its limits makes a camera; {reason}")

    def _write(self, index: int, psf: Tensor) -> None:
        with atomic_write(self.file(index)) as temporary:
            np.save(temporary, (psf / psf.max()).numpy().astype(np.float16), allow_pickle=False)


def _between(limits: tuple[float, float], random: np.random.Generator) -> float | int:
    value = math.exp(random.uniform(*np.log(limits)))
    return round(value) if all(isinstance(limit, int) for limit in limits) else value


@functools.lru_cache(maxsize=4096)
def _read(file: Path) -> Tensor:
    psf = torch.from_numpy(np.load(file, allow_pickle=False).astype(np.float32))
    return psf / psf.sum((-2, -1)).mean()
