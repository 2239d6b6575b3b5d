"""Whether counts are light: response, black level and photon transfer from one still scene at several exposures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from lensless.calibration.darks import Darks
from lensless.calibration.frame import RawFrame, around, check_alike
from lensless.calibration.noise_model import NoiseModel, fit_noise, pairs
from lensless.calibration.point_source import dark_subtracted
from lensless.errors import require

# Groups of pixels of like brightness, whose means are followed from frame to frame, and the share of one that may clip.
GROUPS, MOST_CLIPPED = 30, 1e-3
# Signals, in shares of full scale, from which the exponent is told: black levels and noise matter less there.
LEAST_SIGNAL = 0.02
# How well lamps and shutters are known, relative; weights of the fit stop there.
STEADY = 2e-3
# A plateau below full scale: its least share of the pixels, and how flat it is.
PLATEAU, FLAT = 0.01, 0.01
# Where a camera stops being linear; each with its reason in `problems`.
MOST_BEND = 0.1
LEAST_EXPONENT = 0.2
MOST_SCATTER = 0.05
MOST_NONLINEARITY = 0.02
MOST_BLACK_ERROR = 2e-3


@dataclass(frozen=True, kw_only=True)
class Linearity:
    """What a bracket of a still scene says about a camera.

    points: (K, 3), integration tau = exposure * gain (seconds), mean signal (shares of full scale above the stated
    black level) and number of the group of pixels. exponent: gamma of signal = A_group tau^gamma, 1 for a linear
    camera. scatter: relative root mean square deviation from that law. offset: signal at tau = 0 of the straight lines
    offset + k_group tau, and black_level, the counts that it stands for. nonlinearity: largest deviation from these
    lines over the largest signal. noise: of a frame, None where the frames cannot tell. ceiling: counts at which
    pixels clip. bits, stated_black, frames, full_range: as the records say, full_range in counts above black level.
    """

    points: np.ndarray
    exponent: float
    scatter: float
    offset: float
    black_level: float
    nonlinearity: float
    noise: NoiseModel | None
    ceiling: float
    bits: int
    stated_black: float
    frames: int | None
    full_range: float

    @property
    def electrons_per_count(self) -> float | None:
        """At gain 1; of an average of n frames n times that of a frame, which is undone where n is known."""
        if self.noise is None or self.noise.shot <= 0:
            return None
        return 1 / (self.noise.shot * self.full_range * (self.frames or 1))

    @property
    def read_noise(self) -> float | None:
        """Electrons at gain 1, rounding to counts included, of one frame where the number averaged is known."""
        if self.electrons_per_count is None:
            return None
        return self.noise.read * self.full_range * self.electrons_per_count * (self.frames or 1) ** 0.5

    def problems(self) -> list[str]:
        """What is wrong and what to do, a sentence each; empty for a linear camera."""
        if self.exponent < LEAST_EXPONENT or self.scatter > MOST_SCATTER:
            return [
                f"the signal does not follow the exposure (exponent {self.exponent:.2f}, scatter {self.scatter:.1%}): "
                "automatic exposure or gain is on, or the light flickers; switch the first off, steady the second"
            ]
        bent = abs(self.exponent - 1) > MOST_BEND
        findings = [
            (
                bent,
                f"the signal grows as exposure^{self.exponent:.2f}: gamma or a tone curve is on, or the frames are not "
                "raw; linear light needs them off",
            ),
            (
                self.ceiling < 0.98 * (2**self.bits - 1),
                f"pixels clip at {self.ceiling:.0f} counts, below the {2**self.bits - 1} of {self.bits} bits: state "
                "fewer bits, or expose so that less than that is reached",
            ),
            (
                not bent and self.nonlinearity > MOST_NONLINEARITY,
                f"the response bends by {self.nonlinearity:.1%} of the largest signal: expose less, or correct it",
            ),
            (
                not bent and abs(self.offset) > MOST_BLACK_ERROR,
                f"the black level is {self.black_level:.1f} counts, the records say {self.stated_black:g}: set it so",
            ),
        ]
        return [problem for holds, problem in findings if holds]

    def verdict(self) -> str:
        """"good", or all that is wrong."""
        return "; ".join(self.problems()) or "good"


def measure_linearity(frames: Sequence[RawFrame], darks: Darks | None = None) -> Linearity:
    """Follow the means of groups of like pixels through frames of a still scene, and fit

        log(signal - o) = log A_group + gamma log tau      signal = offset + k_group tau,     tau = exposure * gain

    by least squares over the groups of which nothing clips, the line weighted by the signal's relative error.

    frames: raw, in any order. Raises InputError unless they have three exposures or more, one size, and enough light
    that does not clip.
    """
    check_alike(frames)
    steps = sorted({round(float(np.log2(frame.integration)), 2) for frame in frames})
    require(len(steps) >= 3, f"frames: expected 3 different exposures or more, got {len(steps)}; take a bracket")
    require(len({frame.bits for frame in frames}) == 1, "frames: expected one number of bits, got several")
    first = frames[0]
    ceiling = _ceiling(frames)
    signals, _ = dark_subtracted(frames, darks)
    clipped = [frame.counts >= 0.98 * ceiling for frame in frames]
    points = _points(frames, signals, clipped)
    bright = points[:, 1] > LEAST_SIGNAL
    seen = {group: np.unique(points[bright & (points[:, 2] == group), 0]) for group in np.unique(points[:, 2])}
    told = [group for group, exposures in seen.items() if len(exposures) > 1]
    require(
        bool(told),
        f"frames: nothing is above {LEAST_SIGNAL:.0%} of full scale and unclipped in two exposures; add light or time",
    )
    exponent, scatter = _power_law(points[bright & np.isin(points[:, 2], told)])
    offset, nonlinearity = _lines(points)
    full_range = first.full_scale - first.black_level
    # what clips below full scale is no noise either
    marked = [replace(f, counts=torch.where(c, f.full_scale, f.counts)) for f, c in zip(frames, clipped, strict=True)]
    return Linearity(
        points=points,
        exponent=exponent,
        scatter=scatter,
        offset=offset,
        black_level=first.black_level + offset * full_range,
        nonlinearity=nonlinearity,
        noise=fit_noise(pairs(marked, signals)),
        ceiling=ceiling,
        bits=first.bits,
        stated_black=first.black_level,
        frames=first.frames,
        full_range=full_range,
    )


def _ceiling(frames: Sequence[RawFrame]) -> float:
    """The count at which pixels clip: full scale, or a lower one that over 1 % of a frame's pixels share."""
    most = max(int(frame.counts.max()) for frame in frames)
    full_scale = frames[0].full_scale
    share = max(float((frame.counts >= (1 - FLAT) * most).float().mean()) for frame in frames)
    flat = max(float((frame.counts == most).float().mean()) for frame in frames)
    plateau = share > PLATEAU and flat > share / 4
    return float(most if plateau and most < 0.98 * full_scale else full_scale)


def _points(frames: Sequence[RawFrame], signals: Sequence[Tensor], clipped: Sequence[Tensor]) -> np.ndarray:
    """(K, 3) integration, mean signal and group, for each frame and each group of pixels that it does not clip."""
    middle = sorted(range(len(frames)), key=lambda k: frames[k].integration)[len(frames) // 2]
    order = (sum(around(signals[middle], frames[middle].bayer)) / 8).flatten().argsort()
    rows = []
    for number, group in enumerate(order.chunk(min(GROUPS, len(order)))):
        for frame, signal, lost in zip(frames, signals, clipped, strict=True):
            if float(lost.flatten()[group].float().mean()) <= MOST_CLIPPED:
                rows.append((frame.integration, float(signal.flatten()[group].double().mean()), number))
    return np.array(rows).reshape(-1, 3)


def _power_law(points: np.ndarray) -> tuple[float, float]:
    """gamma, and the root mean square of log(signal - offset) about its lines, at the offset that makes it least."""

    def fit(offset: float) -> tuple[float, float]:
        x, y = np.log(points[:, 0]), np.log(points[:, 1] - offset)
        for group in np.unique(points[:, 2]):
            inside = points[:, 2] == group
            x[inside] -= x[inside].mean()
            y[inside] -= y[inside].mean()
        gamma = float(x @ y / (x @ x))
        return gamma, float(np.sqrt(np.mean((y - gamma * x) ** 2)))

    limits = (-0.9 * LEAST_SIGNAL, 0.9 * LEAST_SIGNAL)
    return fit(minimize_scalar(lambda offset: fit(offset)[1], bounds=limits, method="bounded").x)


def _lines(points: np.ndarray) -> tuple[float, float]:
    """The common offset, and the largest deviation from the lines over the largest signal."""
    tau, signal, group = points.T
    groups = np.unique(group)
    design = np.concatenate([np.ones((len(points), 1)), tau[:, None] * (group[:, None] == groups)], 1)
    weight = 1 / (STEADY * np.abs(signal) + STEADY * LEAST_SIGNAL)
    solution = np.linalg.lstsq(design * weight[:, None], signal * weight, rcond=None)[0]
    return float(solution[0]), float(np.abs(design @ solution - signal).max() / signal.max())
