"""What a reconstruction gets wrong, split into three terms: by the formula, and as the solvers measure it.

The true camera H is not the calibrated one, H^ = H + D: what is measured is y = H x + n = H^ x + e with e = n - D x. A
linear reconstruction R for H^ errs by

    R y - x = (R H^ - I) x  -  R D x  +  R n         bias, mismatch, noise

    Wiener            R = (H^* H^ + k max|H^|^2)^-1 H^*
    K gradient steps  R = sum_{j<K} (I - a H^* H^)^j a H^*        from 0, a = 1 / (1.01 ||H^||^2), without positivity

The lines are the formula (`lensless/evaluation/theory.py`), the dots what `lensless.recon` makes of simulated
measurements. On a periodic grid everything is one number a frequency. On a sensor the convolution is cropped: Wiener
then fades the border out and gradient descent solves for the whole field, both of which the formula has too. Bias and
mismatch are correlated, so that the whole error is the three terms and twice the mean of these two's product.

Regularisation (a large k, few steps) trades noise and mismatch for bias. A wrong PSF sets a floor that no
signal-to-noise ratio lowers: D x is noise that the scene makes.

The last panels say why a processor before the inversion and one after it do different work. Both look at the
surroundings of a pixel. Before the inversion the error e of a pixel is in that pixel, while a point of the scene is all
over the sensor; after it the error is all over the picture, while the bias of a point is around the point. So e is best
removed before, and bias after. (Linear shift-invariant processors commute with an R that is shift-invariant: for them
it would not matter.)

    python examples/theory.py [FILE]      a minute; docs/theory.png by default, and a table of the best parameters
"""

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lensless.data.mismatch import PSFError
from lensless.evaluation.theory import (
    Formula,
    GradientFormula,
    MeanSquares,
    PeriodicCamera,
    WienerFormula,
    measure,
    predict,
    predict_periodic,
    shot_variance,
)
from lensless.images.gamma import srgb_to_linear
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.noise import add_noise_at_snr
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system
from lensless.recon.base import Reconstructor
from lensless.recon.gradient import GradientDescent
from lensless.recon.prox import Unconstrained
from lensless.recon.wiener import Wiener

K = np.geomspace(1e-5, 1, 11)  # of Wiener, in units of max|H^|^2
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SNRS = (10.0, 40.0)  # dB of shot noise
ERRORS = {"noisy PSF (10 dB)": PSFError(snr_db=10.0), "turned PSF (0.1 rad)": PSFError(rotation=0.1)}
DRAWS = 16  # measurements of one scene, for the measured noise
COLOURS = {"bias": "C0", "mismatch": "C1", "noise": "C2", "total": "k"}


@dataclass(frozen=True)
class Kind:
    """One way to go on at the sensor's border: the camera that does it, its formula, and how coarse the sensor is."""

    name: str
    camera: Callable[[Tensor], LenslessConvolution]
    predict: Callable[..., MeanSquares]
    binning: int


KINDS = (
    Kind("periodic grid, 36 x 48", PeriodicCamera, predict_periodic, 1),
    Kind("cropped sensor, 18 x 24", LenslessConvolution, predict, 2),
)


@dataclass(frozen=True)
class Method:
    """A family of reconstructions: the axis of its parameter, and for each value the formula and the solver."""

    name: str
    axis: str
    values: Sequence[float]
    formula: Callable[[LenslessConvolution, float], Formula]
    solver: Callable[[float], Reconstructor]


METHODS = (
    Method("Wiener", "k", K, lambda believed, k: WienerFormula(believed, k=k), Wiener),
    Method(
        "gradient descent",
        "steps K",
        STEPS,
        lambda believed, steps: GradientFormula(believed, steps=steps),
        lambda steps: GradientDescent(steps, regulariser=Unconstrained()),
    ),
)


@functools.cache
def tape(binning: int) -> Tensor:
    """The gray PSF (1, h, w) of the simulated tape camera at 36 x 48 pixels, or ``binning`` times fewer each way."""
    psf = get_system("tape", size="tiny").psf.double().mean(0, keepdim=True)
    return F.avg_pool2d(psf, binning) * binning**2


def photograph(shape: tuple[int, int]) -> Tensor:
    """scikit-image's coffee cup, linear and gray, (1, 1, h, w)."""
    picture = srgb_to_linear(torch.from_numpy(skimage.data.coffee()) / 255).double().mean(-1)
    return F.interpolate(picture[None, None], shape, mode="area")


def calibrated(psf: Tensor, error: PSFError) -> Tensor:
    """The PSF as a calibration with this error has it, which sums to 1 again."""
    wrong = error(psf, sample_generator(0, 0))
    return wrong / wrong.sum()


Curves = dict[str, list[MeanSquares]]


def curves(kind: Kind, method: Method, error: PSFError, snr_db: float) -> Curves:
    """What is "predicted" by the formula and "measured" of the solvers, at each value of the method's parameter."""
    psf = tape(kind.binning)
    true, believed = kind.camera(psf), kind.camera(calibrated(psf, error))
    scene = photograph(tuple(psf.shape[-2:]))
    clean = true(scene)
    noise = add_noise_at_snr(clean.expand(DRAWS, -1, -1, -1), snr_db, sample_generator(0, 1)) - clean
    variance = shot_variance(clean, snr_db)
    found: Curves = {"predicted": [], "measured": []}
    for value in method.values:
        formula, solver = method.formula(believed, value), method.solver(value)
        found["predicted"].append(kind.predict(formula, true, scene=scene, variance=variance))
        terms = measure(solver, believed, true, scene=scene, noise=noise)
        found["measured"].append(terms.mean_squares())
    return found


def share_within(image: Tensor) -> np.ndarray:
    """The share of an image's (h, w) energy within 0, 1, 2, ... pixels of its centre."""
    rows, columns = (np.arange(n) - n // 2 for n in image.shape)
    distance = np.hypot.outer(rows, columns).ravel()
    rings = np.bincount(np.ceil(distance).astype(int), weights=image.square().numpy().ravel())
    return rings.cumsum() / rings.sum()


def locality(method: Method, value: float) -> dict[str, np.ndarray]:
    """:func:`share_within` of what one point of the scene and one pixel's error cause before and after inversion."""
    psf = tape(1)
    camera = PeriodicCamera(psf)
    point = torch.zeros(1, *psf.shape, dtype=psf.dtype)
    point[..., psf.shape[-2] // 2, psf.shape[-1] // 2] = 1
    formula = method.formula(camera, value)
    images = {
        "error of a pixel, before": point,
        "error of a pixel, after": formula.spread(point),
        "point of the scene, before": camera(point),
        "bias of a point, after": formula.bias(point),
    }
    return {name: share_within(image[0, 0]) for name, image in images.items()}


def table(found: dict[tuple[str, ...], tuple[Method, Curves]]) -> str:
    """The terms where the whole error is least."""
    headings = ["method", "camera", "PSF", "SNR / dB", "best", "bias", "mismatch", "noise", "2 bias mismatch", "total"]
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for names, (method, one) in found.items():
        place = int(np.argmin([squares.total for squares in one["predicted"]]))
        squares = one["predicted"][place]
        terms = (squares.bias, squares.mismatch, squares.noise, squares.cross, squares.total)
        cells = [*names, f"{method.axis} = {method.values[place]:.3g}", *(f"{term:.5f}" for term in terms)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_curves(axis: Axes, method: Method, found: Curves) -> None:
    for name, colour in COLOURS.items():
        predicted, measured = ([getattr(one, name) for one in found[way]] for way in ("predicted", "measured"))
        axis.loglog(method.values, predicted, color=colour, label=name, lw=1.8 if name == "total" else 1.2)
        axis.loglog(method.values, measured, "o", color=colour, ms=3.5)
    axis.set_xlabel(method.axis)
    axis.grid(alpha=0.25)


def draw_locality(axis: Axes, method: Method, value: float) -> None:
    for name, share in locality(method, value).items():
        stage = "-" if name.endswith("after") else ":"
        axis.plot(share, stage, color="C3" if name.startswith("error") else "C0", label=name)
    axis.set_title(f"{method.name}, {method.axis} = {value:g}: energy within a radius", fontsize=10)
    axis.set_xlabel("radius / pixels")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, loc="lower right")


def figure(found: dict[tuple[str, ...], tuple[Method, Curves]]) -> Figure:
    """A row for each method on each kind of camera and a column for each calibration and noise; locality below."""
    page = Figure(figsize=(13, 14), layout="constrained")
    above, below = page.subfigures(2, 1, height_ratios=(4, 1.1))
    columns = len(ERRORS) * len(SNRS)
    axes = above.subplots(len(found) // columns, columns, sharey="row", squeeze=False)
    for place, ((method_name, kind, error, snr_db), (method, one)) in enumerate(found.items()):
        axis = axes.flat[place]
        draw_curves(axis, method, one)
        axis.set_ylim(bottom=1e-6)
        if place < columns:
            axis.set_title(f"{error}, {snr_db} dB", fontsize=10)
        if place % columns == 0:
            axis.set_ylabel(f"{method_name}\n{kind}\nmean square error")
    lines, names = axes.flat[0].get_legend_handles_labels()
    title = "lines: the formula, dots: measured"
    above.legend(lines, names, loc="outside upper center", ncols=len(names), title=title, frameon=False)
    for axis, method, value in zip(below.subplots(1, 2, sharey=True), METHODS, (1e-3, 64), strict=True):
        draw_locality(axis, method, value)
    return page


def main() -> None:
    found = {
        (method.name, kind.name, label, f"{snr_db:g}"): (method, curves(kind, method, error, snr_db))
        for method in METHODS
        for kind in KINDS
        for label, error in ERRORS.items()
        for snr_db in SNRS
    }
    print(table(found))
    figure(found).savefig(sys.argv[1] if len(sys.argv) > 1 else "docs/theory.png", dpi=75)


if __name__ == "__main__":
    main()
