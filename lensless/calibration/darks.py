"""What a sensor delivers without light, and its pixels that are not to be believed."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from lensless.calibration.frame import RawFrame, around, check_alike, sites
from lensless.errors import require

# Robust standard deviations above its colour's median at which a pixel is hot; MAD * 1.4826 is one.
HOT, MAD_TO_SIGMA = 8.0, 1.4826
# Settings are the same if they differ by less than this share.
SAME = 0.01
# How much brighter than all pixels around it a pixel is that no optics explain.
ISOLATED = 10.0
# Largest share of hot pixels; more are no defects.
MOST_HOT = 0.05


class Darks:
    """Dark frames, and what they say about a frame of other settings.

        dark(pixel; t, g) = offset_g(pixel) + rate_g(pixel) t        in shares of full scale above the black level

    at a gain g of which there are darks: their mean where they have the exposure t, else a least-squares line through
    those of two exposures or more.

    frames: of one size, any settings. Raises InputError on none or other sizes.
    """

    def __init__(self, frames: Sequence[RawFrame]):
        check_alike(frames)
        self.first = frames[0]
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for frame in frames:
            key = next((k for k in groups if _same(k, (frame.exposure, frame.gain))), (frame.exposure, frame.gain))
            groups.setdefault(key, []).append(frame.signal())
        self.means = {key: torch.stack(signals).mean(0) for key, signals in groups.items()}

    def at(self, exposure: float, gain: float) -> Tensor | None:
        """The dark signal (H, W) at these settings, None where the darks do not say."""
        own = {key: mean for key, mean in self.means.items() if _same((key[1],), (gain,))}
        for key, mean in own.items():
            if _same(key, (exposure, gain)):
                return mean
        if len(own) < 2:
            return None
        times = torch.tensor([key[0] for key in own], dtype=torch.float32)
        signals = torch.stack(list(own.values()))
        away = times - times.mean()
        rate = torch.einsum("n,nhw->hw", away, signals) / away.square().sum()
        return signals.mean(0) + rate * (exposure - times.mean())

    def hot(self) -> Tensor:
        """Pixels above their colour's median by 8 robust standard deviations at the longest integration, (H, W).

        Raises InputError where these are over 5 % of the pixels: the sensor saw light.
        """
        longest = max(self.means, key=lambda key: key[0] * key[1])
        dark = self.means[longest]
        hot = torch.zeros_like(dark, dtype=torch.bool)
        for rows, columns in sites(dark.shape, self.first.bayer):
            values = dark[rows, columns]
            away = values - values.median()
            # a spread of nothing is that of counts that were all rounded to one
            sigma = max(MAD_TO_SIGMA * float(away.abs().median()), 2**-16)
            hot[rows, columns] = away > HOT * sigma
        share = float(hot.float().mean())
        require(
            share < MOST_HOT,
            f"darks: {share:.0%} of the pixels are far above the others, expected a few; was the sensor covered?",
        )
        return hot


def isolated(light: Tensor, sigma: float) -> Tensor:
    """Pixels (H, W) over ten times brighter than each of the eight beside them, and than 8 sigma: hot, by the looks."""
    brightest = functools.reduce(torch.maximum, around(light, None))
    return light > torch.clamp_min(ISOLATED * brightest, HOT * sigma)


def replace_pixels(mosaic: Tensor, bad: Tensor, bayer: str | None) -> Tensor:
    """``mosaic`` (H, W) with the median of the good among the eight nearest pixels of one colour where ``bad``.

    Raises InputError where a bad pixel has no good neighbour.
    """
    neighbours = around(torch.where(bad, torch.nan, mosaic), bayer)
    median = torch.stack([view[bad] for view in neighbours]).nanmedian(0).values
    lost = int(median.isnan().sum())
    require(lost == 0, f"frames: {lost} bad pixels have no good one of their colour around; is the sensor damaged?")
    fixed = mosaic.clone()
    fixed[bad] = median
    return fixed


def _same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(abs(x - y) <= SAME * max(x, y) for x, y in zip(a, b, strict=True))
