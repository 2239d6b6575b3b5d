import math
from dataclasses import replace

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.cfa import mosaic
from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor, get_sensor, sensor_names

MONO = Sensor(
    (211, 307),
    pitch=(2e-6, 3e-6),
    bits=12,
    full_well=20000,
    gain=2.0,
    read_noise=4.0,
    black_level=200,
    cfa=None,
    response=(1.0,),
)
BAYER = replace(MONO, cfa="GRBG", response=(0.4, 1.0, 0.7))
PIXELS = 211 * 307


def flat(sensor, level):
    """Even light ``level`` on every pixel."""
    return torch.full((1, len(sensor.response), *sensor.shape), float(level))


def statistics(sensor, level, **settings):
    """Mean and variance over the counts of one flat frame."""
    counts = sensor.expose(flat(sensor, level), sample_generator(7, 0), **settings).double()
    return float(counts.mean()), float(counts.var())


@pytest.mark.parametrize("gain", [1.3, 2.0, 5.0])
@pytest.mark.parametrize("exposure, iso", [(1.0, 100), (0.02, 100), (1.0, 800), (0.25, 400)])
def test_photon_transfer_curve(gain, exposure, iso):
    """Mean black + mu / K, variance (mu + dark + read^2) / K^2 + 1/12, with K electrons a count."""
    sensor = replace(MONO, gain=gain, dark_current=30.0)
    electrons_per_count = gain * 100 / iso
    for fraction in (0.0, 0.05, 0.3, 0.8):
        level = fraction * 100 / iso / exposure
        mean, variance = statistics(sensor, level, exposure=exposure, iso=iso)
        mu = level * exposure * min(20000, gain * (4095 - 200))
        expected = (mu + 30.0 * exposure + 4.0**2) / electrons_per_count**2 + 1 / 12
        assert mean == pytest.approx(200 + mu / electrons_per_count, abs=4 * math.sqrt(expected / PIXELS))
        assert variance == pytest.approx(expected, rel=5 * math.sqrt(2 / PIXELS))


def test_slope_of_the_photon_transfer_curve_is_the_gain():
    points = [statistics(MONO, level) for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    mean, variance = torch.tensor(points, dtype=torch.float64).T
    slope = ((mean - mean.mean()) * (variance - variance.mean())).sum() / (mean - mean.mean()).square().sum()
    assert 1 / slope == pytest.approx(MONO.gain, rel=0.02)


@pytest.mark.parametrize("sensor", [MONO, BAYER, replace(BAYER, cfa=None)], ids=["mono", "bayer", "rgb"])
def test_linearise_is_right_on_average(sensor):
    light = 0.1 + 2.0 * torch.rand(1, len(sensor.response), *sensor.shape, generator=sample_generator(1, 0))
    settings = {"exposure": 0.1, "iso": 200}
    estimate = sensor.linearise(sensor.expose(light, sample_generator(1, 1), **settings), **settings)
    noise = (estimate - (mosaic(light, sensor.cfa) if sensor.cfa else light)).double()
    assert estimate.shape == (1, *sensor.frame_shape)
    assert abs(noise.mean()) < 4 * noise.std() / noise.numel() ** 0.5


def test_each_colour_counts_by_its_response():
    counts = BAYER.expose(flat(BAYER, 0.5), sample_generator(0, 0)).double() - 200
    electrons = {(0, 0): 1.0, (0, 1): 0.4, (1, 0): 0.7, (1, 1): 1.0}  # GRBG
    for (row, column), response in electrons.items():
        mean = counts[0, 0, row::2, column::2].mean()
        assert mean == pytest.approx(0.5 * response * BAYER.saturation / BAYER.gain, rel=0.002)


def test_dark_frames_keep_the_black_level_and_gain_dark_shot_noise():
    sensor = replace(MONO, dark_current=500.0)
    mean, variance = statistics(sensor, 0, exposure=10.0)
    assert mean == pytest.approx(200, abs=0.6)
    assert variance == pytest.approx((5000 + 16) / 4 + 1 / 12, rel=0.03)
    counts = torch.full((1, 1, *sensor.shape), 200, dtype=torch.int32)
    assert torch.equal(sensor.linearise(counts), torch.zeros(1, 1, *sensor.shape))


def test_saturation_of_the_converter_and_of_the_well():
    assert MONO.saturation == 2.0 * (4095 - 200)
    counts = MONO.expose(flat(MONO, 5.0), sample_generator(0, 0))
    assert counts.dtype == torch.int32
    assert torch.equal(counts, torch.full_like(counts, 4095))
    assert torch.equal(MONO.linearise(counts), torch.ones(1, 1, *MONO.shape))

    shallow = replace(MONO, full_well=3000)
    mean, variance = statistics(shallow, 5.0)
    assert mean == pytest.approx(200 + 3000 / 2, abs=0.05)
    assert variance == pytest.approx(16 / 4 + 1 / 12, rel=0.03)  # no shot noise in a full well


def test_fixed_pattern_has_its_rms_and_belongs_to_the_unit():
    sensor = replace(MONO, shape=(61, 103), prnu=0.02, dsnu=6.0)
    light = flat(sensor, 0.5).expand(200, -1, -1, -1)

    def average(specimen, frames):
        generators = [sample_generator(3, index) for index in range(len(frames))]
        return specimen.expose(frames, generators).double().mean(0)

    bright, dark = average(sensor, light), average(sensor, torch.zeros_like(light))
    assert bright.std() == pytest.approx(math.hypot(0.02 * 0.5 * sensor.saturation, 6.0) / 2, rel=0.05)
    assert dark.std() == pytest.approx(6.0 / 2, rel=0.05)
    again = average(replace(sensor), light[:50])
    other = average(replace(sensor, unit=1), light[:50])
    assert torch.corrcoef(torch.stack([bright.flatten(), again.flatten()]))[0, 1] > 0.98
    assert abs(torch.corrcoef(torch.stack([bright.flatten(), other.flatten()]))[0, 1]) < 0.06


def test_noise_of_a_frame_is_independent_of_the_fixed_pattern():
    """Even where the frame and the unit have one seed: correlation below 4 / sqrt(pixels)."""
    sensor = replace(MONO, prnu=0.02, dsnu=6.0)
    counts = sensor.expose(flat(sensor, 0.5), sample_generator(sensor.unit, 0)).double()
    gain, offset = (pattern.double() for pattern in sensor.fixed_pattern)
    noise = counts - 200 - (0.5 * sensor.saturation * gain + offset) / sensor.gain
    for pattern in (gain, offset):
        correlation = torch.corrcoef(torch.stack([noise.flatten(), pattern.flatten()]))[0, 1]
        assert abs(correlation) < 4 / PIXELS**0.5


def test_a_sample_has_the_same_bytes_in_any_batch():
    light = torch.rand(3, 3, *BAYER.shape, generator=sample_generator(0, 0))
    batch = BAYER.expose(light, [sample_generator(5, index) for index in range(3)])
    assert torch.equal(batch[1:2], BAYER.expose(light[1:2], sample_generator(5, 1)))
    assert not torch.equal(batch[1:2], BAYER.expose(light[1:2], sample_generator(5, 2)))


@pytest.mark.parametrize(
    "light, noise",
    [
        (0.6, {}),
        (0.6, {"prnu": 0.03}),
        (0.01, {"read_noise": 50.0}),
        (0.01, {"dsnu": 50.0}),
        (0.01, {"dark_current": 3000.0}),
    ],
)
def test_resized_has_the_statistics_of_averaged_pixels(light, noise):
    full = replace(MONO, shape=(480, 640), **noise)
    small = full.resized((120, 80))  # 4 x 8 pixels each
    assert small.pitch == (4 * 2e-6, 8 * 3e-6)
    assert small.saturation == pytest.approx(32 * full.saturation)
    pixels = full.linearise(full.expose(flat(full, light), sample_generator(0, 0)))
    averaged = torch.nn.functional.avg_pool2d(pixels, (4, 8))
    direct = small.linearise(small.expose(flat(small, light), sample_generator(0, 1)))
    assert direct.mean() == pytest.approx(light, abs=1e-3)
    assert direct.var() == pytest.approx(float(averaged.var()), rel=0.1)


def test_a_bayer_cell_read_as_one_pixel():
    colour = replace(BAYER, shape=(6, 10)).without_cfa()
    assert (colour.shape, colour.pitch, colour.frame_shape) == ((3, 5), (4e-6, 6e-6), (3, 3, 5))
    with pytest.raises(InputError, match="no colour filter array"):
        MONO.without_cfa()


@pytest.mark.parametrize(
    "name, shape, micrometres, bits",
    [
        ("imx477", (3040, 4056), 1.55, 12),
        ("imx296", (1088, 1456), 3.45, 10),
        ("imx219", (2464, 3280), 1.12, 10),
        ("imx708", (2592, 4608), 1.4, 10),
        ("imx287", (544, 728), 6.9, 12),
        ("imx548", (2064, 2472), 2.74, 12),
    ],
)
def test_table(name, shape, micrometres, bits):
    sensor = get_sensor(name.upper())
    assert (sensor.shape, sensor.bits) == (shape, bits)
    assert sensor.pitch == pytest.approx((micrometres * 1e-6, micrometres * 1e-6))
    assert sensor.black_level == {12: {"imx477": 256}.get(name, 240), 10: {"imx296": 60}.get(name, 64)}[bits]


@pytest.mark.parametrize(
    "name, slope",
    [("imx477", 2.767), ("imx296", 2.671), ("imx219", 3.67), ("imx708", 2.5)],
)
def test_gain_agrees_with_the_noise_slope_in_libcameras_tuning(name, slope):
    """std = slope sqrt(mean) in 16-bit counts, so slope^2 is 16-bit counts per electron."""
    sensor = get_sensor(name)
    assert sensor.gain == pytest.approx(2 ** (16 - sensor.bits) / slope**2, rel=0.025)


def test_every_sensor_of_the_table_makes_frames():
    assert sensor_names() == ["imx219", "imx287", "imx296", "imx477", "imx548", "imx708"]
    for name in sensor_names():
        sensor = replace(get_sensor(name), shape=(120, 160))
        estimate = sensor.linearise(sensor.expose(flat(sensor, 0.5), sample_generator(0, 0)))
        assert estimate.mean() == pytest.approx(0.5, rel=0.01)


def test_an_unknown_sensor_brings_the_nearest_names():
    with pytest.raises(InputError, match="'imx447' is not known; did you mean imx477"):
        get_sensor("imx447")
    with pytest.raises(InputError, match="'ccd' is not known; known: imx219, imx287, imx296, imx477, imx548, imx708"):
        get_sensor("ccd")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shape": (0, 4)}, "shape: expected two positive numbers"),
        ({"pitch": (1e-6,)}, "pitch: expected two positive numbers"),
        ({"bits": 17}, "bits: expected 1 to 16, got 17"),
        ({"gain": 0.0}, "gain: expected a positive number, got 0.0"),
        ({"read_noise": -1.0}, "read_noise: expected a number >= 0, got -1.0"),
        ({"black_level": 4095}, "black_level: expected 0 to 4094 for 12 bits, got 4095"),
        ({"cfa": "RGBG", "response": (1, 1, 1)}, "pattern: expected one of RGGB"),
        ({"cfa": "RGGB"}, "response: a RGGB sensor has R, G and B"),
        ({"response": (1.0, 0.0)}, "response: expected positive numbers"),
    ],
)
def test_sensors_that_do_not_exist(change, message):
    with pytest.raises(InputError, match=message):
        replace(MONO, **change)


@pytest.mark.parametrize(
    "light, settings, message",
    [
        (torch.ones(1, 3, *MONO.shape), {}, r"irradiance: .* \(B, 1, 211, 307\), got \(1, 3, 211, 307\)"),
        (flat(MONO, 1).int(), {}, "irradiance: expected floating point, got torch.int32"),
        (flat(MONO, 1).numpy(), {}, "irradiance: expected a tensor .*, got ndarray"),
        (flat(MONO, math.nan), {}, "irradiance: expected finite values"),
        (flat(MONO, -0.01), {}, "irradiance: expected light >= 0, got a minimum of -0.01"),
        (flat(MONO, 1), {"exposure": 0}, "exposure: expected seconds > 0, got 0"),
        (flat(MONO, 1), {"iso": 50}, "iso: expected at least 100"),
    ],
)
def test_light_that_cannot_be_exposed(light, settings, message):
    with pytest.raises(InputError, match=message):
        MONO.expose(light, sample_generator(0, 0), **settings)


def test_rounding_of_an_fft_below_zero_counts_as_dark():
    light = flat(MONO, 0.0)
    light[..., 0, 0] = 1.0
    light[..., 1:, :] = -5e-6
    counts = MONO.expose(light, sample_generator(0, 0)).double()
    assert counts[..., 1:, :].mean() == pytest.approx(200, abs=0.1)


def test_counts_that_the_sensor_cannot_have_made():
    with pytest.raises(InputError, match="at most 4095 from 12 bits, got 65520; stored left-aligned"):
        MONO.linearise(torch.full((1, 1, *MONO.shape), 65520, dtype=torch.int32))
    with pytest.raises(InputError, match="counts: expected a tensor"):
        MONO.linearise(torch.zeros(1, 1, 10, 10))


def test_resized_cannot_add_pixels():
    with pytest.raises(InputError, match=r"at most \(211, 307\), got \(212, 307\)"):
        MONO.resized((212, 307))
