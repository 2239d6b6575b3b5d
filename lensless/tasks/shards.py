"""Work for several processes that know nothing of each other: each takes every N-th piece."""

import re
from collections.abc import Sequence
from typing import TypeVar

from lensless.errors import InputError

T = TypeVar("T")


def of_shard(pieces: Sequence[T], which: str) -> Sequence[T]:
    """Pieces K, K + N, K + 2 N, ... for "K/N". Raises InputError unless 0 <= K < N."""
    match = re.fullmatch(r"(\d+)/(\d+)", which)
    if match is None or not int(match[1]) < int(match[2]):
        raise InputError(f"shard: expected K/N with 0 <= K < N, such as 0/2 and 1/2, got {which!r}")
    return pieces[int(match[1]) :: int(match[2])]
