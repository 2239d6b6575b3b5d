import numpy as np
import pytest

from lensless_capture.errors import InputError
from lensless_capture.merge import average, hdr, hot_pixels


def test_an_average_keeps_parts_of_a_count(frame):
    merged = average([frame(np.full((3, 5), counts)) for counts in (300, 301, 301, 301)])
    assert merged.reported.bits == 16 and merged.reported.black_level == 256 * 16
    assert (merged.pixels == 300.75 * 16).all()


def test_a_bracket_is_linear_light_over_its_whole_range(frame):
    light = np.geomspace(0.05, 200, 63).reshape(7, 9)  # full scales a second
    exposures = (1.0, 0.004, 0.0625)
    bracket = [
        frame(np.clip(np.rint(256 + 3839 * light * exposure), 0, 4095), exposure=exposure) for exposure in exposures
    ]
    merged = hdr(bracket)
    # half a count of each frame that is used, over its light
    used = np.stack([frame.pixels < 0.98 * 4095 for frame in bracket])
    bound = 0.5 * used.sum(0) / (3839 * np.tensordot(exposures, used, 1))
    assert (np.abs(merged - light) <= 1.01 * bound).all()
    assert merged.dtype == np.float32


def test_noise_below_the_black_level_stays_negative(frame):
    assert hdr([frame([[256 - 38.39 * 2]], exposure=0.5)]) == pytest.approx(-0.04, rel=0.01)


def test_clipped_everywhere_is_a_lower_bound(frame):
    assert hdr([frame([[4095]], exposure=0.1), frame([[4095]], exposure=0.2)]) == pytest.approx(1 / 0.1)


def test_hot_pixels_are_found_and_cold_noise_is_not(frame):
    generator = np.random.default_rng(3)
    hot = np.zeros((47, 61), bool)
    hot[5, 7] = hot[40, 60] = True
    darks = [frame(np.rint(256 + generator.normal(0, 2, hot.shape) + 60 * hot)) for _ in range(4)]
    np.testing.assert_array_equal(hot_pixels(darks), hot)


def test_frames_that_differ_are_refused(frame):
    with pytest.raises(InputError, match="frames: expected at least one"):
        average([])
    with pytest.raises(InputError, match="frames: expected equal sizes and settings"):
        average([frame([[300]], exposure=0.1), frame([[300]], exposure=0.2)])
    with pytest.raises(InputError, match="frames: expected equal sizes"):
        hdr([frame([[300]]), frame([[300, 300]])])
