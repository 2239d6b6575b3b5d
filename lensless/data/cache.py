"""Everything of a source decoded once, into arrays that are mapped into memory."""

import hashlib
import json
import os
import shutil
import uuid
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lensless.data.source import WHAT, Source
from lensless.data.wrapped import WrappedSource
from lensless.errors import InputError, require
from lensless.images.write import atomic_write, write_json


class CachedSource(WrappedSource):
    """Stored images read from memory-mapped arrays `WHAT.npy`, (N, H, W, C), in a folder."""

    def __init__(self, inner: Source, folder: Path):
        super().__init__(inner)
        self.folder = folder

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        files = {what: self.folder / f"{what}.npy" for what in WHAT}
        return {what: np.load(file, mmap_mode="r", allow_pickle=False) for what, file in files.items() if file.exists()}

    def stored(self, what: str, index: int) -> np.ndarray | None:
        array = self._arrays.get(what)
        return None if array is None else np.asarray(array[index])

    def __getstate__(self) -> dict[str, Any]:
        """Without the maps, which every worker opens for itself instead of being sent a copy."""
        return {name: value for name, value in vars(self).items() if name != "_arrays"}


def cached(source: Source, folder: Path) -> CachedSource:
    """``source`` with its images decoded into ``folder``/KEY, by this call or by an earlier one.

    KEY is a hash of the source's identity, so that changed files are decoded anew. The arrays appear whole or not at
    all. Raises InputError, naming the sample, on images that cannot be read, are not finite, differ in size or type,
    or are missing for some samples only; and before any work where the disk has not enough room.
    """
    identity = json.dumps(source.identity(), sort_keys=True)
    place = folder / hashlib.sha256(identity.encode()).hexdigest()[:24]
    if not (place / "identity.json").exists():
        temporary = folder / f".{uuid.uuid4().hex}.tmp"
        temporary.mkdir(parents=True)
        try:
            for what in WHAT:
                _decode(source, what, temporary / f"{what}.npy")
            write_json(temporary / "identity.json", json.loads(identity))
            _publish(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return CachedSource(source, place)


def _publish(temporary: Path, place: Path) -> None:
    try:
        os.replace(temporary, place)
    except OSError:
        # another process was faster
        require((place / "identity.json").exists(), f"{place}: cannot be written; delete it, or choose another cache")


def _decode(source: Source, what: str, file: Path) -> None:
    first = source.stored(what, 0)
    if first is None:
        return
    count = len(source)
    needed, free = count * first.nbytes, shutil.disk_usage(file.parent).free
    require(
        needed < free,
        f"cache: the {what}s need {needed / 1e9:.1f} GB, {file.parent.parent} has {free / 1e9:.1f} GB left; choose "
        "another folder, or cache=null to decode at every access",
    )
    layout = {"descr": first.dtype.str, "fortran_order": False, "shape": (count, *first.shape)}
    # written, not mapped: a full disk is then an error instead of the end of the process
    with atomic_write(file) as temporary, temporary.open("wb") as content:
        np.lib.format.write_array_header_1_0(content, layout)
        for index in tqdm(range(count), desc=f"decode {what}s", unit="image", disable=None, leave=False):
            values = source.stored(what, index)
            check_stored(values, like=first, name=f"{source.name(index)}: {what}")
            content.write(np.ascontiguousarray(values).data)


def check_stored(values: np.ndarray | None, *, like: np.ndarray, name: str) -> None:
    """Raise InputError, beginning with ``name``, unless the image is there, finite, and like the set's first one."""
    if values is None:
        raise InputError(f"{name} is missing; the first sample has one")
    if values.shape != like.shape or values.dtype != like.dtype:
        raise InputError(
            f"{name}: expected {like.shape} {like.dtype} like the first sample, got {values.shape} {values.dtype}"
        )
    bad = 0 if values.dtype.kind != "f" else int((~np.isfinite(values)).sum())
    require(bad == 0, f"{name}: expected finite values, got {bad} NaN or infinite")
