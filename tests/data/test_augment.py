"""Augmented samples still obey y = psf * x + background, and are functions of (seed, epoch, i)."""

from dataclasses import replace

import pytest
import torch

from lensless.calibration.alignment import Alignment, aligned_region
from lensless.data.augment import Augment, add_ambient_light, expose, flip_sample
from lensless.data.psf_file import flip_psf
from lensless.data.sample import Sample
from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution


def sample(shape, index=0):
    """y = psf * x + background with a PSF that is zero where an even side has no partner."""
    generator = torch.Generator().manual_seed(index)
    psf, scene, background = torch.rand(3, 3, *shape, generator=generator)
    for axis in (-2, -1):
        if psf.shape[axis] % 2 == 0:
            psf.select(axis, 0).zero_()
    psf = psf / psf.sum((-2, -1)).mean()
    measurement = LenslessConvolution(psf[None])(scene[None])[0] + 0.1 * background
    return Sample(index=index, mask=0, measurement=measurement, scene=scene, psf=psf, background=0.1 * background)


def residual(sample):
    expected = LenslessConvolution(sample.psf[None])(sample.scene[None])[0]
    if sample.background is not None:
        expected = expected + sample.background
    return float((sample.measurement - expected).abs().max())


@pytest.mark.parametrize("shape", [(9, 11), (8, 12), (7, 10)])
@pytest.mark.parametrize(("vertical", "horizontal"), [(True, False), (False, True), (True, True)])
def test_a_mirrored_sample_obeys_the_equation(shape, vertical, horizontal):
    before = sample(shape)
    after = flip_sample(before, vertical=vertical, horizontal=horizontal)
    assert not torch.equal(after.measurement, before.measurement)
    assert residual(after) < 1e-5
    again = flip_sample(after, vertical=vertical, horizontal=horizontal)
    assert torch.equal(again.psf, before.psf) and torch.equal(again.measurement, before.measurement)


def test_a_psf_keeps_its_centre_pixel():
    for shape in ((5, 6), (4, 7)):
        psf = torch.zeros(1, *shape)
        psf[0, shape[0] // 2, shape[1] // 2] = 1
        psf[0, shape[0] // 2 + 1, shape[1] // 2 - 1] = 2
        mirrored = flip_psf(psf, "both")
        assert mirrored[0, shape[0] // 2, shape[1] // 2] == 1
        assert mirrored[0, shape[0] // 2 - 1, shape[1] // 2 + 1] == 2


def test_what_a_lensed_camera_saw_stays_where_it_was():
    x = torch.rand(1, 3, 8, 12)
    alignment = Alignment(((0.8, 0.1, 2.0), (-0.1, 0.9, 1.5), (0.0, 0.0, 1.0)), (5, 7))
    before = replace(sample((8, 12)), scene=aligned_region(x, alignment)[0], alignment=alignment)
    after = flip_sample(before, vertical=True, horizontal=True)
    torch.testing.assert_close(aligned_region(x.flip((-2, -1)), after.alignment)[0], after.scene, atol=1e-5, rtol=0)


def test_ambient_light_has_the_stated_level_and_is_in_measurement_and_background():
    before = sample((9, 12))
    after = add_ambient_light(before, 0.3)
    light = after.measurement - before.measurement
    assert float(light.mean() / before.measurement.mean()) == pytest.approx(0.3, rel=1e-5)
    assert residual(after) < 1e-5
    field = LenslessConvolution(before.psf[None]).whole_field()
    bright = field(torch.ones(1, *field.scene_shape))[0]
    torch.testing.assert_close(light / light.mean(), bright / bright.mean(), atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="background: ambient light needs the PSF"):
        add_ambient_light(replace(before, psf=None), 0.3)


def test_exposure_scales_scene_and_background_and_saturates():
    before = sample((9, 11))
    assert residual(expose(before, 0.5)) < 1e-5
    after = expose(before, 100.0)
    assert float(after.measurement.max()) == 1
    assert torch.equal(after.scene, before.scene * 100)


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_noise_has_the_stated_snr(snr_db):
    before = sample((60, 80))
    after = Augment(snr_db=(snr_db, snr_db))(before, epoch=0)
    noise = after.measurement - before.measurement
    found = 10 * torch.log10(before.measurement.square().sum() / noise.square().sum())
    assert float(found) == pytest.approx(snr_db, abs=0.3)


def test_a_sample_is_a_function_of_seed_epoch_and_index():
    augment = Augment(seed=4, flip_vertical=0.5, flip_horizontal=0.5, exposure=(0.5, 2.0), snr_db=(20, 40))
    one = augment(sample((9, 12), 3), epoch=2).measurement
    assert torch.equal(one, augment(sample((9, 12), 3), epoch=2).measurement)
    assert not torch.equal(one, augment(sample((9, 12), 3), epoch=3).measurement)
    assert not torch.equal(one, replace(augment, seed=5)(sample((9, 12), 3), epoch=2).measurement)
    moved = replace(sample((9, 12), 3), index=4)
    assert not torch.equal(one, augment(moved, epoch=2).measurement)


def test_chances_are_kept():
    augment = Augment(flip_horizontal=0.25)
    before = sample((3, 5))
    flips = [
        not torch.equal(augment(replace(before, index=index), epoch=0).scene, before.scene) for index in range(400)
    ]
    # 400 draws of 1 in 4: standard deviation 8.7
    assert abs(sum(flips) - 100) < 35
    assert augment(before, epoch=0).background is not None


def test_without_changes_a_sample_stays_itself():
    before = sample((4, 5))
    after = Augment()(before, epoch=3)
    assert after.measurement is before.measurement and after.psf is before.psf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flip_vertical": 1.5}, "flip_vertical: expected a chance from 0 to 1, got 1.5"),
        ({"exposure": (2.0, 1.0)}, r"exposure: expected \[least, most\]"),
        ({"exposure": (0.0, 1.0)}, "exposure: expected"),
        ({"background": (-0.1, 1.0)}, "background: expected"),
    ],
)
def test_impossible_changes_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Augment(**arguments)
