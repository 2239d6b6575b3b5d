"""Figures for people: pictures scaled for a display, and one page a reconstruction."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lensless.errors import InputError
from lensless.images.gamma import linear_to_srgb


def as_picture(image: Tensor) -> Tensor:
    """(1 or 3, H, W) to look at: the brightest of planes (D, C, H, W), the mean of channels that are no colours."""
    if image.ndim == 4:
        image = image.amax(0)
    return image if image.shape[0] in (1, 3) else image.mean(0, keepdim=True)


def white_level(picture: Tensor, percentile: float = 99.9) -> float:
    """The value to show as white: a percentile, for a few hot pixels must not darken the picture; 1 if not positive.

    Raises InputError unless the percentile is above 0 and at most 100.
    """
    if not 0 < percentile <= 100:
        raise InputError(f"white: expected a percentile above 0, at most 100, got {percentile}")
    level = float(np.percentile(picture.numpy(), percentile))
    return level if level > 0 else 1.0


def reconstruction_figure(panels: dict[str, Tensor], history: dict[str, list[float]]) -> Figure:
    """One row: every panel {title: linear image (C, H, W)}, and the convergence where there is a history."""
    curves = bool(history)
    ratios = [image.shape[-1] / image.shape[-2] for image in panels.values()] + [1.3] * curves
    figure = Figure(figsize=(3.2 * sum(ratios) + 0.8 * curves, 3.6), layout="constrained")
    axes = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    for axis, (title, image) in zip(axes, panels.items(), strict=False):
        picture = as_picture(image)
        shown = linear_to_srgb((picture / white_level(picture)).clamp(0, 1))
        axis.imshow(shown.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    if curves:
        _convergence(axes[-1], history)
    return figure


def _convergence(axis, history: dict[str, list[float]]) -> None:
    first = history["objective"][0] or 1.0
    axis.semilogy(history["iteration"], [value / first for value in history["objective"]], label="objective / first")
    axis.semilogy(history["iteration"], history["residual"], label="misfit ||Ax - y|| / ||y||")
    axis.set_title("convergence", fontsize=10)
    axis.set_xlabel("iteration")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)
