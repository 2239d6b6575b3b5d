"""Simulated cameras: geometry, light and noise against hand-computed values and SciPy's convolution."""

from dataclasses import replace

import pytest
import skimage.data
import skimage.transform
import torch
from scipy.signal import fftconvolve

from lensless.errors import InputError
from lensless.images.gamma import srgb_to_linear
from lensless.physics.mask_shapes import PinholeMask
from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor
from lensless.physics.system import System, get_system, sized_sensor, system_names
from lensless.recon.admm import ADMM

READY = ["diffuser", "digicam", "flatcam_mls", "fza", "multilens", "phlatcam", "pinholes", "tape", "voronoi"]
SENSOR = Sensor(
    (33, 47),
    pitch=(2e-5, 3e-5),
    bits=12,
    full_well=8000,
    gain=2.0,
    read_noise=3.0,
    black_level=256,
    cfa=None,
    response=(0.5, 1.0),
)


def pinholes(centres, **changes):
    """A camera of pinholes 40 um across, 2 mm before a 33 x 47 sensor."""
    mask = PinholeMask((6e-4, 1.2e-3), centres=centres, radius=2e-5)
    system = System(
        "pinholes",
        mask=mask,
        sensor=SENSOR,
        mask_distance=2e-3,
        scene_distance=0.1,
        wavelengths=(6e-7, 5e-7),
        field_pitch=1e-5,
    )
    return replace(system, **changes)


def delta_camera(**changes):
    """A camera whose PSF is its centre pixel: the measurement is the light itself."""
    psf = torch.zeros(2, 33, 47)
    psf[:, 16, 23] = 1
    return pinholes([(0.0, 0.0)], **changes).with_psf(psf)


@pytest.fixture(scope="module", params=READY)
def ready(request):
    return get_system(request.param, size="tiny")


def photograph(shape):
    """Linear (1, 3, *shape), the astronaut in the middle half, black around."""
    picture = skimage.transform.resize(skimage.data.astronaut(), (shape[0] // 2, shape[1] // 2), anti_aliasing=True)
    scene = torch.zeros(1, 3, *shape)
    top, left = shape[0] // 4, shape[1] // 4
    scene[0, :, top : top + shape[0] // 2, left : left + shape[1] // 2] = srgb_to_linear(
        torch.from_numpy(picture).float().movedim(-1, 0)
    )
    return scene


def test_the_ready_systems():
    assert system_names() == READY


def test_psf_of_a_ready_system(ready):
    psf = ready.psf
    assert psf.shape == (3, 36, 48) and psf.dtype == torch.float32
    assert float(psf.min()) >= 0
    assert float(psf.sum((-2, -1)).mean()) == pytest.approx(1, abs=1e-5)
    point = torch.zeros(1, 3, 36, 48)
    point[..., 18, 24] = 1
    torch.testing.assert_close(ready.physics(point)[0], psf, atol=1e-6, rtol=1e-4)


def test_a_ready_system_can_be_reconstructed(ready):
    scene = photograph((36, 48))
    measurement = ready.measure(scene, sample_generator(0, 0))
    estimate = ADMM(100)(measurement, ready.physics).clamp(0, 1)

    def psnr(image):
        return float(-10 * (image - scene).square().mean().log10())

    assert psnr(estimate) > 20 and psnr(estimate) > psnr(measurement) + 6


def test_two_pinholes_are_magnified_by_one_plus_d_over_s():
    system = pinholes([(0.0, -4.5e-4), (0.0, 4.5e-4)], scene_distance=2e-2, field_pitch=4e-6)
    columns = system.psf.sum((0, 1))
    x = (torch.arange(47) - 23) * 3e-5
    left, right = columns * (x < 0), columns * (x > 0)
    apart = float((right * x).sum() / right.sum() - (left * x).sum() / left.sum())
    assert apart == pytest.approx(9e-4 * (1 + 2e-3 / 2e-2), rel=0.005)


def test_pixel_on_scene_is_the_pitch_times_the_ratio_of_distances():
    assert pinholes([(0.0, 0.0)]).pixel_on_scene == pytest.approx((1e-3, 1.5e-3))
    # 3040 x 4056 pixels of 1.55 um on 36 x 48, seen from 2 mm at 400 mm
    assert get_system("digicam", size="tiny").pixel_on_scene == pytest.approx(
        (200 * 1.55e-6 * 3040 / 36, 200 * 1.55e-6 * 4056 / 48)
    )


def test_sizes_share_the_sensors_area():
    areas = [
        [n * p for n, p in zip(sensor.shape, sensor.pitch, strict=True)]
        for sensor in (sized_sensor("imx219", size=size) for size in ("tiny", "small", "full"))
    ]
    assert areas[0] == pytest.approx(areas[2]) and areas[1] == pytest.approx(areas[2])
    assert sized_sensor("imx219", size="small").shape == (96, 128)
    assert sized_sensor("imx219", size="full").shape == (1232, 1640)


def test_measurement_is_on_average_the_convolution_plus_ambient_light():
    system = replace(pinholes([(1e-4, -3e-4), (-1e-4, 2e-4), (0.0, 4e-4)]), ambient=0.3, exposure=0.5, iso=200)
    scene = torch.rand(1, 2, 33, 47, generator=torch.Generator().manual_seed(0)) / 2
    everywhere = torch.full((2, 101, 141), 0.3)
    everywhere[:, 34:67, 47:94] += scene[0]
    field = fftconvolve(everywhere.numpy(), system.psf.numpy(), mode="same", axes=(1, 2))
    expected = torch.from_numpy(field[:, 34:67, 47:94])
    draws = system.measure(scene.expand(200, -1, -1, -1), sample_generator(1, 0))
    standard_error = draws.std(0) / 200**0.5
    # the rounding to counts moves the mean by less than a twentieth of a count
    rounding = 0.05 * 2.0 / (0.5 * 2.0 * SENSOR.saturation) / torch.tensor([0.5, 1.0])[:, None, None]
    assert bool(((draws.mean(0) - expected).abs() < 5 * standard_error + rounding).all())


def test_light_is_what_the_linear_operator_says_at_every_pixel():
    """A PSF without a dark pixel, and scenes lit in the corners, where a wrapped PSF would show first."""
    system = pinholes([(0.0, 0.0)], ambient=0.1)
    system = system.with_psf(torch.rand(2, 33, 47, generator=torch.Generator().manual_seed(1)))
    scene = torch.zeros(2, 2, 33, 47)
    scene[0, :, 0, 0], scene[1, :, -1, -1] = 1.0, 1.0
    expected = system.physics(scene) + system.background
    torch.testing.assert_close(system.light(scene), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="scene: expected light >= 0, got a minimum of -1"):
        system.light(-scene)


def test_ambient_light_alone_is_the_background():
    system = delta_camera(ambient=0.2)
    torch.testing.assert_close(system.background, torch.full((2, 33, 47), 0.2))


@pytest.mark.parametrize("snr_db", [10.0, 40.0])
def test_stated_snr_is_reached(snr_db):
    system = delta_camera(snr_db=snr_db)
    light = torch.rand(300, 2, 33, 47, generator=torch.Generator().manual_seed(0))
    noise = system.measure(light, sample_generator(0, 0)) - light
    reached = 10 * torch.log10(light.square().sum() / noise.square().sum())
    assert float(reached) == pytest.approx(snr_db, abs=0.1)


@pytest.mark.parametrize("snr_db", [None, 20.0])
def test_a_sample_does_not_depend_on_its_batch(snr_db):
    system = replace(get_system("flatcam_mls", size="tiny"), snr_db=snr_db, ambient=0.1)
    scenes = torch.rand(3, 3, 36, 48, generator=torch.Generator().manual_seed(0)) / 2
    together = system.measure(scenes, [sample_generator(5, i) for i in range(3)])
    for i in (2, 0, 1):
        assert torch.equal(together[i], system.measure(scenes[i : i + 1], sample_generator(5, i))[0])


def test_separable_mask_has_a_separable_psf():
    for channel in get_system("flatcam_mls", size="tiny").psf:
        singular = torch.linalg.svdvals(channel)
        assert float(singular[1] / singular[0]) < 1e-3


def test_mask_seeds_draw_different_masks_and_one_seed_the_same():
    first, again, other = (get_system("digicam", size="tiny", mask_seed=seed).psf for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert float((first - other).abs().sum()) > 0.1 * float(first.sum())


def test_psf_wider_than_the_sensor_is_refused():
    with pytest.raises(InputError, match="wider than the sensor"):
        _ = pinholes([(0.0, 0.0)], mask_distance=0.2).psf


def test_mask_too_steep_for_the_sampling_is_refused():
    with pytest.raises(InputError, match="raise oversample"):
        _ = replace(get_system("diffuser", size="tiny"), field_pitch=3e-5).psf


def test_mosaics_wrong_values_and_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"sensor: expected one that sees every colour.*RGGB"):
        pinholes([(0.0, 0.0)], sensor=replace(SENSOR, cfa="RGGB", response=(1, 1, 1)))
    with pytest.raises(InputError, match=r"wavelengths: expected 2, one for each colour"):
        pinholes([(0.0, 0.0)], wavelengths=(6e-7,))
    with pytest.raises(InputError, match="mask_distance: expected metres > 0"):
        pinholes([(0.0, 0.0)], mask_distance=0.0)
    with pytest.raises(InputError, match=r"psf: expected \(2, 33, 47\), got \(3, 33, 47\)"):
        pinholes([(0.0, 0.0)]).with_psf(torch.ones(3, 33, 47))
    with pytest.raises(InputError, match="'digicm' is not known; did you mean digicam"):
        get_system("digicm")
    with pytest.raises(InputError, match="size: expected one of tiny, small, full, got 'huge'"):
        get_system("tape", size="huge")
    with pytest.raises(InputError, match=r"scene: expected light >= 0, got a minimum of -0\.1"):
        delta_camera().measure(torch.full((1, 2, 33, 47), -0.1), sample_generator(0, 0))
    with pytest.raises(InputError, match="did you mean imx477"):
        sized_sensor("imx447", size="tiny")
