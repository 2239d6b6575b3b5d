"""Which samples are for training, validation and testing."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lensless.data.source import Source
from lensless.errors import InputError, require

# of the scenes of a training split, where the card names no validation split
VALIDATION_SHARE = 0.05


def split_indices(rules: Mapping[str, Any], source: Source) -> dict[str, np.ndarray]:
    """Numbers of the samples of every split.

    rules: what a card says, by split; without any, the source's own splits, or all of it as "train".
      {rows: N}      the source's own split of that name, which has N samples (null: any number)
      {masks: [a, b]} samples through the masks a to b, both included
      {share: s}     a share s of the scenes, chosen by a hash of their names: the same at any time and place
    "validation" is {share: 0.05} of "train" where nothing names it. A share is taken from what no other rule claims.
    Raises InputError on another rule, a split that the source lacks, another number of rows, or overlapping splits.
    """
    rules = dict(rules) or {name: {"rows": None} for name in source.splits} or {"train": {"share": 1.0}}
    found = {name: _claim(name, rule, source) for name, rule in rules.items() if "share" not in rule}
    free = np.setdiff1d(np.arange(len(source)), np.concatenate([*found.values(), np.empty(0, np.int64)]))
    for name, rule in rules.items():
        if "share" in rule:
            found[name], free = _share(name, rule["share"], free, source.groups)
    if "validation" not in found and len(found.get("train", ())) > 1:
        found["validation"], found["train"] = _share("validation", VALIDATION_SHARE, found["train"], source.groups)
    claimed = np.concatenate(list(found.values()))
    shared = len(claimed) - len(np.unique(claimed))
    require(shared == 0, f"splits: expected no sample in two splits, got {shared} in two of {', '.join(found)}")
    return found


def _claim(name: str, rule: Mapping[str, Any], source: Source) -> np.ndarray:
    if set(rule) == {"masks"}:
        first, last = rule["masks"]
        return np.flatnonzero((source.labels >= first) & (source.labels <= last))
    if set(rule) == {"rows"}:
        if name not in source.splits:
            known = ", ".join(source.splits) or "none"
            raise InputError(f"splits: {name!r} is not among the splits of the data: {known}")
        rows = source.splits[name]
        require(
            rule["rows"] in (None, len(rows)),
            f"splits: expected {rule['rows']} samples in {name}, got {len(rows)}; is the data set complete?",
        )
        return rows
    raise InputError(f"splits: expected rows, masks or share for {name}, got {dict(rule)}")


def _share(name: str, share: float, free: np.ndarray, groups: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(the share's samples, the rest) of ``free``, by whole groups; each at least one group unless the share is 1."""
    require(0 < share <= 1, f"splits: expected a share in (0, 1] for {name}, got {share}")
    names = sorted({groups[index] for index in free}, key=lambda group: hashlib.sha256(group.encode()).digest())
    count = math.ceil(share * len(names))
    chosen = set(names[: count if share == 1 else min(count, len(names) - 1)])
    taken = np.array([groups[index] in chosen for index in free], bool)
    return free[taken], free[~taken]
