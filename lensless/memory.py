"""Freed memory that stays with the process."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let glibc use freed memory again instead of handing it back to the kernel (mallopt(3)); elsewhere nothing.

    Every large temporary otherwise comes in fresh pages that the kernel clears first: training on a CPU spends up to
    half of its time on that. The process then keeps its peak until it ends.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
