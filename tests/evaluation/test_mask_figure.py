"""Facts about the figure of a mask, and about the distance between two MTFs."""

import math

import pytest
import torch

from lensless.evaluation.mask_figure import Spot, mask_figure, mtf_difference_db
from lensless.physics.lcd import LCD, LCDMask, random_pattern
from lensless.physics.mask_shapes import LensMask
from lensless.physics.masks import AmplitudeMask, PhaseMask
from lensless.physics.propagation import Grid

PITCH = (5e-6, 5e-6)


def gaussian(sigma: float, shape=(61, 79), pitch=PITCH) -> torch.Tensor:
    y, x = Grid(shape, pitch).coordinates()
    return torch.exp(-(y**2 + x**2) / (2 * sigma**2))[None].float()


def test_the_distance_of_two_gaussians_is_that_of_their_transforms():
    wide, narrow = (Spot("", gaussian(sigma), PITCH) for sigma in (8e-6, 6e-6))
    # MTF = exp(-2 pi^2 sigma^2 f^2), sampled on rings 1 / (61 * 5 um) wide, up to Nyquist
    f = torch.arange(3, 31) / (61 * 5e-6)
    decibels = 20 * math.log10(math.e) * 2 * math.pi**2 * (8e-6**2 - 6e-6**2) * f**2
    expected = float(decibels.square().mean().sqrt())
    assert mtf_difference_db(wide, narrow, lowest=2.5 / (61 * 5e-6)) == pytest.approx(expected, rel=0.05)


def test_brightness_does_not_count_and_pitch_does():
    spot = Spot("", gaussian(8e-6), PITCH)
    assert mtf_difference_db(spot, Spot("", 8 * spot.psf, PITCH), lowest=1e4) == 0
    finer = Spot("", gaussian(8e-6, (153, 199), (2e-6, 2e-6)), (2e-6, 2e-6))
    f_end = 1 / (2 * 5e-6)
    assert mtf_difference_db(spot, finer, lowest=0.3 * f_end) < 0.3
    mistaken = Spot("", finer.psf, PITCH)
    assert mtf_difference_db(spot, mistaken, lowest=0.3 * f_end) > 10


def test_numbers_are_of_the_mean_channel():
    delta = torch.zeros(3, 20, 30)
    delta[:, 10, 15] = torch.tensor([0.2, 1.0, 0.6])
    numbers = Spot("", delta, PITCH).numbers()
    assert numbers["condition"] == pytest.approx(1)
    assert numbers["effective_rank"] == pytest.approx(1)
    assert numbers["peak_to_sidelobe"] == math.inf


MASKS = {
    "amplitude": AmplitudeMask(random_pattern(0, (7, 9)), pitch=(5e-6, 5e-6)),
    "phase": PhaseMask(1e-6 * random_pattern(0, (7, 9)), pitch=(5e-6, 5e-6), index=1.5),
    "lens": LensMask((6e-5, 8e-5), centres=[(0.0, 1e-5)], focal_lengths=[1e-3], radius=2e-5, index=1.5),
    "lcd": LCDMask(random_pattern(0, (6, 4)), lcd=LCD()),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_figure_shows_the_mask_once_and_a_row_for_each_psf(name):
    mask = MASKS[name]
    spots = [Spot("simulated", gaussian(8e-6).repeat(3, 1, 1), PITCH), Spot("measured", gaussian(9e-6), PITCH)]
    figure = mask_figure(mask, mask.grid((4e-6, 4e-6)), (620e-9, 540e-9, 460e-9), spots)
    axes = {axis.get_label(): axis for axis in figure.axes}
    assert {"mask", "psf 0", "psf 1", "autocorrelation 0", "autocorrelation 1", "mtf"} <= set(axes)
    assert axes["mask"].get_title() == ("height of the mask" if name in ("phase", "lens") else "light behind the mask")
    assert [line.get_label() for line in axes["mtf"].lines] == ["simulated", "measured"]
    # the pixel of the axis, (30, 39) of (61, 79), has its middle at 0
    left, right, bottom, top = axes["psf 0"].images[0].get_extent()
    assert (left, right) == pytest.approx((-39.5 * 5e-3, 39.5 * 5e-3))
    assert (top, bottom) == pytest.approx((-30.5 * 5e-3, 30.5 * 5e-3))
