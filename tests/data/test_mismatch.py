"""Errors of a calibration: what they do to a PSF, checked against points, moments and the stated noise."""

import math

import pytest
import torch

from lensless.data.mismatch import PSFError
from lensless.errors import InputError
from lensless.physics.random import sample_generator

SHAPE = (3, 33, 46)


def spot(row, column, sigma=2.0):
    """A Gaussian of light at (row, column), the same in three channels of different brightness."""
    rows = torch.arange(SHAPE[1], dtype=torch.float64)[:, None]
    columns = torch.arange(SHAPE[2], dtype=torch.float64)[None, :]
    light = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    return (light * torch.tensor([1.0, 2.0, 0.5]).reshape(3, 1, 1)).float()


def centroid(psf):
    light = psf.double().sum(0)
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in light.shape), indexing="ij")
    return float((light * rows).sum() / light.sum()), float((light * columns).sum() / light.sum())


def wrong(psf, **error):
    return PSFError(**error)(psf, sample_generator(0, 0))


def test_no_error_leaves_the_psf_as_it_is():
    psf = spot(13.3, 25.1)
    torch.testing.assert_close(wrong(psf), psf)


def test_a_shift_goes_down_and_right():
    assert centroid(wrong(spot(14, 20), shift=(2.5, -1.25))) == pytest.approx((16.5, 18.75), abs=0.01)


def test_a_turn_is_anticlockwise_about_the_centre_pixel():
    # a spot eight pixels right of the centre (16, 23) comes to lie above it
    assert centroid(wrong(spot(16, 31), rotation=math.pi / 2)) == pytest.approx((8, 23), abs=0.01)
    assert centroid(wrong(spot(16, 31), rotation=math.pi / 6)) == pytest.approx((12, 23 + 4 * math.sqrt(3)), abs=0.02)


def test_a_scale_moves_and_widens():
    found = wrong(spot(16, 29), scale=1.25)
    assert centroid(found) == pytest.approx((16, 23 + 6 * 1.25), abs=0.01)
    rows = torch.arange(SHAPE[1], dtype=torch.float64)
    light = found.double().sum((0, 2))
    variance = float((light * (rows - 16) ** 2).sum() / light.sum())
    assert math.sqrt(variance) == pytest.approx(2 * 1.25, rel=0.02)


def test_a_blur_adds_its_variance():
    light = wrong(spot(16, 23), blur=1.5).double().sum((0, 1))
    columns = torch.arange(SHAPE[2], dtype=torch.float64)
    variance = float((light * (columns - 23) ** 2).sum() / light.sum())
    assert variance == pytest.approx(2.0**2 + 1.5**2, rel=0.02)


@pytest.mark.parametrize("error", [{"rotation": 0.1}, {"scale": 1.1}, {"shift": (1.5, 0.5)}, {"blur": 1.0}])
def test_the_light_of_all_channels_together_stays(error):
    psf = spot(16, 23)
    found = wrong(psf, **error)
    assert float(found.sum()) == pytest.approx(float(psf.sum()), rel=1e-5)
    assert float(found[1].sum() / found[0].sum()) == pytest.approx(2.0, rel=1e-3)
    assert float(found.min()) >= 0


@pytest.mark.parametrize("snr", [10.0, 25.0])
def test_noise_has_the_stated_strength(snr):
    # lit everywhere, so that clipping at zero takes nothing away
    psf = torch.full(SHAPE, 1.0) + spot(16, 23)
    noise = wrong(psf, snr_db=snr) - psf
    measured = 10 * math.log10(float(psf.double().square().sum() / noise.double().square().sum()))
    # the variance of n = 4554 normal numbers is known to sqrt(2 / n) = 2 %; four of these, in decibels
    assert measured == pytest.approx(snr, abs=0.37 if snr > 20 else 0.5)


def test_the_generator_decides_the_noise():
    psf = spot(16, 23)
    error = PSFError(snr_db=20.0)
    one, same, other = (error(psf, sample_generator(seed, 0)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_impossible_errors_are_refused():
    with pytest.raises(InputError, match="scale: expected a factor > 0, got 0"):
        PSFError(scale=0)
    with pytest.raises(InputError, match="blur: expected pixels >= 0, got -1"):
        PSFError(blur=-1)
