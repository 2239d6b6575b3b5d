"""PSFs against geometry (shift, magnification, grating equation), closed forms (lens) and energy."""

import math

import pytest
import torch
from torch.func import functional_call

from lensless.errors import InputError
from lensless.physics.masks import AmplitudeMask, PhaseMask
from lensless.physics.propagation import Grid
from lensless.physics.psf import Optics, point_source_psf, point_source_wave, psf_stack, shift_invariance

WAVELENGTH = 0.55e-6


def optics(**changes):
    settings = {
        "sensor_shape": (61, 48),
        "pixel_pitch": (10e-6, 12e-6),
        "distance": 2e-3,
        "wavelengths": (WAVELENGTH,),
        "oversample": 4,
    }
    return Optics(**(settings | changes))


def smooth_phase(shape, pitch, *, seed=0, depth=1.5e-6):
    """Gentle random heights (metres) under an all-open square aperture."""
    grid = Grid(shape, pitch)
    y, x = grid.coordinates()
    generator = torch.Generator().manual_seed(seed)
    height = torch.zeros(shape, dtype=torch.float64)
    for _ in range(12):
        fy, fx, phase = torch.rand(3, dtype=torch.float64, generator=generator).tolist()
        height += torch.sin(2 * math.pi * (4 * fy * y / grid.extent[0] + 4 * fx * x / grid.extent[1] + phase))
    return PhaseMask(height * depth / 12, pitch=pitch, index=1.5)


def pinhole(position, *, radius=30e-6, pitch=(5e-6, 5e-6), shape=(81, 81)):
    y, x = Grid(shape, pitch).coordinates()
    spot = torch.exp(-((y - position[0]) ** 2 + (x - position[1]) ** 2) / radius**2)
    return AmplitudeMask(spot, pitch=pitch)


def centroid(image, pitch):
    y, x = Grid(tuple(image.shape[-2:]), pitch).coordinates()
    return float((image * y).sum() / image.sum()), float((image * x).sum() / image.sum())


def likeness(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))


def test_all_light_that_falls_on_a_clear_mask_lands_on_a_large_sensor():
    # cells of five samples, so that no sample lies across an edge of the mask
    psf = point_source_psf(smooth_phase((27, 21), (12.5e-6, 15e-6)), optics())
    assert psf.shape == (1, 61, 48)
    assert float(psf.sum()) == pytest.approx(1, abs=5e-3)
    assert bool((psf >= 0).all())


def test_an_amplitude_mask_passes_its_mean_square():
    amplitude = torch.tensor([[0.2, 0.9, 0.4], [0.7, 0.1, 1.0], [0.5, 0.3, 0.6]], dtype=torch.float64)
    mask = AmplitudeMask(amplitude, pitch=(100e-6, 100e-6))
    whole = optics(sensor_shape=(71, 71), pixel_pitch=(20e-6, 20e-6), oversample=1, distance=0.5e-3)
    assert float(point_source_psf(mask, whole).sum()) == pytest.approx(float(amplitude.square().mean()), rel=5e-3)


@pytest.mark.parametrize("oversample", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(61, 49), (60, 48)])
def test_the_centre_pixel_is_on_the_axis_for_every_oversampling(shape, oversample):
    mask = pinhole((0.0, 0.0))
    psf = point_source_psf(mask, optics(sensor_shape=shape, pixel_pitch=(5e-6, 5e-6), oversample=oversample))[0]
    about_centre = psf[1 - shape[0] % 2 :, 1 - shape[1] % 2 :]
    assert torch.allclose(about_centre, about_centre.flip(0, 1), atol=1e-9 * float(psf.max()))
    assert divmod(int(psf.argmax()), shape[1]) == (shape[0] // 2, shape[1] // 2)


def test_a_lens_focuses_to_its_diffraction_limited_spot():
    # n = 1.5 and R = 2 mm: f = R / (n - 1) = 4 mm; a square of side D gives (D / lambda f)^2 sinc^2 sinc^2
    side, radius, pitch = 402e-6, 2e-3, 2e-6
    focal_length = radius / 0.5
    y, x = Grid((201, 201), (pitch, pitch)).coordinates()
    lens = PhaseMask(-(y**2 + x**2) / (2 * radius), pitch=(pitch, pitch), index=1.5)

    def spot(distance):
        focus = optics(sensor_shape=(81, 61), pixel_pitch=(0.5e-6, 0.5e-6), oversample=1, distance=distance)
        return point_source_psf(lens, focus)[0]

    psf = spot(focal_length)
    scale = WAVELENGTH * focal_length
    v, u = Grid((81, 61), (0.5e-6, 0.5e-6)).coordinates()
    airy = (side / scale * torch.sinc(side * v / scale) * torch.sinc(side * u / scale)).square() * 0.5e-6**2
    assert torch.allclose(psf, airy, atol=0.01 * float(airy.max()))
    zero = int((psf[40, 30:].diff() > 0).nonzero()[0]) * 0.5e-6
    assert zero == pytest.approx(scale / side, abs=0.5e-6)
    assert float(psf.max()) > 1.2 * float(spot(0.95 * focal_length).max())
    assert float(psf.max()) > 1.2 * float(spot(1.05 * focal_length).max())


@pytest.mark.parametrize("angle", [(0.02, -0.01), (-0.05, 0.04)])
@pytest.mark.parametrize("source_distance", [20e-3, math.inf])
def test_a_source_off_the_axis_shifts_the_psf_by_minus_d_tan_angle(angle, source_distance):
    pitch = (10e-6, 10e-6)
    plane = optics(sensor_shape=(61, 61), pixel_pitch=pitch)
    psf = point_source_psf(pinhole((0.0, 0.0)), plane, source_distance=source_distance, angle=angle)[0]
    assert centroid(psf, pitch) == pytest.approx([-2e-3 * math.tan(a) for a in angle], abs=0.05e-6)


def test_following_the_chief_ray_is_moving_the_sensor():
    # d tan(angle) = 14 and -9 pixels: the same light, read 14 rows and 9 columns away
    plane = optics(sensor_shape=(81, 79), pixel_pitch=(10e-6, 10e-6), least_captured=0.1)
    angle = math.atan(14 * 10e-6 / 2e-3), math.atan(-9 * 10e-6 / 2e-3)
    mask = smooth_phase((27, 21), (12e-6, 12e-6))
    fixed = point_source_psf(mask, plane, angle=angle)[0]
    followed = point_source_psf(mask, plane, angle=angle, follow=True)[0]
    assert likeness(fixed[:67, 9:], followed[14:, :70]) > 0.99999


@pytest.mark.parametrize("source_distance", [1.0, 30e-3, 10e-3])
def test_a_finite_distance_magnifies_the_shadow_by_one_plus_d_over_s(source_distance):
    pitch = (6e-6, 6e-6)
    plane = optics(sensor_shape=(101, 101), pixel_pitch=pitch, oversample=2)
    magnification = 1 + 2e-3 / source_distance
    for position in ((120e-6, 0.0), (-60e-6, 90e-6)):
        psf = point_source_psf(pinhole(position), plane, source_distance=source_distance)[0]
        expected = [magnification * p for p in position]
        assert centroid(psf, pitch) == pytest.approx(expected, abs=0.1e-6)


@pytest.mark.parametrize("source_distance", [40e-3, 8e-3])
def test_a_near_source_is_a_far_one_seen_by_the_demagnified_camera(source_distance):
    # Fresnel scaling: two independent ways to the PSF, a sampled spherical wave and none
    mask, camera = smooth_phase((27, 21), (12e-6, 12e-6)), optics(wavelengths=(0.45e-6, 0.62e-6))
    near = point_source_psf(mask, camera, source_distance=source_distance)
    assert likeness(near, point_source_psf(mask, camera.demagnified(source_distance))) > 0.999
    assert likeness(near, point_source_psf(mask, camera)) < 0.99


def test_a_stack_holds_the_psf_of_every_distance():
    mask, plane = smooth_phase((15, 13), (12e-6, 12e-6)), optics()
    stack = psf_stack(mask, plane, (20e-3, math.inf))
    assert stack.shape == (2, 1, 61, 48)
    assert torch.equal(stack[0], point_source_psf(mask, plane, source_distance=20e-3))
    assert torch.equal(stack[1], point_source_psf(mask, plane))


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.6])
def test_steep_light_obeys_the_grating_equation(angle):
    # sin(out) = sin(in) + m lambda / period: no paraxial model gives these angles
    period, distance = 8e-6, 3e-3
    y, x = Grid((161, 161), (1e-6, 1e-6)).coordinates()
    window = torch.exp(-(y**2 + x**2) / 40e-6**2)
    mask = AmplitudeMask(window * (1 + torch.cos(2 * math.pi * x / period)) / 2, pitch=(1e-6, 1e-6))
    plane = optics(sensor_shape=(61, 451), pixel_pitch=(4e-6, 4e-6), distance=distance, oversample=4)
    psf = point_source_psf(mask, plane, angle=(0, angle), follow=True)[0].sum(0)
    incoming = -math.sin(angle)
    foot = -distance * math.tan(angle)
    for order in (-1, 0, 1):
        landing = distance * math.tan(math.asin(incoming + order * WAVELENGTH / period)) - foot
        middle = 225 + round(landing / 4e-6)
        lobe = psf[middle - 20 : middle + 21]
        offset = float((lobe * torch.arange(-20, 21)).sum() / lobe.sum())
        assert (middle - 225 + offset) * 4e-6 == pytest.approx(landing, abs=2e-6)


def test_the_shift_invariant_model_holds_on_axis_and_fades_with_angle():
    mask, plane = smooth_phase((27, 21), (12e-6, 12e-6), depth=6e-6), optics()
    rho = shift_invariance(mask, plane, [(0.0, 0.0), (0.2, 0.0), (0.4, 0.0), (0.7, 0.0)])
    assert rho.shape == (4,)
    assert float(rho[0]) == pytest.approx(1)
    assert bool((rho.diff() < 0).all())
    assert float(rho[-1]) < 0.97


@pytest.mark.parametrize("angle", [(0.0, 0.0), (0.3, -0.2)])
def test_a_point_sources_wave_is_spherical(angle):
    grid, distance = Grid((45, 38), (3e-6, 4e-6)), 5e-3
    wave, carrier = point_source_wave(grid, wavelength=WAVELENGTH, distance=distance, angle=angle)
    y, x = grid.coordinates()
    source = [distance * math.tan(a) for a in angle]
    ray = ((y - source[0]) ** 2 + (x - source[1]) ** 2 + distance**2).sqrt()
    chief = math.hypot(distance, *source)
    expected = chief / ray * torch.exp(2j * math.pi * (ray - chief) / WAVELENGTH)
    found = wave * torch.exp(2j * math.pi * (carrier[0] * y + carrier[1] * x))
    assert torch.allclose(found, expected, atol=1e-8)


def test_channels_weigh_wavelengths_by_the_response():
    mask = smooth_phase((15, 13), (12e-6, 12e-6))
    apart = point_source_psf(mask, optics(wavelengths=(0.45e-6, 0.55e-6, 0.65e-6)))
    response = ((0.1, 0.6, 0.2), (0.0, 0.3, 2.0))
    mixed = point_source_psf(mask, optics(wavelengths=(0.45e-6, 0.55e-6, 0.65e-6), response=response))
    expected = torch.einsum("cl,lhw->chw", torch.tensor(response, dtype=torch.float64), apart)
    assert torch.allclose(mixed, expected, rtol=1e-6, atol=0)


def test_a_bank_of_masks_gives_the_psf_of_each():
    bank = torch.rand(3, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together = point_source_psf(AmplitudeMask(bank, pitch=(20e-6, 20e-6)), optics())
    assert together.shape == (3, 1, 61, 48)
    for psf, amplitude in zip(together, bank, strict=True):
        alone = point_source_psf(AmplitudeMask(amplitude, pitch=(20e-6, 20e-6)), optics())
        assert torch.allclose(psf, alone, atol=1e-12)


@pytest.mark.parametrize(
    ("mask", "name", "scale"),
    [
        (AmplitudeMask(torch.ones(3, 4, dtype=torch.float64), pitch=(6e-6, 7e-6)), "amplitude", 1.0),
        (PhaseMask(torch.ones(3, 4, dtype=torch.float64), pitch=(6e-6, 7e-6), index=(1.5, 5e-15)), "height", 1e-6),
    ],
)
@pytest.mark.parametrize(("source_distance", "angle"), [(math.inf, (0.0, 0.0)), (5e-3, (0.1, -0.05))])
def test_gradients_in_every_mask_parameter_are_those_of_finite_differences(mask, name, scale, source_distance, angle):
    plane = optics(
        sensor_shape=(5, 6), pixel_pitch=(6e-6, 6e-6), oversample=2, distance=50e-6, wavelengths=(4.5e-7, 6e-7),
        response=((1.0, 0.5),),
    )  # fmt: skip
    values = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)

    class Psf(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mask = mask

        def forward(self):
            return point_source_psf(self.mask, plane, source_distance=source_distance, angle=angle)

    assert torch.autograd.gradcheck(
        lambda v: 100 * functional_call(Psf(), {f"mask.{name}": v * scale}, ()), values, eps=1e-5, atol=1e-6
    )


def test_the_wave_and_the_mask_share_the_grids_band():
    # 0.2 waves a sample from the source fit beside 0.27 from the mask (0.3 * 0.5 * 1 um / 0.55 um), not beside 0.36
    distance, plane = 81e-6 / 2 / 0.11, optics(pixel_pitch=(1e-6, 1e-6), oversample=1, distance=20e-6)
    _, x = Grid((61, 81), (1e-6, 1e-6)).coordinates()
    gentle, steep = (PhaseMask(s * x.expand(61, 81), pitch=(1e-6, 1e-6), index=1.5) for s in (0.3, 0.4))
    assert gentle.steepness(gentle.grid((1e-6, 1e-6)), WAVELENGTH) == pytest.approx(0.15 / 0.55)
    point_source_psf(gentle, plane, source_distance=distance)
    point_source_psf(steep, plane)
    with pytest.raises(InputError, match=r"turns by 0.1\d+ waves a sample at the mask's edge, the mask by 0.364"):
        point_source_psf(steep, plane, source_distance=distance)


MASK = AmplitudeMask(torch.ones(9, 9), pitch=(40e-6, 40e-6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optics(wavelengths=(550,)), "wavelengths: expected lengths in metres such as 550e-9"),
        (lambda: optics(wavelengths=()), "wavelengths: expected lengths"),
        (lambda: optics(response=((1, 2),)), r"response: expected rows \(C, 1\)"),
        (lambda: optics(response=((-1,),)), "response: expected rows"),
        (lambda: optics(distance=-1), "distance: expected a positive length"),
        (lambda: optics(oversample=0), "oversample: expected a whole number"),
        (lambda: optics(oversample=1.5), "oversample: expected a whole number"),
        (lambda: optics(sensor_shape=(0, 3)), "shape: expected two positive sizes"),
        (lambda: point_source_psf(MASK, optics(), source_distance=0.0), "source_distance: expected a positive"),
        (
            lambda: point_source_psf(MASK, optics(), source_distance=1e-3),
            r"source_distance: the wave from 0.001 m turns by .* make oversample",
        ),
        (lambda: point_source_psf(MASK, optics(pixel_pitch=(200e-6, 200e-6))), "finer than the grid"),
        (lambda: point_source_psf(MASK, optics(sensor_shape=(21, 16))), "PSF is wider than the sensor"),
        (lambda: point_source_psf(MASK, optics(), angle=(0.2, 0.0)), "least_captured: .* at .* an angle"),
        (lambda: point_source_psf(MASK, optics(), angle=(0.5, 0.0)), "out_centre: the light lands at y = -0.001"),
        (
            lambda: point_source_psf(AmplitudeMask(torch.zeros(9, 9), pitch=(4e-5, 4e-5)), optics()),
            "mask: expected light to pass",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
