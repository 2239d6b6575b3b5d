import numpy as np
import pytest

from lensless_capture.cameras.base import CameraInfo, Settings
from lensless_capture.cameras.virtual import VirtualCamera
from lensless_capture.errors import InputError
from lensless_capture.exposure import AutoExposure, Forecast, level, saturated

INFO = CameraInfo("test", (10, 10), 12, None, exposure_range=(1e-4, 2.0), gain_range=(1.0, 8.0))


def test_the_level_is_a_percentile_that_hot_pixels_do_not_move(frame):
    counts = np.full((20, 50), 256 + 1000)
    counts[0, :4] = 4095  # 0.4 % of the pixels
    assert level(frame(counts)) == pytest.approx(1000 / 3839)
    assert level(frame(counts), 100) == 1.0
    assert saturated(frame(counts)) == 0.004


def test_the_level_is_that_of_sorted_counts(frame):
    counts = np.random.default_rng(1).integers(256, 4000, (37, 53))
    for percentile in (1, 50, 99.5):
        nearest = np.sort(counts.ravel())[int(np.ceil(percentile / 100 * counts.size)) - 1]
        assert level(frame(counts), percentile) == pytest.approx((nearest - 256) / 3839)


def test_exposure_goes_first_and_gain_takes_over_at_the_longest(frame):
    auto, at = AutoExposure(low=0.6, high=0.8, longest=1.0), Settings(0.1)
    quarter = frame(np.full((9, 9), 256 + 0.175 * 3839))  # a quarter of the target 0.7
    assert auto.next(quarter, at, INFO).exposure == pytest.approx(0.4, rel=2e-3)
    assert auto.next(quarter, Settings(0.5), INFO) == Settings(1.0, pytest.approx(2.0, rel=2e-3))
    assert auto.next(quarter, Settings(1.0, 8.0), INFO) == Settings(1.0, 8.0)
    clipped = frame(np.full((9, 9), 4095))
    assert auto.next(clipped, Settings(1.0, 2.0), INFO) == Settings(0.25, 1.0)


@pytest.mark.parametrize("light", [0.2, 3.0, 900.0])
def test_it_arrives_from_far_away_and_then_stays(light):
    camera, auto = VirtualCamera(lambda index: np.full((31, 47), light)), AutoExposure()
    settings, asked = Settings(0.05), []
    for _ in range(8):
        settings = auto.next(camera.capture(settings), settings, camera.info)
        asked.append(settings)
    assert asked[-1] == asked[-3]
    assert 0.5 <= light * settings.exposure * settings.gain <= 0.9
    assert auto.verdict(camera.capture(settings), settings, camera.info) == "good"


def test_the_verdict_says_what_the_light_is(frame):
    auto = AutoExposure()
    bright, dim = frame(np.full((5, 5), 4095)), frame(np.full((5, 5), 300))
    assert auto.verdict(bright, Settings(1e-4), INFO).startswith("too strong light: 100% of full scale at the shortest")
    assert auto.verdict(dim, Settings(1.0, 8.0), INFO).startswith("too weak light: 1% of full scale at the longest")
    assert auto.verdict(bright, Settings(0.1), INFO) == "overexposed: 100% of full scale"
    assert auto.verdict(dim, Settings(0.1), INFO) == "underexposed: 1% of full scale"


def test_a_band_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"low, high: expected 0 < low < high < 0\.98"):
        AutoExposure(low=0.9, high=0.5)


def test_the_next_pictures_exposure_is_told_from_those_before(frame):
    auto, at = AutoExposure(low=0.5, high=0.9), Settings(0.01)
    forecast = Forecast(auto)
    assert forecast.settings(0, 0.3, at, INFO) == at  # nothing is known yet
    forecast.note(0, 0.4, frame(np.full((9, 9), 256 + 0.6 * 3839), exposure=0.01))
    # at these settings a picture 1.2 times as bright comes to 0.72: well within
    assert forecast.settings(0, 0.48, at, INFO) == at
    # a fifth of the light takes 0.7 / 0.12 times as long, four times the light 0.7 / 2.4
    for light, factor in ((0.08, 0.7 / 0.12), (1.6, 0.7 / 2.4)):
        assert forecast.settings(0, light, at, INFO).exposure == pytest.approx(0.01 * factor, rel=2e-3)
        assert forecast.settings(7, light, at, INFO) == forecast.settings(0, light, at, INFO)
    # this mask lets through half of it
    forecast.note(1, 0.4, frame(np.full((9, 9), 256 + 0.3 * 3839), exposure=0.01))
    assert forecast.settings(1, 0.4, at, INFO).exposure == pytest.approx(0.01 * 0.7 / 0.3, rel=2e-3)
    assert forecast.settings(0, 0.48, at, INFO) == at
    for useless in (4095, 256):
        forecast.note(0, 0.4, frame(np.full((9, 9), useless), exposure=0.01))
    assert forecast.settings(0, 0.48, at, INFO) == at
