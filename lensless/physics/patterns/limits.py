"""What a map on a grid can hold."""

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.propagation import Grid


def require_positive(name: str, value: float | Tensor) -> None:
    """Raise InputError naming ``name`` unless every number in ``value`` is positive and finite."""
    values = torch.as_tensor(value, dtype=torch.float64)
    if not bool((torch.isfinite(values) & (values > 0)).all()):
        raise InputError(f"{name}: expected positive numbers, got {value}")


def require_feature(name: str, size: float, grid: Grid) -> None:
    """Raise InputError unless ``size`` (metres) is positive and spans at least two samples."""
    require_positive(name, size)
    pitch = max(grid.pitch)
    if size < 2 * pitch * (1 - 1e-9):
        raise InputError(
            f"{name}: {size:.3g} m is finer than a grid of pitch {pitch:.3g} m can hold; expected at least "
            f"{2 * pitch:.3g} m, or a grid of pitch {size / 2:.3g} m or less"
        )
