"""What the actions of `lensless calibrate` read and write."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lensless.calibration.darks import Darks
from lensless.calibration.frame import RawFrame
from lensless.data.records import Record, RecordFolder
from lensless.errors import InputError, require
from lensless.images.prepare import downsample
from lensless.images.write import atomic_write, write_json
from lensless.versions import versions


def record_folders(key: str, pattern: str | None) -> list[RecordFolder]:
    """The folders of records that ``pattern`` (a folder or a glob) stands for, in order of their names.

    Raises InputError naming ``key`` where there is none.
    """
    require(pattern is not None, f"{key}: expected a folder of records, as `lensless-capture` writes them")
    path = Path(pattern).expanduser()
    roots = [path] if path.is_dir() else sorted(Path(found) for found in glob.glob(str(path)))
    roots = [root for root in roots if root.is_dir()]
    require(bool(roots), f"{key}: expected a folder of records or a glob of such, found none at {pattern}")
    try:
        return [RecordFolder.open(root) for root in roots]
    except InputError as error:
        raise InputError(f"{key}: {error}") from error


def records_of(key: str, pattern: str | None, *kinds: str) -> list[Record]:
    """All records of these kinds in the folders of ``pattern``. Raises InputError naming ``key``."""
    folders = record_folders(key, pattern)
    try:
        return [record for folder in folders for record in folder.of(*kinds)]
    except InputError as error:
        raise InputError(f"{key}: {error}") from error


def frames_of(records: Sequence[Record]) -> list[RawFrame]:
    """Their raw frames, each with the sha256 that its record states. Raises InputError."""
    for record in records:
        record.verify()
    return [record.raw() for record in records]


def read_darks(pattern: str | None) -> Darks | None:
    """The dark frames of ``darks=``, None where it is null."""
    return None if pattern is None else Darks(frames_of(records_of("darks", pattern, "dark", "background")))


def averaged_like(y: Tensor, psf: Tensor, name: str) -> Tensor:
    """A measurement (C, h, w), averaged over blocks to the PSF's size. Raises InputError where it does not fit."""
    factor = max(y.shape[-1] // psf.shape[-1], 1)
    y = downsample(y, factor)
    require(
        y.shape == psf.shape,
        f"psf: expected {tuple(y.shape)} like the measurement {name} averaged over {factor} pixels, got "
        f"{tuple(psf.shape)}",
    )
    return y


def write_report(cfg: DictConfig, name: str, numbers: Mapping[str, Any], figure: Figure) -> list[Path]:
    """NAME.png and then NAME.json into ``cfg.out``: numbers, the configuration and the versions."""
    out = Path(cfg.out).expanduser()
    files = [out / f"{name}.png", out / f"{name}.json"]
    with atomic_write(files[0]) as temporary:
        figure.savefig(temporary, dpi=100)
    config = OmegaConf.to_container(cfg, resolve=True)
    write_json(files[1], {**numbers, "config": config, "versions": versions()})
    return files
