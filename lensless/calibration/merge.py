"""A bracket of exposures made one linear image of high dynamic range, and how still its scene stood meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from skimage.registration import phase_cross_correlation
from torch import Tensor

from lensless.calibration.frame import CLIPPED, RawFrame, check_alike, gray_cells
from lensless.calibration.noise_model import NoiseModel

# Steps of a pixel in which shifts are told, and the correlation from which two frames are held to show one thing.
UPSAMPLE, ALIKE = 50, 0.3


@dataclass(frozen=True)
class Merged:
    """light: (H, W) mosaic in full scales a second at gain 1. sigma: its standard deviation, (H, W). clipped: where all
    frames are clipped and the light is a lower bound, bool (H, W)."""

    light: Tensor
    sigma: Tensor
    clipped: Tensor


def merge(frames: Sequence[RawFrame], signals: Sequence[Tensor], noise: NoiseModel) -> Merged:
    """The maximum-likelihood light of a bracket under Gaussian noise of variance v_i:

        x = sum_i m_i s_i tau_i / v_i / sum_i m_i tau_i^2 / v_i,    var x = 1 / sum_i m_i tau_i^2 / v_i

    with the signal s_i of frame i, tau_i = exposure * gain, v_i = read^2 + shot g_i tau_i x (from x under photon noise
    alone, sum m s / sum m tau) and m_i = 0 where frame i is clipped. Where all are, the least exposed one counts.

    signals: (H, W) of each frame, less its dark signal. Raises InputError on none or frames of several sizes.
    """
    check_alike(frames)
    least = min(range(len(frames)), key=lambda k: frames[k].integration)
    # shares of full scale and the sums over frames fit float32, the light of short exposures does not lose by it
    kept = [~frame.clipped() | (k == least) for k, frame in enumerate(frames)]
    photons = _sum(m * s for m, s in zip(kept, signals, strict=True))
    first = photons / _sum(m * frame.integration for m, frame in zip(kept, frames, strict=True))
    top, bottom = torch.zeros_like(first), torch.zeros_like(first)
    for m, frame, signal in zip(kept, frames, signals, strict=True):
        tau = frame.integration
        weight = m * (tau / noise.variance(first * tau, frame.gain).clamp_min(1e-12))
        top += weight * signal
        bottom += weight * tau
    return Merged(top / bottom, bottom.rsqrt(), frames[least].clipped())


def drift(frames: Sequence[RawFrame], signals: Sequence[Tensor]) -> list[tuple[float, float] | None]:
    """(dy, dx) in pixels by which each frame shows its scene away from where the first one shows it.

    By the peak of the cross-correlation, to a fiftieth of a pixel (of a Bayer cell), of neighbours in order of
    integration, both cut off at the light that clips the longer one. (Phase correlation proper, which divides by
    the magnitudes, is lost in the noise of faint frames.) None for what shows too little to tell.
    """
    check_alike(frames)
    order = sorted(range(len(frames)), key=lambda k: frames[k].integration)
    there: list[np.ndarray | None] = [None] * len(frames)
    there[order[0]] = np.zeros(2)
    for i, j in pairwise(order):
        step = _shift((frames[i], signals[i]), (frames[j], signals[j]))
        there[j] = None if step is None or there[i] is None else there[i] + step
    start = there[0]
    return [None if place is None or start is None else tuple((place - start).tolist()) for place in there]


def _shift(first: tuple[RawFrame, Tensor], second: tuple[RawFrame, Tensor]) -> np.ndarray | None:
    limit = CLIPPED / second[0].integration
    lights, scale = [], 1
    for frame, signal in (first, second):
        light, scale = gray_cells((signal / frame.integration).clamp_max(limit), frame.bayer)
        lights.append((light - light.mean()).numpy())
    if not np.corrcoef(lights[0].ravel(), lights[1].ravel())[0, 1] > ALIKE:
        return None
    shift, _, _ = phase_cross_correlation(*lights, upsample_factor=UPSAMPLE, normalization=None)
    return -scale * shift


def _sum(images):
    return torch.stack(list(images)).sum(0)
