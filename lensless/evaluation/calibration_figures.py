"""Figures of calibrations: one page for what each action of `lensless calibrate` found."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lensless.evaluation.figures import as_picture, white_level
from lensless.images.gamma import linear_to_srgb

# Decades below the peak that a logarithmic picture shows.
DECADES = 4
COLOURS = {1: ["black"], 3: ["tab:red", "tab:green", "tab:blue"]}


def psf_figure(psf: Tensor, correlation: Tensor, title: str) -> Figure:
    """A PSF (C, H, W): its picture, the logarithm of its light, its autocorrelation and a section through it."""
    figure = Figure(figsize=(15, 4.4), layout="constrained")
    picture_axis, log_axis, correlation_axis, section_axis = figure.subplots(1, 4)
    picture = as_picture(psf)
    shown = linear_to_srgb((picture / white_level(picture)).clamp(0, 1))
    picture_axis.imshow(shown.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
    picture_axis.set_title("PSF", fontsize=10)
    gray = psf.mean(0)
    decades = torch.log10((gray / gray.max()).clamp_min(10.0**-DECADES))
    shown = log_axis.imshow(decades.numpy(), cmap="magma", vmin=-DECADES, vmax=0)
    figure.colorbar(shown, ax=log_axis, shrink=0.6, label="decades below the peak")
    log_axis.set_title("logarithm, mean of the channels", fontsize=10)
    height, width = gray.shape
    extent = (-width, width, height, -height)
    correlation_axis.imshow(correlation.clamp_min(0).sqrt().numpy(), cmap="magma", extent=extent)
    correlation_axis.set_title("square root of autocorrelation", fontsize=10)
    row = int(gray.sum(1).argmax())
    for channel, colour in zip(psf, COLOURS.get(len(psf), [None] * len(psf)), strict=True):
        section_axis.plot(channel[row].numpy() / float(psf.max()), color=colour, linewidth=0.8)
    section_axis.set_title(f"row {row}, relative to the peak", fontsize=10)
    section_axis.set_xlabel("column")
    figure.suptitle(title, fontsize=10)
    return figure


def linearity_figure(points: np.ndarray, law: tuple[float, float], transfer: np.ndarray, noise: np.ndarray) -> Figure:
    """Signal against integration with the fitted power law, and the photon transfer curve with the fitted line.

    points: (K, 3), integration, signal, group. law: exponent, offset of the lines. transfer: (M, 3), brightness,
    variance, pixels. noise: (2,), variance in the dark and its slope over brightness.
    """
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    response, photons = figure.subplots(1, 2)
    exponent, offset = law
    for group in np.unique(points[:, 2]):
        tau, signal, _ = points[points[:, 2] == group].T
        seen = signal > 0
        (dots,) = response.loglog(tau[seen], signal[seen], "o", markersize=3)
        above = np.maximum(signal - offset, 1e-9)
        scale = np.exp(np.mean(np.log(above[-1:]) - exponent * np.log(tau[-1:])))
        response.loglog(tau, scale * tau**exponent, color=dots.get_color(), linewidth=0.8)
    response.set_ylim(1e-4, 1.5)
    response.set_xlabel("exposure x gain / s")
    response.set_ylabel("signal / full scale")
    response.set_title(f"response of groups of pixels, exponent {exponent:.3f}", fontsize=10)
    photons.loglog(*transfer[transfer[:, 0] > 0, :2].T, ".", markersize=3, label="groups of pixels")
    if len(transfer):
        brightness = np.geomspace(1e-4, max(transfer[:, 0].max(), 1e-3), 100)
        photons.loglog(brightness, noise[0] + noise[1] * brightness, label="fitted line")
    photons.set_xlabel("signal x gain / full scale")
    photons.set_ylabel("variance / full scale^2")
    photons.set_title("photon transfer", fontsize=10)
    photons.legend(fontsize=8)
    for axis in (response, photons):
        axis.grid(alpha=0.3, which="both")
    return figure


def mask_fit_figure(measured: Tensor, model: Tensor, title: str) -> Figure:
    """A measured PSF (C, H, W), the fitted model of it, and what is left, on the measured one's scale."""
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    axes = figure.subplots(1, 3)
    level = white_level(as_picture(measured))
    for axis, image, name in zip(axes, (measured, model), ("measured", "model"), strict=False):
        shown = linear_to_srgb((as_picture(image) / level).clamp(0, 1))
        axis.imshow(shown.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=10)
    left = ((measured - model).mean(0) / level).numpy()
    shown = axes[2].imshow(left, cmap="RdBu_r", vmin=-0.3, vmax=0.3)
    figure.colorbar(shown, ax=axes[2], shrink=0.8)
    axes[2].set_title("measured - model, mean of the channels over white", fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def refine_figure(old: Tensor, new: Tensor, before: Tensor, after: Tensor, title: str) -> Figure:
    """Two PSFs (C, H, W), what the new one has more, and the errors (K,) of both on the measurements that judge."""
    figure = Figure(figsize=(16, 3.8), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[1.2, 1.2, 1.3, 1])
    level = white_level(as_picture(old))
    for axis, image, name in zip(axes, (old, new), ("old", "new"), strict=False):
        shown = linear_to_srgb((as_picture(image) / level).clamp(0, 1))
        axis.imshow(shown.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{name} PSF", fontsize=10)
    change = ((new - old).mean(0) / level).numpy()
    limit = float(np.percentile(np.abs(change), 99.9)) or 1.0
    figure.colorbar(axes[2].imshow(change, cmap="RdBu_r", vmin=-limit, vmax=limit), ax=axes[2], shrink=0.8)
    axes[2].set_title("new - old, over white", fontsize=10)
    most = 1.05 * float(torch.cat([before, after]).max())
    axes[3].plot(before.numpy(), after.numpy(), "o", markersize=4)
    axes[3].plot([0, most], [0, most], color="gray", linewidth=0.8)
    axes[3].set_xlim(0, most)
    axes[3].set_ylim(0, most)
    axes[3].set_aspect("equal")
    axes[3].set_xlabel("old error")
    axes[3].set_ylabel("new error")
    axes[3].set_title("held-out measurements", fontsize=10)
    axes[3].grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    return figure


def board_figure(estimate: Tensor, corners: np.ndarray, outline: np.ndarray) -> Figure:
    """A reconstruction (C, H, W) of a checkerboard with the corners found (K, 2) and the monitor's outline (5, 2)."""
    figure = Figure(figsize=(7, 5.4), layout="constrained")
    axis = figure.subplots()
    picture = as_picture(estimate)
    shown = linear_to_srgb((picture / white_level(picture)).clamp(0, 1))
    axis.imshow(shown.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
    axis.plot(*outline.T, color="tab:orange", linewidth=1.2, label="monitor")
    axis.plot(*corners.T, "+", color="tab:red", markersize=6, label="corners")
    axis.legend(fontsize=8)
    axis.set_xlim(-0.5, picture.shape[-1] - 0.5)
    axis.set_ylim(picture.shape[-2] - 0.5, -0.5)
    return figure
