"""Dark signal, hot pixels, and what is put in their place."""

import pytest
import torch

from lensless.calibration.darks import Darks, isolated, replace_pixels
from lensless.calibration.frame import RawFrame, around
from lensless.errors import InputError


def frame(counts, exposure, gain=1.0, bayer=None):
    return RawFrame(
        torch.as_tensor(counts, dtype=torch.int32),
        name="dark",
        exposure=exposure,
        gain=gain,
        bits=12,
        black_level=95,
        bayer=bayer,
    )


def test_the_dark_signal_of_a_setting_is_the_mean_of_its_frames():
    counts = torch.full((3, 4), 95)
    darks = Darks([frame(counts + 20, 0.1), frame(counts + 60, 0.1), frame(counts + 9, 0.2, gain=4.0)])
    torch.testing.assert_close(darks.at(0.1005, 1.0), torch.full((3, 4), 40 / 4000))
    assert darks.at(0.2, 1.0) is None and darks.at(0.1, 4.0) is None and darks.at(0.1, 2.0) is None


def test_other_exposures_lie_on_the_line_through_two():
    offset, rate = torch.arange(12).reshape(3, 4), 10 * torch.arange(12).reshape(3, 4)
    darks = Darks([frame(95 + offset + rate * t, float(t)) for t in (1, 2, 4)])
    torch.testing.assert_close(darks.at(3.0, 1.0), (offset + 3 * rate) / 4000, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(darks.at(0.5, 1.0), (offset + 0.5 * rate) / 4000, rtol=1e-5, atol=1e-7)


def test_hot_pixels_stand_out_of_their_own_colour():
    torch.manual_seed(0)
    counts = 95 + 3 * torch.randn(40, 50)
    counts[::2, ::2] += 100  # a colour that glows
    counts[6, 8] += 40  # 13 deviations of noise, less than red glows
    counts[7, 9] += 300
    hot = Darks([frame(counts.round(), 1.0, bayer="RGGB"), frame(counts.round() - 9, 0.1, bayer="RGGB")]).hot()
    assert hot.nonzero().tolist() == [[6, 8], [7, 9]]


def test_a_sensor_that_was_not_covered_is_refused():
    counts = torch.full((20, 20), 100)
    counts[:, :2] = 900
    with pytest.raises(InputError, match=r"10% of the pixels are far above the others.*was the sensor covered"):
        Darks([frame(counts, 1.0)]).hot()
    with pytest.raises(InputError, match=r"expected one size and one colour filter array, got \(20, 20\).*\(20, 21\)"):
        Darks([frame(counts, 1.0), frame(torch.zeros(20, 21), 1.0)])


def test_the_eight_nearest_pixels_of_a_colour():
    mosaic = torch.arange(35.0).reshape(5, 7)
    assert sorted(view[2, 3] for view in around(mosaic, None)) == [9, 10, 11, 16, 18, 23, 24, 25]
    assert sorted(view[2, 3] for view in around(mosaic, "GBRG")) == [1, 3, 5, 15, 19, 29, 31, 33]


def test_a_bad_pixel_becomes_the_median_of_good_ones_of_its_colour():
    mosaic = torch.arange(35.0).reshape(5, 7)
    bad = torch.zeros(5, 7, dtype=torch.bool)
    bad[2, 3] = bad[0, 1] = bad[0, 3] = True
    fixed = replace_pixels(mosaic, bad, "RGGB")
    # of 5, 15, 19, 29, 31, 33 the lower middle one
    assert float(fixed[2, 3]) == 19
    assert torch.equal(fixed[~bad], mosaic[~bad])
    with pytest.raises(InputError, match="35 bad pixels have no good one of their colour around"):
        replace_pixels(mosaic, torch.ones(5, 7, dtype=torch.bool), None)


def test_without_darks_a_pixel_ten_times_brighter_than_its_neighbours_is_hot():
    light = torch.full((9, 11), 0.01)
    light[4, 4], light[2, 2], light[2, 3] = 0.5, 0.5, 0.2  # alone; beside another lit one
    light[7, 7] = 0.09  # nine times
    assert isolated(light, 1e-3).nonzero().tolist() == [[4, 4]]
    assert not isolated(light, 0.1).any()
