"""Raw frames of a point source become a PSF, and what is wrong with them is said."""

from dataclasses import replace

import pytest
import torch

from lensless.calibration.darks import Darks
from lensless.calibration.point_source import expose, flat_field
from lensless.calibration.psf_image import background, centroid_shift, cropped, shifted, significant
from lensless.calibration.psf_report import report
from lensless.calibration.raw import to_colours
from lensless.errors import InputError

SHAPE = (90, 124)
EXPOSURES = (0.01, 0.04, 0.16)


PLACES = ((28, 31), (26, 57), (30, 93), (44, 43), (47, 70), (46, 101), (64, 28), (61, 59), (65, 88))


def spots(places=PLACES, *, sigma=2.0):
    """Gaussian spots (H, W) of ``sigma`` pixels, 30 full scales a second at their peaks, nothing near the border."""
    y, x = torch.arange(SHAPE[0])[:, None], torch.arange(SHAPE[1])
    squares = [(y - row) ** 2 + (x - column) ** 2 for row, column in places]
    return 30 * sum(torch.exp(-square / (2 * sigma**2)) for square in squares)


def measured(lab, light, *, exposures=EXPOSURES, darks=None, **sensor):
    camera = lab.sensor(SHAPE, **sensor)
    frames = [lab.take(camera, light, t, seed=k, name=f"frame {k}") for k, t in enumerate(exposures)]
    exposed = expose(frames, darks)
    image = to_colours(exposed.merged.light, exposed.bayer, "demosaic")
    found = background(image)
    before = image - found.level
    psf = before.clamp_min(0) * significant(before)
    return psf, report(exposed, found, before, psf), exposed


def test_a_good_psf_is_the_light_and_is_called_good(lab):
    light = spots()
    psf, numbers, _ = measured(lab, light, prnu=0.005)
    assert float((psf.mean(0) - light).square().sum() / light.square().sum()) < 1e-2  # interpolation of the mosaic
    assert numbers.verdict() == "good"
    error = (measured(lab, light)[2].merged.light - light).square().sum() / light.square().sum()
    # some 150 pixels decide, whose energy is known to 11 % or 0.5 dB
    assert numbers.snr_db == pytest.approx(-10 * float(torch.log10(error)), abs=1.0)
    assert numbers.drift_pixels < 0.1 and numbers.disproportion < 0.01 and numbers.hot_pixels == 0
    assert numbers.channel_gains == pytest.approx([1, 1, 1], abs=0.02)
    # a spot of 2 pixels holds 99 % of its light within a radius of 3.03 standard deviations
    assert numbers.support_pixels == pytest.approx(9 * 3.1416 * (2 * 3.03) ** 2, rel=0.35)


def test_channel_gains_undo_the_sensor_s_colours(lab):
    light = spots() * torch.tensor([0.5, 1.0, 0.8])[:, None, None]
    _, numbers, _ = measured(lab, light)
    assert numbers.channel_gains == pytest.approx([2, 1, 1.25], rel=0.02)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scale": 30.0}, r"% of the pixels clipped in every frame: add shorter exposures, dim the source"),
        ({"scale": 2e-3}, r"noisy, .* dB: average more frames"),
        ({"ambient": 0.2}, r"the background has \d+% of the PSF's light: darken the room"),
        ({"leak": 3.0}, r"the corners differ by .*% of the peak: light leaks in"),
        ({"places": [(45, column) for column in range(22, 104, 9)]}, r"has a sidelobe 1 / .* as high as the peak"),
    ],
)
def test_what_is_wrong_is_said(lab, change, problem):
    light = spots(change.get("places", PLACES)) * change.get("scale", 1.0) + change.get("ambient", 0.0)
    light = light + change.get("leak", 0.0) * torch.linspace(0, 1, SHAPE[1]) ** 4
    _, numbers, _ = measured(lab, light)
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(numbers.verdict())


def test_a_mask_that_moved_and_a_lamp_that_flickered_are_noticed(lab):
    camera, light = lab.sensor(SHAPE), spots()
    shots = list(enumerate(EXPOSURES))
    moved = expose([lab.take(camera, light.roll((0, k), (0, 1)), t, seed=k) for k, t in shots])
    assert max(abs(place[1] - k) for k, place in enumerate(moved.drift)) < 0.2
    dimmed = expose([lab.take(camera, light * (1 - 0.06 * k), t, seed=k) for k, t in shots])
    assert dimmed.disproportion == pytest.approx(1 - 0.88 / 0.94, abs=0.015)


def test_dark_current_and_hot_pixels_go_with_darks_of_two_exposures(lab):
    camera = lab.sensor(SHAPE, dsnu=20.0)
    glow = torch.zeros(SHAPE)
    glow[20::31, 11::37] = 3.0  # hot pixels, in full scales a second
    darks = Darks([lab.take(camera, glow, t, seed=10 + k) for k, t in enumerate((0.02, 0.02, 0.2, 0.2, 0.2))])
    light = torch.linspace(0, 0.5, SHAPE[1]).expand(SHAPE)
    frames = [lab.take(camera, light + glow, t, seed=k) for k, t in enumerate(EXPOSURES)]
    with_darks, without = expose(frames, darks), expose(frames)
    assert with_darks.hot == int((glow > 0).sum()) and with_darks.notes == []
    assert without.notes == ["no darks: the stated black level was taken off"]
    errors = [(one.merged.light - light).square().mean() for one in (with_darks, without)]
    # of the offsets' 20 electrons and the hot pixels nothing is left but the noise of the darks and the light
    assert float(errors[0]) < float(errors[1]) / 5


def test_darks_of_other_settings_are_no_use_and_said_to_be(lab):
    camera = lab.sensor(SHAPE)
    darks = Darks([lab.take(camera, 0.0, 0.5, seed=9)])
    exposed = expose([lab.take(camera, spots(), 0.02)], darks)
    assert exposed.notes[0].startswith("darks: none of 0.02 s at gain 1, and not two exposures at that gain")
    with pytest.raises(InputError, match="expected one size and one colour filter array"):
        expose([lab.take(lab.sensor((90, 120)), 0.0, 0.02)], darks)


def test_one_frame_tells_its_noise_by_neighbouring_pixels(lab):
    exposed = expose([lab.take(lab.sensor(SHAPE, read_noise=20.0), spots(), 0.02)])
    assert exposed.noise.read * (4095 - 256) == pytest.approx(10, rel=0.1)
    assert exposed.noise.shot == 0


def test_a_flat_field_is_the_pixels_own_response(lab):
    camera = lab.sensor(SHAPE, prnu=0.05)
    vignetting = 1 - 0.4 * torch.linspace(-1, 1, SHAPE[1]) ** 2
    frames = [lab.take(camera, 2.0 * vignetting, 0.3, seed=k) for k in range(40)]
    flat = flat_field(frames)
    gains = camera.fixed_pattern[0][0, 0] * vignetting
    expected = torch.empty_like(gains)
    for row in range(2):
        for column in range(2):
            site = gains[row::2, column::2]
            expected[row::2, column::2] = site / site.mean()
    # 4600 electrons in each of 40 frames
    assert float((flat - expected).std()) < 1.5 / (40 * 3000) ** 0.5
    with pytest.raises(InputError, match=r"flat: .* of the pixels see less than a fifth of the mean"):
        flat_field([lab.take(camera, spots(), 0.02)])


def test_cells_are_the_means_of_their_colours():
    mosaic = torch.arange(35.0).reshape(5, 7)
    cells = to_colours(mosaic, "GRBG", "cells")
    assert cells.shape == (3, 2, 3)
    assert cells[:, 1, 2].tolist() == [19.0, (18 + 26) / 2, 25.0]
    assert torch.equal(to_colours(mosaic, None, "cells"), mosaic[None])
    with pytest.raises(InputError, match="colour: 'cell' is not known; did you mean cells"):
        to_colours(mosaic, "GRBG", "cell")


def test_the_centroid_goes_to_the_centre_pixel_by_whole_pixels():
    image = torch.zeros(2, 7, 10)
    image[0, 1, 2] = image[1, 2, 3] = 1.0
    image[1, 2, 4] = 2.0
    # rows 1, 2, 2, 2 and columns 2, 3, 4, 4 on average: 1.75 and 3.25
    assert centroid_shift(image) == (1, 2)
    moved = shifted(image, (1, 2))
    assert moved.nonzero().tolist() == [[0, 2, 4], [1, 3, 5], [1, 3, 6]]
    assert shifted(image, (-2, 0)).nonzero().tolist() == [[1, 0, 3], [1, 0, 4]]
    assert shifted(image, (0, 7)).nonzero().tolist() == [[0, 1, 9]]


def test_a_crop_keeps_the_centre_pixel():
    image = torch.zeros(1, 9, 12)
    image[0, 4, 6] = 1
    assert cropped(image, (4, 5))[0, 2, 2] == 1
    assert cropped(image, None) is image
    with pytest.raises(InputError, match=r"size: expected \[height, width\] of at most \[9, 12\] .*got \[4, 13\]"):
        cropped(image, [4, 13])


def test_the_background_is_that_of_the_two_darkest_corners():
    image = torch.full((1, 40, 60), 0.2)
    image[0, :6, :6], image[0, -6:, -6:] = 0.9, 0.5
    found = background(image)
    assert float(found.level) == pytest.approx(0.2)
    assert found.corners[0].tolist() == pytest.approx([0.9, 0.2, 0.2, 0.5])


def test_noise_is_not_significant_and_faint_light_is(lab):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 120, 160, generator=generator)
    image[0, 50:60, 70:80] += 2.0
    lit = significant(image)
    assert lit[0, 50:60, 70:80].all()
    assert float(lit.float().mean()) < 0.06


def test_a_frame_says_what_it_cannot_be(lab):
    frame = lab.take(lab.sensor((6, 8)), 0.5, 0.1)
    with pytest.raises(InputError, match=r"frame: expected exposure > 0, got 0"):
        replace(frame, exposure=0.0)
    with pytest.raises(InputError, match=r"frame: expected black_level 0 up to full scale, got 5000"):
        replace(frame, black_level=5000)
