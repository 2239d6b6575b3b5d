"""A mask's geometry: the model against light computed another way, and recovered from what it measured."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lensless.calibration.mask_fit import Search, best_flip, fit_mask
from lensless.calibration.mask_model import Geometry, MaskModel
from lensless.errors import InputError
from lensless.physics.lcd import LCD, LCDMask, random_pattern
from lensless.physics.mask_shapes import PinholeMask
from lensless.physics.noise import add_noise_at_snr
from lensless.physics.psf import Optics, point_source_psf
from lensless.physics.random import normal, sample_generator

GRAY = {"colour_filter": ((1.0,),), "wavelengths": (550e-9,)}
CELLS, PITCH = (16, 9), 20e-6
TRUTH = Geometry(distance=4.1e-3, source_distance=0.35, rotation=0.02, shift=(2.3, -3.7))


def optics(**changes):
    values = {"sensor_shape": (64, 96), "pixel_pitch": (PITCH, PITCH), "distance": 4e-3, "wavelengths": (550e-9,)}
    return Optics(**{**values, "oversample": 2, **changes})


def straight(seeds=(0,)):
    """The display as stated, with a pattern for each seed."""
    patterns = torch.stack([random_pattern(seed, CELLS) for seed in seeds])
    return LCDMask(patterns, lcd=LCD(**GRAY))


def light(geometry, *, seeds=(0,), oversample=4, **changes):
    """PSFs (N, 1, h, w) by a spherical wave through the display where it is: nothing of the fit's model."""
    magnification = 1 + geometry.distance / geometry.source_distance
    cell, opening = LCD().cell, geometry.opening or LCD().opening
    lcd = LCD(
        cell=tuple(geometry.scale * side for side in cell),
        opening=tuple(geometry.scale * side for side in opening),
        rotation=geometry.rotation,
        offset=tuple(PITCH * pixels / magnification for pixels in geometry.shift),
        **GRAY,
    )
    mask = LCDMask(straight(seeds).values, lcd=lcd)
    with torch.no_grad():
        return point_source_psf(
            mask,
            optics(distance=geometry.distance, oversample=oversample, **changes),
            source_distance=geometry.source_distance,
        ).float()


def noisy(psf, snr_db=30.0):
    return add_noise_at_snr(psf, snr_db, sample_generator(5, 0))


def error(measured, model):
    """Of the best multiple of ``model`` plus a constant."""
    a, b = (image.double() - image.double().mean() for image in (measured, model))
    return float((a - (a * b).sum() / (b * b).sum() * b).norm() / a.norm())


@pytest.mark.parametrize("source", [0.35, 0.05, math.inf])
def test_the_model_is_the_light_of_a_turned_magnified_and_shifted_display(source):
    geometry = replace(TRUTH, source_distance=source, scale=1.03)
    true, model = light(geometry, oversample=8), MaskModel(straight(), optics(oversample=4))
    # what is left falls with the sampling: 3.2 %, 1.6 % and 1.0 % with 4, 6 and 8 samples a pixel
    assert error(true, model.psf(geometry.placement)) < 0.035
    assert error(true, model.psf(replace(geometry, rotation=-0.02).placement)) > 0.3
    if source == 0.05:
        fine = MaskModel(straight(), optics(oversample=8))
        assert error(true, fine.psf(geometry.placement)) < 0.012


def test_what_acts_through_two_numbers_makes_one_psf():
    # twice as large a mask at four times the distance, of a source four times as far, on pixels twice as large
    near = light(TRUTH)
    far = replace(TRUTH, distance=4 * TRUTH.distance, source_distance=4 * TRUTH.source_distance, scale=2.0)
    assert far.placement.fresnel_distance == pytest.approx(TRUTH.placement.fresnel_distance)
    assert far.placement.magnification == pytest.approx(2 * TRUTH.placement.magnification)
    large = replace(far, shift=tuple(2 * s for s in TRUTH.shift))
    assert error(near, light(large, pixel_pitch=(2 * PITCH, 2 * PITCH), oversample=4)) < 0.02


def test_another_source_distance_is_another_scale():
    # m = (1 + d / s) scale, z = d / (m scale): scale' = 1 with d', s' for any scale
    other = Geometry(distance=TRUTH.distance / 1.02**2 * 1.001, source_distance=0.2, rotation=0.02, shift=(2.3, -3.7))
    scale = TRUTH.placement.magnification / (1 + other.distance / other.source_distance)
    other = replace(other, scale=scale)
    other = replace(other, distance=TRUTH.placement.fresnel_distance * TRUTH.placement.magnification * scale)
    model = MaskModel(straight(), optics())
    assert error(model.psf(TRUTH.placement), model.psf(other.placement)) < 0.02


def test_distance_and_source_are_told_apart_by_diffraction():
    start = replace(TRUTH, distance=4.6e-3, source_distance=0.45, shift=(0.0, 0.0), rotation=0.0)
    fit = ("distance", "source_distance", "rotation", "shift")
    found = fit_mask(noisy(light(TRUTH)), MaskModel(straight(), optics(oversample=3)), start=start, fit=fit)
    assert found.geometry.distance == pytest.approx(TRUTH.distance, rel=0.01)
    assert found.geometry.source_distance == pytest.approx(TRUTH.source_distance, rel=0.05)


def test_scale_and_opening_are_found_from_two_patterns():
    truth = replace(TRUTH, scale=1.012, opening=(0.052e-3, 0.19e-3))
    start = replace(TRUTH, distance=3.8e-3, shift=(0.0, 0.0))
    found = fit_mask(
        noisy(light(truth, seeds=(3, 4))),
        MaskModel(straight((3, 4)), optics(oversample=3)),
        start=start,
        fit=("distance", "scale", "opening", "rotation", "shift"),
        search=Search(scale=0.02),
    )
    assert found.geometry.scale == pytest.approx(1.012, abs=1e-3)
    assert found.geometry.opening == pytest.approx(truth.opening, rel=0.02)
    assert found.geometry.distance == pytest.approx(truth.distance, rel=0.01)
    assert found.psf.shape == (2, 1, 64, 96)


def test_any_mask_can_be_fitted_and_channels_have_their_gains():
    centres = np.random.default_rng(2).uniform(-0.45, 0.45, (9, 2)) * (1.1e-3, 1.6e-3)
    turn = np.array([[math.cos(0.03), -math.sin(0.03)], [math.sin(0.03), math.cos(0.03)]])
    # counter-clockwise as displayed, y downwards: (y, x) becomes (cos y - sin x, cos x + sin y)
    turned = PinholeMask((1.2e-3, 1.7e-3), centres=centres @ turn.T, radius=4e-5)
    three = optics(wavelengths=(620e-9, 540e-9, 460e-9), oversample=3)
    gains = torch.tensor([2.0, 1.0, 0.5])
    with torch.no_grad():
        psf = point_source_psf(turned, replace(three, oversample=4, distance=5e-3), source_distance=1.0).float()
    psf = psf / psf.sum((-2, -1), keepdim=True) * gains[:, None, None] + 0.1 * psf.mean()
    model = MaskModel(PinholeMask((1.2e-3, 1.7e-3), centres=centres, radius=4e-5), three)
    start = Geometry(distance=4.5e-3, source_distance=1.0)
    found = fit_mask(noisy(psf[None]), model, start=start)
    assert found.geometry.distance == pytest.approx(5e-3, rel=0.01)
    assert math.degrees(found.geometry.rotation - 0.03) == pytest.approx(0, abs=0.1)
    assert found.geometry.shift == pytest.approx((0, 0), abs=0.2)
    assert (found.gains[0] / found.gains[0, 1]).tolist() == pytest.approx([2, 1, 0.5], rel=0.05)
    shared = fit_mask(noisy(psf[None]), model, start=found.geometry, fit=("shift",))
    assert shared.gains[0].tolist() == pytest.approx([1, 1, 1]) and shared.error > 2 * found.error


def test_the_stated_deviations_are_those_of_repeated_measurements():
    model = MaskModel(straight(), optics())
    clean = model.psf(TRUTH.placement)
    noise = 0.03 * float(clean.square().mean().sqrt())
    found = []
    for index in range(8):
        measured = clean + noise * normal(clean, sample_generator(1, index))
        found.append(fit_mask(measured, model, start=TRUTH, search=Search(distance=0, rotation=0)))
    truth = [TRUTH.distance, TRUTH.rotation, *TRUTH.shift]
    deviations = [
        [(one.geometry.distance, one.geometry.rotation, *one.geometry.shift)[k] - truth[k] for k in range(4)]
        for one in found
    ]
    z = np.array(deviations) / np.array([list(one.sigma.values()) for one in found])
    # 32 numbers of unit variance
    assert 0.6 < np.sqrt((z**2).mean()) < 1.4


def test_another_pattern_and_a_mirrored_psf_are_noticed():
    measured, start = noisy(light(TRUTH)), replace(TRUTH, rotation=0.0)
    fit, search = ("rotation", "shift"), Search(rotation=0.05)
    wrong = MaskModel(straight((1,)), optics())
    assert "is it this mask, with this pattern" in fit_mask(measured, wrong, start=start, fit=fit).problems()[0]
    right = MaskModel(straight(), optics())
    assert best_flip(measured.flip(-2), right, start=start, fit=fit, search=search) == "vertical"
    assert best_flip(measured, right, start=start, fit=fit, search=search) == "none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fit": ("angle",)}, "fit: 'angle' is not known"),
        ({"fit": ("gains",)}, "fit: expected at least one of distance"),
        ({"fit": ("distance", "source_distance", "scale")}, "act through two numbers alone"),
        ({"fit": ("source_distance",), "start": Geometry(distance=4e-3)}, "source_distance: expected metres to start"),
        ({"measured": torch.ones(2, 1, 64, 96)}, r"measured: expected .* = \(1, 1, 64, 96\), got \(2, 1, 64, 96\)"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, message):
    words = {"measured": torch.ones(1, 1, 64, 96), "start": TRUTH, **arguments}
    with pytest.raises(InputError, match=message):
        fit_mask(words.pop("measured"), MaskModel(straight(), optics()), **words)


def test_four_samples_lie_in_the_width_that_diffraction_blurs_by():
    # sqrt(400 nm 4 mm) is 40 um, of which a sample is to be 10 um at most
    model = MaskModel(straight(), optics(pixel_pitch=(49e-6, 51e-6), wavelengths=(400e-9, 600e-9)))
    assert model.oversample_for(4e-3) == 6 and model.oversample_for(16e-3) == 3


def test_only_an_lcd_has_an_opening():
    mask = PinholeMask((1e-3, 1e-3), centres=[(0.0, 0.0)], radius=4e-5)
    with pytest.raises(InputError, match="opening: only an LCD has one, got a PinholeMask"):
        fit_mask(torch.ones(1, 1, 64, 96), MaskModel(mask, optics()), start=TRUTH, fit=("opening",))
    with pytest.raises(InputError, match="distance: expected metres > 0, got -1"):
        Geometry(distance=-1)
