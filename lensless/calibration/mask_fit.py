"""Where a mask is, from the PSFs that it makes: a fit of the optics model to measured light.

Distance d, source distance s and scale act through two numbers alone: the size of the pattern, m = (1 + d / s) scale,
and the distance z = d / (m scale) that diffraction sees. In geometrical optics z has no effect at all; diffraction
tells it, by the width sqrt(lambda z) of what it blurs. So two of the three can be fitted, not all.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lensless.calibration.mask_model import Geometry, MaskModel
from lensless.calibration.mask_problem import LENGTHS, MaskProblem
from lensless.errors import check_name, require

SIZES = ("distance", "source_distance", "scale")
FITTED = (*SIZES, "rotation", "shift", "opening", "gains")
# Least side in pixels of what the rough search looks at, and the blocks of pixels that it averages at most.
ROUGH_SIDE, MOST_BLOCK = 48, 16
# Distances tried in the rough search.
DISTANCES = 5
# Correlation of two parameters from which they are said not to be told apart, and the error from which a fit is poor.
COUPLED, POOR = 0.98, 0.5
# How much better mirrored PSFs have to correlate: another pattern does by up to 1.15.
MIRRORED = 1.5
FLIPS = {"vertical": (-2,), "horizontal": (-1,), "both": (-2, -1)}


@dataclass(frozen=True, kw_only=True)
class Search:
    """How far from the start the rough search goes, either way; shifts are found wherever they are.

    distance: relative. rotation: radians. scale: relative, of the pattern's size on the sensor.
    """

    distance: float = 0.3
    rotation: float = math.radians(6)
    scale: float = 0.01


@dataclass(frozen=True, kw_only=True)
class MaskFit:
    """A fitted geometry and how good it is.

    sigma: standard deviation of every number fitted, by name ("shift y", ...), from (J^T J)^-1 and the residual's
    variance; it knows of noise and not of what the model lacks. correlation: of these numbers, in their order. gains:
    (N, C) of every PSF over the model's light, the mean 1, and offsets: (N, C), light that the model has not, over the
    PSF's mean. error: |measured - model| / |measured - its mean|, all channels together. psf: (N, C, h, w), the fitted
    model in the units of the measured one.
    """

    geometry: Geometry
    sigma: dict[str, float]
    correlation: np.ndarray
    gains: Tensor
    offsets: Tensor
    error: float
    psf: Tensor

    def coupled(self) -> list[str]:
        """Pairs of numbers that these PSFs do not tell apart, as "distance and scale"."""
        pairs = itertools.combinations(enumerate(self.sigma), 2)
        return [f"{a} and {b}" for (i, a), (j, b) in pairs if abs(self.correlation[i, j]) > COUPLED]

    def problems(self) -> list[str]:
        """What is wrong and what to do, a sentence each; empty for a good fit."""
        found = []
        if self.error > POOR:
            found.append(
                f"the model leaves {self.error:.0%} of the PSF unexplained: is it this mask, with this pattern and "
                "these cells, and do the starts of distance and rotation lie within the search?"
            )
        found += [f"{pair} cannot be told apart by these PSFs: fit one of them" for pair in self.coupled()]
        return found


def fit_mask(
    measured: Tensor,
    model: MaskModel,
    *,
    start: Geometry,
    fit: Sequence[str] = ("distance", "rotation", "shift", "gains"),
    search: Search | None = None,
) -> MaskFit:
    """The geometry that explains measured PSFs best in least squares (:class:`MaskProblem`).

    First the best correlation over all shifts for rotations, sizes and distances about ``start``, on blocks of pixels;
    from there Levenberg-Marquardt on these, on smaller ones, and on pixels. Without "gains" in ``fit`` one gain serves
    all channels of a PSF.

    measured: (N, C, h, w), one PSF for each of the mask's patterns. start: where to look, and the value of what is not
    fitted. fit: of FITTED; of distance, source_distance and scale two at most. search: None for its defaults.
    Raises InputError on other names or shapes.
    """
    start = _checked(measured, model, start, fit)
    scale = float(measured.double().abs().mean())
    problem = _problem(measured.double() / scale, model, fit)
    geometry = problem.solve(rough_search(problem, start, search or Search())[0])
    while problem.block > 1:
        problem = replace(problem, block=problem.block // 2)
        geometry = problem.solve(geometry)
    return _described(problem, geometry, scale)


def best_flip(
    measured: Tensor, model: MaskModel, *, start: Geometry, fit: Sequence[str], search: Search | None = None
) -> str:
    """"none", or the mirroring of the PSFs under which the rough search finds them far better correlated.

    Arguments as for :func:`fit_mask`.
    """
    likeness = {
        axes: rough_search(_problem(measured.double().flip(dims), model, fit), start, search or Search())[1]
        for axes, dims in {"none": (), **FLIPS}.items()
    }
    best = max(likeness, key=likeness.get)
    return best if likeness[best] > MIRRORED * likeness["none"] else "none"


def rough_search(problem: MaskProblem, start: Geometry, search: Search) -> tuple[Geometry, float]:
    """The place about ``start`` where averaged PSFs, shifted to anywhere, correlate best; and that correlation."""
    target = problem.target()
    target = target - target.mean((-2, -1), keepdim=True)
    size = tuple(target.shape[-2:])
    spectrum = torch.fft.rfft2(target)
    pixel = 2 / math.hypot(*size)  # radians, and share of the size, that move the edge by a pixel
    sized = any(name in problem.names for name in SIZES)
    reach = search.distance if sized else 0.0
    best, found = -math.inf, start
    for nearer, size_change, turn in itertools.product(
        np.geomspace(1 / (1 + reach), 1 + reach, DISTANCES if reach else 1).tolist(),
        _steps(search.scale if sized else 0.0, pixel),
        _steps(search.rotation if "rotation" in problem.names else 0.0, pixel),
    ):
        place = _changed(start, problem.names, nearer=nearer, size=1 + size_change, turn=turn)
        image = problem.image(place.placement)
        image = image - image.mean((-2, -1), keepdim=True)
        match = torch.fft.irfft2((spectrum * torch.fft.rfft2(image).conj()).sum((0, 1)), s=size) / image.norm()
        match = match if "shift" in problem.names else match[:1, :1]
        if float(match.max()) > best:
            best = float(match.max())
            top = divmod(int(match.argmax()), match.shape[1])
            moved = [problem.block * (k if k <= n // 2 else k - n) for k, n in zip(top, size, strict=True)]
            found = replace(place, shift=tuple(s + m for s, m in zip(start.shift, moved, strict=True)))
    return found, best / float(target.norm())


def _problem(measured: Tensor, model: MaskModel, fit: Sequence[str]) -> MaskProblem:
    return MaskProblem(
        measured,
        model,
        names=[name for name in FITTED if name in fit and name != "gains"],
        shared="gains" not in fit,
        block=min(max(min(model.shape[1:]) // ROUGH_SIDE, 1), MOST_BLOCK),
    )


def _checked(measured: Tensor, model: MaskModel, start: Geometry, fit: Sequence[str]) -> Geometry:
    """``start`` with the stated opening where that is fitted. Raises InputError on what cannot be fitted."""
    for name in fit:
        check_name("fit", name, list(FITTED))
    require(bool(set(fit) - {"gains"}), f"fit: expected at least one of {', '.join(FITTED[:-1])}, got {list(fit)}")
    require(
        not set(SIZES) <= set(fit),
        "fit: distance, source_distance and scale act through two numbers alone, so only two of them can be fitted; "
        "measure one and leave it out",
    )
    require(
        "source_distance" not in fit or start.source_distance < math.inf,
        "source_distance: expected metres to start from, got infinity; leave it out of fit for light from afar",
    )
    if "opening" in fit and start.opening is None:
        start = replace(start, opening=model.stated_opening)
    expected = tuple(model.psf(start.placement).reshape(-1, *model.shape).shape)
    require(
        tuple(measured.shape) == expected,
        f"measured: expected PSFs (patterns, channels, h, w) = {expected}, got {tuple(measured.shape)}",
    )
    return start


def _changed(start: Geometry, names: Sequence[str], *, nearer: float, size: float, turn: float) -> Geometry:
    """``start`` at another distance, turned, and with its pattern larger by scale, or else by source distance."""
    changes = {"rotation": start.rotation + turn}
    if "distance" in names:
        changes["distance"] = start.distance * nearer
    if "scale" in names:
        changes["scale"] = start.scale * size
    elif "source_distance" in names:
        distance = changes.get("distance", start.distance)
        changes["source_distance"] = distance / max((1 + distance / start.source_distance) * size - 1, 1e-6)
    return replace(start, **changes)


def _described(problem: MaskProblem, geometry: Geometry, scale: float) -> MaskFit:
    """``scale``: what the measured PSFs were divided by."""
    linear = problem.linear(geometry)
    jacobian = problem.jacobian(geometry).numpy()
    linear_numbers = (1 if problem.shared else linear.gains.shape[1]) * len(linear.gains) + linear.offsets.numel()
    freedom = linear.residual.numel() - len(jacobian) - linear_numbers
    variance = float(linear.residual.square().sum()) / freedom
    covariance = variance * np.linalg.pinv(jacobian @ jacobian.T, hermitian=True)
    deviation = np.sqrt(np.diag(covariance))
    units = [np.atleast_1d(getattr(geometry, name) if name in LENGTHS else np.ones(2 if name == "shift" else 1))
             for name in problem.names]  # fmt: skip
    image = problem.image(geometry.placement)
    gains, offsets = linear.gains[..., None, None], linear.offsets[..., None, None]
    return MaskFit(
        geometry=geometry,
        sigma=dict(zip(problem.numbers, (deviation * np.concatenate(units)).tolist(), strict=True)),
        correlation=covariance / np.outer(deviation, deviation),
        gains=linear.gains / linear.gains.mean(),
        offsets=linear.offsets,
        error=float(linear.residual.norm() / (linear.residual + gains * linear.centred).norm()),
        psf=(scale * (gains * image + offsets)).float(),
    )


def _steps(reach: float, step: float) -> list[float]:
    """From -reach to reach by at most ``step``, 0 among them."""
    count = math.ceil(reach / step)
    return np.linspace(-reach, reach, 2 * count + 1).tolist() if count else [0.0]
