"""Photographs before simulated cameras: training sets that never repeat, and held-out ones to score with."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pooch

from lensless.data.augment import Augment
from lensless.data.mask_bank import MaskBank
from lensless.data.mismatch import PSFError
from lensless.data.on_the_fly import OnTheFlySimulation
from lensless.data.pictures import shrink_pictures
from lensless.data.random_cameras import RandomCameras
from lensless.data.scenes import Patch, list_pictures
from lensless.errors import check_name, require
from lensless.images.prepare import normalise_psf
from lensless.physics.random import sample_generator
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
    mask_seed: int = 0,
    n_masks: int = 1,
    settings: Mapping[str, Any] | None = None,
    assumed: Mapping[str, Any] | None = None,
    psf_error: PSFError | None = None,
    zoom: tuple[float, float] = (1.0, 2.0),
    longest_side: int = 640,
    snr_db: float | None = None,
    augment: Augment | None = None,
    seed: int = 0,
) -> OnTheFlySimulation:
    """Samples of the ready camera ``system``, made when asked for; each is a function of (seed, epoch, number).

    system, size, settings: see :func:`lensless.physics.system.get_system`. scenes: photographs, as for `lensless
    simulate`. split: "train", "validation" or "test", of the photographs (:func:`split_pictures`), or "all", for
    photographs that no training takes from. samples: an epoch.
    mask_seed, n_masks: seed of the first mask, and how many of consecutive seeds take turns. assumed: settings of the
    camera that the calibration believes in, whose PSF the samples carry. psf_error: what else is wrong with that PSF,
    drawn once for each mask. zoom: see :class:`lensless.data.scenes.Patch`. cache: folder for the photographs shrunk to
    ``longest_side`` pixels, None for the user's cache. snr_db: of shot noise in the place of the sensor's noise.
    augment: a further change of every sample. Raises InputError on unknown words, and on pictures that are missing,
    broken or too few to split.
    """
    true = dict(settings or {})
    require(n_masks > 0, f"n_masks: expected at least 1, got {n_masks}")
    seeds = range(mask_seed, mask_seed + n_masks)
    cameras = [camera(system, size, mask, snr_db, _key(true)) for mask in seeds]
    psfs = None
    if assumed is not None or psf_error is not None:
        believed = _key(true | dict(assumed or {}))
        psfs = [camera(system, size, mask, snr_db, believed).psf for mask in seeds]
    if psf_error is not None:
        wrong = [psf_error(psf, sample_generator(mask, 0)) for mask, psf in zip(seeds, psfs, strict=True)]
        psfs = [normalise_psf(psf)[0] for psf in wrong]
    return OnTheFlySimulation(
        cameras,
        psfs=psfs,
        pictures=_pictures(scenes, split, cache, longest_side),
        encoding="linear",
        length=samples,
        place=Patch(zoom=zoom),
        augment=augment,
        seed=seed,
    )


def random_cameras(
    scenes: str,
    *,
    split: str,
    samples: int,
    kinds: Mapping[str, Mapping[str, Any]],
    cameras: int,
    workers: int = 0,
    cache: str | None = None,
    size: str = "small",
    zoom: tuple[float, float] = (1.0, 2.0),
    longest_side: int = 640,
    snr_db: tuple[float, float] = (10.0, 40.0),
    seed: int = 0,
) -> RandomCameras:
    """Samples of many random cameras, :class:`RandomCameras`; their PSFs are computed by the first call and kept.

    kinds, size, seed: of the :class:`MaskBank` of ``cameras`` cameras; seed also of the samples. workers: processes
    that compute PSFs. cache: folder for PSFs and photographs, None for the user's cache. The others are those of
    :func:`simulated` and RandomCameras. Raises InputError as these do.
    """
    bank = MaskBank(_folder(cache) / "masks", kinds=kinds, count=cameras, size=size, seed=seed)
    bank.prepare(workers=workers)
    return RandomCameras(
        bank,
        pictures=_pictures(scenes, split, cache, longest_side),
        encoding="linear",
        length=samples,
        snr_db=snr_db,
        zoom=zoom,
        seed=seed,
    )


def _folder(cache: str | None) -> Path:
    return Path(pooch.os_cache("lensless")) if cache is None else Path(cache)


def _pictures(scenes: str, split: str, cache: str | None, longest_side: int) -> list[Path]:
    pictures = list_pictures(scenes)
    splits = split_pictures(pictures) | {"all": pictures}
    check_name("split", split, list(splits))
    return shrink_pictures(splits[split], _folder(cache) / "scenes", longest_side=longest_side)


def _key(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Settings as a key of a dictionary; those of a section {mask: {slope: 1}} have dotted names, mask.slope."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": content for inner, content in _key(value)}
        else:
            flat[name] = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return tuple(sorted(flat.items()))


@functools.cache
def camera(name: str, size: str, mask_seed: int, snr_db: float | None, settings: tuple[tuple[str, Any], ...]) -> System:
    """One camera serves training and validation: its PSF is computed once."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in settings}
    return replace(get_system(name, size=size, mask_seed=mask_seed, settings=plain), snr_db=snr_db)


def split_pictures(pictures: Sequence[Path]) -> dict[str, list[Path]]:
    """A tenth for testing, a tenth for validation, at least one each, and the rest for training, by a hash of names.

    The same pictures are always held out, wherever they lie. Raises InputError for fewer than three.
    """
    require(len(pictures) >= 3, f"scenes: expected at least 3 pictures, for three splits, got {len(pictures)}")
    ordered = sorted(pictures, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    count = max(round(SHARE * len(ordered)), 1)
    splits = {name: ordered[place * count : (place + 1) * count] for place, name in enumerate(HELD_OUT)}
    return splits | {"train": ordered[len(HELD_OUT) * count :]}
