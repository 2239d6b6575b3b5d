"""The least-squares problem behind a mask's geometry: residuals, their derivatives, and its solution from near by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import least_squares
from torch import Tensor

from lensless.calibration.mask_model import Geometry, MaskModel, Placement

# What has two numbers, y and x, and what is fitted by its logarithm.
PAIRS = ("shift", "opening")
LENGTHS = ("distance", "source_distance", "scale", "opening")
# Differences for derivatives: relative for lengths, pixels at the sensor's edge for geometry.
RELATIVE, PIXELS = 1e-3, 0.02
# Steps of Levenberg-Marquardt, and the relative changes of misfit and parameters at which they end.
STEPS, MISFIT_TOLERANCE, TOLERANCE = 20, 1e-5, 1e-9


@dataclass(frozen=True, kw_only=True)
class Linear:
    """The best gains (N, C) and offsets (N, C) of model images; residual and centred model, (N, C, h, w)."""

    gains: Tensor
    offsets: Tensor
    residual: Tensor
    centred: Tensor


@dataclass(frozen=True)
class MaskProblem:
    """sum_n,c |psf_n,c - g_n,c model_n,c(geometry) - b_n,c|^2, gains and offsets in closed form (variable projection).

    Derivatives are central differences through the optics model in z and the opening, which cost a wave each, and in
    magnification, rotation and shift, which cost none; the chain rule takes them to distance, source and scale.

    measured: (N, C, h, w), float64. names: what is fitted, of the fields of Geometry. shared: one gain for all channels
    of a PSF. block: both sides are averaged over so many pixels a side.
    """

    measured: Tensor
    model: MaskModel
    names: Sequence[str]
    shared: bool
    block: int

    @property
    def numbers(self) -> list[str]:
        """Names of the entries of :meth:`vector`: logarithms of lengths, radians, pixels."""
        return [f"{name} {axis}".strip() for name in self.names for axis in ("yx" if name in PAIRS else [""])]

    def vector(self, geometry: Geometry) -> np.ndarray:
        """The fitted numbers of a geometry."""
        values = [np.atleast_1d(getattr(geometry, name)) for name in self.names]
        logs = [np.log(value) if name in LENGTHS else value for name, value in zip(self.names, values, strict=True)]
        return np.concatenate(logs)

    def geometry(self, vector: np.ndarray, like: Geometry) -> Geometry:
        """``like`` with the entries of ``vector``."""
        changes, rest = {}, vector.tolist()
        for name in self.names:
            count = 2 if name in PAIRS else 1
            entries, rest = rest[:count], rest[count:]
            entries = [math.exp(value) for value in entries] if name in LENGTHS else entries
            changes[name] = tuple(entries) if name in PAIRS else entries[0]
        return replace(like, **changes)

    def target(self) -> Tensor:
        """The measured images, averaged."""
        return F.avg_pool2d(self.measured, self.block)

    def image(self, placement: Placement) -> Tensor:
        """The model's images (N, C, h, w), averaged."""
        images = self.model.psf(placement)
        return F.avg_pool2d(images.reshape(self.measured.shape[0], -1, *images.shape[-2:]), self.block).double()

    def linear(self, geometry: Geometry) -> Linear:
        """Gains and offsets at a geometry, and what they leave."""
        images, target = self.image(geometry.placement), self.target()
        means, levels = images.mean((-2, -1), keepdim=True), target.mean((-2, -1), keepdim=True)
        centred, wanted = images - means, target - levels
        gains = (self.inner(wanted, centred) / self.inner(centred, centred).clamp_min(1e-30)).expand_as(levels)
        return Linear(
            gains=gains[..., 0, 0],
            offsets=(levels - gains * means)[..., 0, 0],
            residual=wanted - gains * centred,
            centred=centred,
        )

    def inner(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products over the pixels, and channels where they share a gain, of (..., N, C, h, w)."""
        return (a * b).sum((-3, -2, -1) if self.shared else (-2, -1), keepdim=True)

    def jacobian(self, geometry: Geometry) -> Tensor:
        """d residual / d vector, (numbers, pixels), less what gains and offsets take up.

        The gains' own change is left out: Kaufman's approximation, BIT 15, 1975, exact where the residual is 0.
        """
        linear = self.linear(geometry)
        images = self.derivatives(geometry)
        images = linear.gains[..., None, None] * (images - images.mean((-2, -1), keepdim=True))
        energy = self.inner(linear.centred, linear.centred).clamp_min(1e-30)
        return -(images - self.inner(images, linear.centred) / energy * linear.centred).flatten(1)

    def derivatives(self, geometry: Geometry) -> Tensor:
        """d model / d vector, (numbers, N, C, h, w)."""
        place = geometry.placement
        turn = PIXELS / (math.hypot(*self.model.shape[1:]) / 2)
        images = {}

        def difference(key: str, low, high, step: float) -> Tensor:
            return (self.image(replace(place, **{key: high})) - self.image(replace(place, **{key: low}))) / (2 * step)

        if {"distance", "source_distance", "scale"} & set(self.names):
            z, m = place.fresnel_distance, place.magnification
            by_z = difference("fresnel_distance", z * (1 - RELATIVE), z * (1 + RELATIVE), RELATIVE)
            by_m = difference("magnification", m * (1 - turn), m * (1 + turn), turn)
            share = 1 - 1 / (1 + geometry.distance / geometry.source_distance)
            images["distance"] = (1 - share) * by_z + share * by_m
            images["source_distance"] = share * (by_z - by_m)
            images["scale"] = by_m - 2 * by_z
        if "rotation" in self.names:
            images["rotation"] = difference("rotation", place.rotation - turn, place.rotation + turn, turn)
        for name, steps in (("shift", (PIXELS, PIXELS)), ("opening", np.multiply(place.opening or 0, RELATIVE))):
            if name in self.names:
                value = np.array(getattr(place, name))
                for axis, unit in zip("yx", np.eye(2), strict=True):
                    step = PIXELS if name == "shift" else RELATIVE
                    ends = (tuple((value + sign * unit * steps).tolist()) for sign in (-1, 1))
                    images[f"{name} {axis}"] = difference(name, *ends, step)
        return torch.stack([images[number] for number in self.numbers])

    def solve(self, start: Geometry) -> Geometry:
        """The best geometry near ``start``, by Levenberg-Marquardt."""

        def residual(vector: np.ndarray) -> np.ndarray:
            return self.linear(self.geometry(vector, start)).residual.flatten().numpy()

        def jacobian(vector: np.ndarray) -> np.ndarray:
            return self.jacobian(self.geometry(vector, start)).T.numpy()

        found = least_squares(
            residual,
            self.vector(start),
            jacobian,
            method="lm",
            x_scale="jac",
            max_nfev=STEPS,
            ftol=MISFIT_TOLERANCE,
            xtol=TOLERANCE,
        )
        return self.geometry(found.x, start)
