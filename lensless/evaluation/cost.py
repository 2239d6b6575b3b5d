"""What a call costs: seconds and peak memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")
PROC = Path("/proc/self")
RESET_PEAK = "5"  # what proc(5) writes to clear_refs to forget the peak of the resident set


class Cost(NamedTuple):
    """seconds; bytes: how far the memory in use rose above what was in use before, None where it cannot be known."""

    seconds: float
    bytes: int | None


def measured(call: Callable[[], T], device: torch.device) -> tuple[T, Cost]:
    """What ``call`` returns, and its cost on ``device``: of the GPU's memory, or of this process (Linux)."""
    before = _reset(device)
    began = time.perf_counter()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    peak = _peak(device)
    return result, Cost(seconds, None if before is None or peak is None else max(peak - before, 0))


def _reset(device: torch.device) -> int | None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        (PROC / "clear_refs").write_text(RESET_PEAK)
    except OSError:  # not Linux, or not allowed in this container
        return None
    return _status("VmRSS")


def _peak(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM") if (PROC / "status").exists() else None


def _status(name: str) -> int | None:
    for line in (PROC / "status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    return None
