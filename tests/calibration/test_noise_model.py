"""Photon transfer: the noise of a sensor comes out of frames of any scene, in the units that it was put in."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lensless.calibration.noise_model import Pair, fit_noise, pairs

FULL = 2.0 * (4095 - 256)  # electrons at full scale


def scene(kind, shape):
    """(H, W): even light, or spots of some pixels as optics make them, the brightest 2.5 full scales a second."""
    if kind == "even":
        return torch.full(shape, 1.0)
    spots = gaussian_filter((np.random.default_rng(3).random(shape) > 0.99).astype(np.float32), 1.5)
    return torch.from_numpy(2.5 * spots / spots.max())


@pytest.mark.parametrize("kind", ["even", "spots"])
@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_read_noise_and_full_scale_are_found(lab, kind, gain):
    sensor = lab.sensor((160, 210), prnu=0.02)  # the pixels' own gains have no part in it
    light = scene(kind, sensor.shape)
    exposures = (0.01, 0.04, 0.16, 0.17)
    frames = [lab.take(sensor, light, t, gain=gain, seed=k) for k, t in enumerate(exposures)]
    noise = fit_noise(pairs(frames, [frame.signal() for frame in frames]))
    assert 1 / noise.shot == pytest.approx(FULL, rel=0.04)
    # read noise is of electrons here, and counts are rounded
    counts = np.sqrt((4.0 * gain / 2.0) ** 2 + 1 / 12)
    assert noise.read * (4095 - 256) == pytest.approx(counts, rel=0.06 if kind == "spots" else 0.15)


def test_an_average_has_the_variance_of_its_frames_over_their_number(lab):
    sensor = lab.sensor((120, 160), cfa=None)
    light = torch.linspace(0.01, 0.8, 160).expand(120, 160)
    shots = [torch.stack([lab.take(sensor, light, t, seed=10 * k + n).signal() for n in range(4)]).mean(0)
             for k, t in enumerate((0.5, 1.0))]  # fmt: skip
    frames = [lab.take(sensor, light, t) for t in (0.5, 1.0)]
    noise = fit_noise(pairs(frames, shots))
    assert 1 / noise.shot == pytest.approx(4 * FULL, rel=0.04)


def test_noise_below_half_a_count_is_left_out(lab):
    # 200 electrons a count: shot noise is half a count from 10000 of the 767800 electrons of full scale on
    sensor = lab.sensor((160, 210), gain=200.0, full_well=1e7)
    light = torch.linspace(0.001, 2.0, 210).expand(160, 210)
    frames = [lab.take(sensor, light, t, seed=k) for k, t in enumerate((0.1, 0.2, 0.4))]
    noise = fit_noise(pairs(frames, [frame.signal() for frame in frames]))
    assert 1 / noise.shot == pytest.approx(200 * 3839, rel=0.05)
    counts = torch.randint(0, 500, (60, 80), generator=torch.Generator().manual_seed(0))
    assert replace(frames[0], counts=8 * counts % 4096).step == 8
    assert replace(frames[0], counts=2 * counts, frames=8).step == 16


def test_pixels_that_changed_are_no_noise(lab):
    sensor = lab.sensor((120, 160))
    frames = [lab.take(sensor, torch.full(sensor.shape, 1.0), t, seed=k) for k, t in enumerate((0.1, 0.4, 0.8))]
    signals = [frame.signal() for frame in frames]
    signals[1][::17, ::13] += 0.3
    assert 1 / fit_noise(pairs(frames, signals)).shot == pytest.approx(FULL, rel=0.05)


def test_the_factor_is_the_ratio_of_light_where_nothing_clips(lab):
    sensor = lab.sensor((60, 80))
    light = scene("spots", sensor.shape)
    frames = [lab.take(sensor, light, t, gain=g, seed=k) for k, (t, g) in enumerate([(0.1, 1.0), (0.075, 4.0)])]
    (pair,) = pairs(frames, [frame.signal() for frame in frames])
    assert pair.expected == pytest.approx(3.0)
    assert pair.error < 0.01
    assert pair.factor == pytest.approx(3.0, rel=3 * pair.error)
    dark = [lab.take(sensor, 0.0, t, seed=k) for k, t in enumerate((0.1, 0.4))]
    (pair,) = pairs(dark, [frame.signal() for frame in dark])
    assert (pair.factor, pair.error) == (4.0, np.inf)
    assert fit_noise([]) is None
    clipped = [lab.take(sensor, torch.full(sensor.shape, 9.0), 1.0) for _ in range(2)]
    assert Pair.of(clipped[0], clipped[0].signal(), clipped[1], clipped[1].signal()) is None
