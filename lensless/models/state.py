"""State dicts: read from a torch file without running code, and loaded with one message for all that differs."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require

SHOWN = 4


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors that ``torch.save(module.state_dict(), path)`` wrote, on the CPU, by name.

    Raises InputError for a file that is missing, damaged, holds anything besides tensors (it is refused, not run)
    or holds NaN or infinite values.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"path: expected a file of weights, found nothing at {path}") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"path: expected nothing but tensors in {path}, found Python objects or no torch file; refused, no code "
            "of it was run"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise InputError(f"path: expected a torch file, {path} cannot be read ({error}); is it cut off?") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"path: expected tensors by name in {path}, got a {type(state).__name__} of something else")
    broken = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    require(not broken, f"path: expected finite weights in {path}, got NaN or infinite in {several(broken)}")
    return dict(state)


def load_state(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy ``state`` into ``module``. Raises InputError with what differs, grouped, and then copies nothing.

    source: where the tensors come from, for the message.
    """
    own = module.state_dict()
    groups = {
        "missing there": [name for name in own if name not in state],
        "unknown here": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ],
    }
    found = "; ".join(f"{len(names)} {what}: {several(names)}" for what, names in groups.items() if names)
    require(not found, f"weights: expected those of this {type(module).__name__} in {source}; {found}")
    module.load_state_dict(state)


def several(names: list[str]) -> str:
    """The first few names and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
