"""A bracket merged: the least noisy unbiased estimate, and shifts between its frames."""

import numpy as np
import pytest
import torch
from scipy.ndimage import fourier_shift

from lensless.calibration.merge import drift, merge
from lensless.calibration.noise_model import NoiseModel, fit_noise, pairs
from lensless.errors import InputError

FULL = 2.0 * (4095 - 256)


def smooth(shape, seed=0):
    """Random light of some pixels' scale, mean 1, zero at its least."""
    generator = torch.Generator().manual_seed(seed)
    fy, fx = torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])
    spectrum = torch.fft.fft2(torch.randn(shape, generator=generator)) * torch.exp(-(fy**2 + fx**2) / 0.08**2)
    light = torch.fft.ifft2(spectrum).real
    light = light - light.min()
    return (light / light.mean()).square()


def test_two_frames_by_hand(lab):
    sensor = lab.sensor((60, 80), cfa=None)
    frames = [lab.take(sensor, torch.zeros(60, 80), t) for t in (1.0, 2.0)]
    signals = [torch.full((60, 80), value) for value in (0.3, 0.5)]
    merged = merge(frames, signals, NoiseModel(0.1, 0.01, np.empty((0, 3))))
    x = 0.8 / 3  # under photon noise alone
    v = [0.01 + 0.01 * x, 0.01 + 0.01 * 2 * x]
    expected = (0.3 / v[0] + 0.5 * 2 / v[1]) / (1 / v[0] + 4 / v[1])
    torch.testing.assert_close(merged.light, torch.full((60, 80), expected))
    torch.testing.assert_close(merged.sigma, torch.full((60, 80), (1 / v[0] + 4 / v[1]) ** -0.5))


@pytest.mark.parametrize("gains", [(1.0, 1.0, 1.0, 1.0), (4.0, 2.0, 1.0, 1.0)])
def test_the_light_is_unbiased_and_its_error_as_stated(lab, gains):
    sensor = lab.sensor((150, 201))
    light = smooth(sensor.shape)
    exposures = (0.02, 0.08, 0.3, 1.2)
    frames = [lab.take(sensor, light, t, gain=g, seed=k) for k, (t, g) in enumerate(zip(exposures, gains, strict=True))]
    signals = [frame.signal() for frame in frames]
    merged = merge(frames, signals, fit_noise(pairs(frames, signals)))
    error = (merged.light - light) / merged.sigma
    assert float(error.mean()) == pytest.approx(0, abs=0.04)
    assert float(error.std()) == pytest.approx(1, abs=0.04)
    # better than any frame alone where that one does not clip
    for frame, signal in zip(frames, signals, strict=True):
        kept = ~frame.clipped()
        alone = (signal / frame.integration - light)[kept].square().mean()
        assert float((merged.light - light)[kept].square().mean()) < float(alone)


def test_clipped_frames_have_no_say_and_the_shortest_gives_a_lower_bound(lab):
    sensor = lab.sensor((60, 80))
    light = torch.full(sensor.shape, 0.5)
    light[20:30, 20:30] = 30.0
    frames = [lab.take(sensor, light, t, seed=k) for k, t in enumerate((0.05, 0.2, 0.8))]
    signals = [frame.signal() for frame in frames]
    merged = merge(frames, signals, NoiseModel(1e-3, 1 / FULL, np.empty((0, 3))))
    assert merged.clipped.sum() == 100
    assert float(merged.light[20:30, 20:30].mean()) == pytest.approx(1 / 0.05, rel=1e-3)
    assert float(merged.light[:20].mean()) == pytest.approx(0.5, rel=5e-3)


def test_a_bracket_of_several_sizes_is_refused(lab):
    frames = [lab.take(lab.sensor((10, 12)), torch.zeros(10, 12), 1.0), lab.take(lab.sensor((10, 14)), 0.0, 1.0)]
    with pytest.raises(InputError, match="expected one size"):
        merge(frames, [frame.signal() for frame in frames], NoiseModel(1e-3, 1e-4, np.empty((0, 3))))


@pytest.mark.parametrize("cfa", ["RGGB", None])
def test_the_shift_of_each_frame_is_found(lab, cfa):
    sensor = lab.sensor((96, 130), cfa=cfa)
    light, places = smooth(sensor.shape), [(0.0, 0.0), (0.4, -1.3), (3.0, 2.0)]
    frames = []
    for k, (place, exposure) in enumerate(zip(places, (0.3, 0.02, 1.2), strict=True)):
        moved = np.fft.ifft2(fourier_shift(np.fft.fft2(light.numpy()), place)).real.clip(0)
        frames.append(lab.take(sensor, torch.from_numpy(moved), exposure, seed=k))
    found = drift(frames, [frame.signal() for frame in frames])
    assert np.array(found) == pytest.approx(np.array(places), abs=0.12)


def test_a_frame_that_shows_nothing_has_no_place(lab):
    sensor = lab.sensor((60, 80))
    frames = [lab.take(sensor, smooth(sensor.shape), 0.3), lab.take(sensor, 0.0, 1e-4, seed=1)]
    assert None in drift(frames, [frame.signal() for frame in frames])
