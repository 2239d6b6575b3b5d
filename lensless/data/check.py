"""What may be wrong with a data set, found before training rather than after."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from lensless.data.cache import check_stored
from lensless.data.folder import sha256
from lensless.data.source import WHAT, Source
from lensless.errors import InputError

# share of a measurement's values at full scale from which on it counts as overexposed
SATURATED = 0.01
FULL = 0.999
# side of a scene's thumbnail in pixels, and the correlations from which on two thumbnails are worth a look at the
# pictures, and two pictures count as one
SIDE = 16
ALIKE = 0.95
SAME = 0.98


def check_files(root: Path | None, files: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the files of a data set. files: sha256 by path below ``root``."""
    for name, digest in tqdm(files.items(), desc="sha256", unit="file", disable=None, leave=False):
        path = Path(root or "") / name
        if not path.exists():
            yield f"{path}: no such file, though the card names it"
        elif sha256(path) != digest:
            yield f"{path}: another content than the card says (sha256)"


class ImageCheck:
    """One pass over all images of a source: what is wrong with them, and a thumbnail of every scene.

    ``problems`` lists images that cannot be read, are missing for some samples only, differ in size or type from the
    first, or are not finite; measurements that are overexposed; and even scenes. ``thumbnails``, (N, 256), have mean 0
    and norm 1, or are 0 where there is nothing to see.
    """

    def __init__(self, source: Source):
        self.problems: list[str] = []
        self.thumbnails = np.zeros((len(source), SIDE * SIDE), np.float32)
        firsts: dict[str, Any] = {}
        for index in tqdm(range(len(source)), desc="images", unit="sample", disable=None, leave=False):
            for what in WHAT:
                try:
                    values = source.stored(what, index)
                    first = firsts.setdefault(what, values)
                    if first is not None:
                        check_stored(values, like=first, name=f"{source.name(index)}: {what}")
                        self._look(source, what, index, values)
                except InputError as error:
                    self.problems.append(str(error))

    def _look(self, source: Source, what: str, index: int, values: np.ndarray) -> None:
        light = source.encodings[what].light(values)
        if what == "measurement":
            share = float((light >= FULL).float().mean())
            if share > SATURATED:
                self.problems.append(f"{source.name(index)}: {share:.0%} of the measurement is at full scale")
        elif what == "scene":
            small = cv2.resize(light.mean(0).numpy(), (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
            small = small - small.mean()
            norm = float(np.linalg.norm(small))
            if norm > 1e-4:
                self.thumbnails[index] = small / norm
            else:
                self.problems.append(f"{source.name(index)}: the scene is even, there is nothing in it to learn from")


def check_duplicates(source: Source, splits: Mapping[str, np.ndarray], thumbnails: np.ndarray) -> Iterator[str]:
    """Scenes that are in two splits, by their thumbnails and, where these agree, by all of their pixels."""
    for (one, first), (other, second) in combinations(splits.items(), 2):
        for index in second:
            for twin in first[thumbnails[first] @ thumbnails[index] > ALIKE]:
                a, b = (source.light("scene", int(i)).flatten() for i in (index, twin))
                if a.shape == b.shape and float(np.corrcoef(a, b)[0, 1]) > SAME:
                    yield (
                        f"{source.name(int(index))} of {other} shows the scene of {source.name(int(twin))} of {one}; "
                        f"a score on {other} would be too good"
                    )
