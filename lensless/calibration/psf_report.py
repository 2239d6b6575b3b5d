"""How good a measured PSF is: numbers, and a verdict in words."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.calibration.point_source import Exposed
from lensless.calibration.psf_image import Background
from lensless.physics.cfa import bayer_mask
from lensless.physics.mask_report import peak_to_sidelobe

# Share of the light that the support holds.
SUPPORT = 0.99
# Pixels that an autocorrelation is computed of; more take gigabytes and tell no more.
MOST_PIXELS = 2**20
# Where a PSF stops being good; each with its reason in `verdict`.
LEAST_SNR_DB = 20.0
MOST_CLIPPED = 1e-4
MOST_DRIFT = 0.5
MOST_DISPROPORTION = 0.03
MOST_BACKGROUND = 0.2
MOST_LEAK = 0.02
LEAST_SIDELOBE_RATIO = 1.2
LEAST_SUPPORT, MOST_SUPPORT = 4, 0.9


@dataclass(frozen=True, kw_only=True)
class PSFReport:
    """What there is to say about a measured PSF.

    saturated: share of the pixels that every frame clips. snr_db: 10 log10(sum psf^2 / sum of the noise's variance).
    peak_to_sidelobe: of the autocorrelation. support_pixels: the brightest ones that hold 99 % of the light, and
    support_share, of all pixels. drift_pixels: largest distance between two frames, None for one frame.
    disproportion: largest relative difference between the light of neighbouring frames and their exposure * gain.
    background: light of the background over that of the PSF. leak: difference of the corners over the PSF's peak.
    haze: share of the light left outside of where it stands out. channel_gains: factors that would make the channels
    equal to the brightest. hot_pixels: replaced ones. read_noise, full_scale_electrons: of a frame, in shares of full
    scale and electrons (times the frames averaged), None where one frame cannot tell.
    """

    saturated: float
    snr_db: float
    peak_to_sidelobe: float
    support_pixels: int
    support_share: float
    drift_pixels: float | None
    disproportion: float
    background: float
    leak: float
    haze: float
    channel_gains: list[float]
    hot_pixels: int
    read_noise: float
    full_scale_electrons: float | None

    def problems(self) -> list[str]:
        """What is wrong and what to do, a sentence each; empty for a good PSF."""
        drift = self.drift_pixels or 0.0
        findings = [
            (
                self.saturated > MOST_CLIPPED,
                f"{self.saturated:.2%} of the pixels clipped in every frame: add shorter exposures, dim the source",
            ),
            (
                self.snr_db < LEAST_SNR_DB,
                f"noisy, {self.snr_db:.1f} dB: average more frames, expose longer, or use a brighter source",
            ),
            (
                drift > MOST_DRIFT,
                f"moved by {drift:.2f} pixels between frames: fix camera, mask and source, wait until they are still",
            ),
            (
                self.disproportion > MOST_DISPROPORTION,
                f"light and exposure differ by {self.disproportion:.0%}: the source flickers, or gamma or automatic "
                "gain is on; `lensless calibrate linearity` tells which",
            ),
            (
                self.background > MOST_BACKGROUND,
                f"the background has {self.background:.0%} of the PSF's light: darken the room, give darks=",
            ),
            (
                self.leak > MOST_LEAK,
                f"the corners differ by {self.leak:.1%} of the peak: light leaks in from a side, or the PSF is larger "
                "than the sensor",
            ),
            (
                self.peak_to_sidelobe < LEAST_SIDELOBE_RATIO,
                f"its autocorrelation has a sidelobe 1 / {self.peak_to_sidelobe:.2f} as high as the peak: the mask "
                "repeats itself, and so will reconstructions",
            ),
            (
                self.support_share > MOST_SUPPORT,
                f"the light is all over the sensor, 99 % of it on {self.support_share:.0%}: is the mask in place, and "
                "the room dark?",
            ),
            (
                self.support_pixels < LEAST_SUPPORT,
                f"all light is in {self.support_pixels} pixels: is a mask in place, and does it show its pattern?",
            ),
        ]
        return [problem for holds, problem in findings if holds]

    def verdict(self) -> str:
        """"good", or all that is wrong."""
        return "; ".join(self.problems()) or "good"


def report(exposed: Exposed, found: Background, before: Tensor, psf: Tensor) -> PSFReport:
    """Numbers of a PSF (C, H, W). before: the same less its background ``found``, but with its noise everywhere.

    Both on the whole sensor, in the units of ``exposed``.
    """
    light, sigma = exposed.merged.light.double(), exposed.merged.sigma.double()
    colours = torch.ones(1, *light.shape) if exposed.bayer is None else bayer_mask(light.shape, exposed.bayer)
    level = (colours * found.level).sum(0)
    energy = float((light - level).square().sum() - sigma.square().sum())
    total = float(psf.sum())
    gray = psf.mean(0)
    brightest = gray.flatten().sort(descending=True).values.double().cumsum(0)
    support = int((brightest < SUPPORT * brightest[-1]).sum()) + 1
    sums = psf.sum((-2, -1))
    corners = found.corners.amax(-1) - found.corners.amin(-1)
    places = torch.tensor([place for place in exposed.drift if place is not None])
    moved = float((places[:, None] - places[None]).norm(dim=-1).max()) if len(places) > 1 else None
    return PSFReport(
        saturated=float(exposed.merged.clipped.float().mean()),
        snr_db=float(10 * torch.log10(torch.tensor(max(energy, 1e-30) / float(sigma.square().sum())))),
        peak_to_sidelobe=peak_to_sidelobe(reduced(gray)),
        support_pixels=support,
        support_share=support / gray.numel(),
        drift_pixels=moved,
        disproportion=exposed.disproportion,
        background=float(found.level.clamp_min(0).mean()) * psf[0].numel() * len(psf) / total,
        leak=float((corners / psf.amax((-2, -1))).max()),
        haze=float(before[psf == 0].sum()) / float(before.sum()),
        channel_gains=(sums.max() / sums).tolist(),
        hot_pixels=exposed.hot,
        read_noise=exposed.noise.read,
        full_scale_electrons=1 / exposed.noise.shot if exposed.noise.shot > 0 else None,
    )


def reduced(image: Tensor) -> Tensor:
    """(h, w) of (H, W), averaged over blocks so that it has at most about a million pixels."""
    factor = math.ceil((image.numel() / MOST_PIXELS) ** 0.5)
    return F.avg_pool2d(image[None], factor)[0]


def summary(numbers: PSFReport) -> dict[str, Any]:
    """The report and its verdict as JSON holds them."""
    return {"verdict": numbers.verdict(), **vars(numbers)}
