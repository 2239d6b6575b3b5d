"""Photographs before a simulated camera: a training set that never repeats, and held-out ones to score with."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pooch

from lensless.data.on_the_fly import OnTheFlySimulation
from lensless.data.pictures import shrink_pictures
from lensless.data.scenes import Patch, list_pictures
from lensless.errors import check_name, require
from lensless.physics.system import System, get_system

# a tenth of the pictures each is held out, the rest is for training
HELD_OUT = ("test", "validation")
SHARE = 0.1


def simulated(
    system: str,
    scenes: str,
    *,
    split: str,
    samples: int,
    cache: str | None = None,
    size: str = "small",
    mask_seeds: Sequence[int] = (0,),
    zoom: tuple[float, float] = (1.0, 2.0),
    longest_side: int = 640,
    snr_db: float | None = None,
    seed: int = 0,
) -> OnTheFlySimulation:
    """Samples of the ready camera ``system``, made when asked for; each is a function of (seed, epoch, number).

    system, size: see :func:`lensless.physics.system.get_system`. scenes: photographs, as for `lensless simulate`.
    split: "train", "validation" or "test", of the photographs (:func:`split_pictures`). samples: in an epoch.
    mask_seeds: of the masks that take turns. zoom: see :class:`lensless.data.scenes.Patch`. cache: folder for the
    photographs shrunk to ``longest_side`` pixels, None for the user's cache. snr_db: of shot noise in the place of the
    sensor's noise. Raises InputError on unknown words, and on pictures that are missing, broken or too few to split.
    """
    pictures = split_pictures(list_pictures(scenes))
    check_name("split", split, list(pictures))
    folder = Path(pooch.os_cache("lensless")) / "scenes" if cache is None else Path(cache)
    return OnTheFlySimulation(
        [camera(system, size, mask_seed, snr_db) for mask_seed in mask_seeds],
        pictures=shrink_pictures(pictures[split], folder, longest_side=longest_side),
        encoding="linear",
        length=samples,
        place=Patch(zoom=zoom),
        seed=seed,
    )


@functools.cache
def camera(name: str, size: str, mask_seed: int, snr_db: float | None) -> System:
    """One camera serves training and validation: its PSF is computed once."""
    return replace(get_system(name, size=size, mask_seed=mask_seed), snr_db=snr_db)


def split_pictures(pictures: Sequence[Path]) -> dict[str, list[Path]]:
    """A tenth for testing, a tenth for validation, at least one each, and the rest for training, by a hash of names.

    The same pictures are always held out, wherever they lie. Raises InputError for fewer than three.
    """
    require(len(pictures) >= 3, f"scenes: expected at least 3 pictures, for three splits, got {len(pictures)}")
    ordered = sorted(pictures, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    count = max(round(SHARE * len(ordered)), 1)
    splits = {name: ordered[place * count : (place + 1) * count] for place, name in enumerate(HELD_OUT)}
    return splits | {"train": ordered[len(HELD_OUT) * count :]}
