"""Propagation against closed forms (Gaussian beam, Airy, sinc), conservation laws and an independent library."""

import math

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.propagation import Grid, angular_spectrum, fresnel

WAVELENGTH = 0.5e-6


def relative_error(found, expected):
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))


def energy(field):
    return float(field.abs().square().sum())


def gaussian_beam(grid, z, waist=40e-6):
    """Paraxial TEM00 beam with its waist at z = 0 (Siegman, Lasers, chapter 17)."""
    y, x = grid.coordinates()
    square = y**2 + x**2
    rayleigh = math.pi * waist**2 / WAVELENGTH
    width = waist * math.sqrt(1 + (z / rayleigh) ** 2)
    curvature = z / (z**2 + rayleigh**2)
    k = 2 * math.pi / WAVELENGTH
    phase = k * square * curvature / 2 + k * z - math.atan(z / rayleigh)
    return waist / width * torch.polar(torch.exp(-square / width**2), phase)


def smooth_noise(grid, seed=0):
    """Random field, band-limited and concentrated in the middle of the grid."""
    y, x = grid.coordinates()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(grid.shape, dtype=torch.complex128, generator=generator)
    spot = torch.exp(-(y**2) / (grid.extent[0] / 12) ** 2 - x**2 / (grid.extent[1] / 12) ** 2)
    grain = torch.exp(-(y**2 + x**2) / (4 * max(grid.pitch)) ** 2)
    low_pass = torch.fft.fft2(torch.fft.ifftshift(grain))
    return torch.fft.ifft2(torch.fft.fft2(noise * spot) * low_pass) * spot


def test_grid_has_its_centre_pixel_on_the_axis():
    grid = Grid((5, 4), (2e-6, 3e-6))
    y, x = grid.coordinates()
    assert y.shape == (5, 1)
    assert x.shape == (1, 4)
    assert y[2, 0] == 0
    assert x.flatten().tolist() == pytest.approx([-6e-6, -3e-6, 0, 3e-6])
    assert grid.extent == pytest.approx((10e-6, 12e-6))
    fy, fx = grid.frequencies()
    assert float(fy[1, 0]) == pytest.approx(1 / 10e-6)
    assert float(fx[0, 1]) == pytest.approx(1 / 12e-6)


@pytest.mark.parametrize("propagate", [angular_spectrum, fresnel])
@pytest.mark.parametrize(("start", "distance"), [(0, 3e-3), (0, 10e-3), (0, 20e-3), (6e-3, -4e-3), (-12e-3, 15e-3)])
def test_a_gaussian_beam_stays_one_in_amplitude_width_and_phase(propagate, start, distance):
    grid = Grid((150, 111), (4e-6, 5e-6))
    found = propagate(gaussian_beam(grid, start), grid, wavelength=WAVELENGTH, distance=distance)
    assert relative_error(found, gaussian_beam(grid, start + distance)) < 2e-4


def test_a_plane_wave_through_a_gaussian_window_leaves_along_its_direction():
    # sin(angle) = wavelength * f and a shift of d tan(angle), also where it is not paraxial
    grid = Grid((64, 240), (1e-6, 0.8e-6))
    y, x = grid.coordinates()
    frequency, distance = 0.45e6, 250e-6
    window = torch.exp(-(y**2) / 12e-6**2 - (x + 40e-6) ** 2 / 12e-6**2)
    field = torch.polar(window, 2 * math.pi * frequency * x * torch.ones_like(y))
    light = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=distance).abs().square()
    centroid = float((light * x).sum() / light.sum())
    assert centroid + 40e-6 == pytest.approx(distance * math.tan(math.asin(WAVELENGTH * frequency)), rel=2e-3)


def test_far_from_a_circular_aperture_lies_the_airy_pattern():
    diameter, distance = 200e-6, 0.5
    grid = Grid((121, 111), (2e-6, 2e-6))
    y, x = grid.coordinates()
    steps = (torch.arange(8) - 3.5) / 8 * 2e-6  # cover each sample to 1 / 64 of its area
    inside = (y[..., None, None] + steps[:, None]) ** 2 + (x[..., None, None] + steps) ** 2 <= diameter**2 / 4
    aperture = inside.double().mean((-2, -1))
    far = fresnel(aperture + 0j, grid, wavelength=WAVELENGTH, distance=distance, out_shape=(3, 2401))
    light = far[1].abs().square()
    _, u = Grid((3, 2401), grid.pitch).coordinates()
    argument = (math.pi * diameter * u[0] / (WAVELENGTH * distance)).abs().clamp_min(1e-9)
    airy = (2 * torch.special.bessel_j1(argument) / argument).square()
    on_axis = (math.pi * diameter**2 / (4 * WAVELENGTH * distance)) ** 2
    # the quadratic phase over the aperture, pi D^2 / (4 lambda d) = 0.13 rad, is what remains of the near field
    assert torch.allclose(light, on_axis * airy, atol=5e-3 * on_axis)
    first_minimum = int((light[1200:].diff() > 0).nonzero()[0])
    zero = float(u[0, 1200 + first_minimum])
    assert zero == pytest.approx(1.22 * WAVELENGTH * distance / diameter, rel=5e-3)


def test_far_from_a_rectangular_aperture_lies_a_sinc_pattern():
    distance = 0.5
    grid = Grid((75, 51), (2e-6, 3e-6))
    height, width = grid.extent
    clear = torch.ones(grid.shape, dtype=torch.complex128)
    far = fresnel(clear, grid, wavelength=WAVELENGTH, distance=distance, out_shape=(901, 801))
    v, u = Grid((901, 801), grid.pitch).coordinates()
    scale = WAVELENGTH * distance
    pattern = (height * width / scale * torch.sinc(height * v / scale) * torch.sinc(width * u / scale)).square()
    assert torch.allclose(far.abs().square(), pattern, atol=5e-3 * float(pattern.max()))


@pytest.mark.parametrize("propagate", [angular_spectrum, fresnel])
def test_there_and_back_again_is_the_identity_on_band_limited_fields(propagate):
    grid = Grid((90, 121), (5e-6, 4e-6))
    field = smooth_noise(grid)
    away = propagate(field, grid, wavelength=WAVELENGTH, distance=2e-3, out_shape=(300, 401))
    assert relative_error(away[105:195, 140:261], field) > 0.1
    wide = Grid((300, 401), grid.pitch)
    back = propagate(away, wide, wavelength=WAVELENGTH, distance=-2e-3, out_shape=grid.shape)
    assert relative_error(back, field) < 1e-6


@pytest.mark.parametrize("propagate", [angular_spectrum, fresnel])
def test_energy_is_conserved_while_all_light_stays_in_the_window(propagate):
    grid = Grid((91, 120), (5e-6, 4e-6))
    field = smooth_noise(grid, seed=1)
    away = propagate(field, grid, wavelength=WAVELENGTH, distance=2e-3, out_shape=(301, 400))
    assert energy(away) == pytest.approx(energy(field), rel=1e-9)


def test_two_steps_make_one():
    grid = Grid((91, 120), (5e-6, 4e-6))
    wide = Grid((301, 400), grid.pitch)
    field = smooth_noise(grid, seed=2)
    once = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=2e-3, out_shape=wide.shape)
    half = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=0.7e-3, out_shape=wide.shape)
    twice = angular_spectrum(half, wide, wavelength=WAVELENGTH, distance=1.3e-3)
    assert relative_error(twice, once) < 1e-6


@pytest.mark.parametrize("distance", [4e-3, 20e-3])
def test_fresnel_and_angular_spectrum_agree_in_the_paraxial_regime(distance):
    # 4 mm: Fresnel sampled over frequency; 20 mm: over space
    grid = Grid((96, 131), (6e-6, 5e-6))
    field = smooth_noise(grid, seed=3)
    exact = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=distance)
    assert relative_error(fresnel(field, grid, wavelength=WAVELENGTH, distance=distance), exact) < 2e-3


def test_the_output_window_may_lie_anywhere():
    grid = Grid((40, 51), (4e-6, 5e-6))
    field = smooth_noise(grid, seed=4)
    whole = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=1e-3, out_shape=(81, 101))
    moved = angular_spectrum(
        field, grid, wavelength=WAVELENGTH, distance=1e-3, out_shape=(21, 31), out_centre=(-7 * 4e-6, 12 * 5e-6)
    )
    assert relative_error(moved, whole[23:44, 47:78]) < 1e-6


def test_a_carrier_stands_for_a_steep_wave_on_a_finer_grid():
    # 0.35 rad does not fit a pitch of 2 um (wavelength / 2 pitch = 0.125); with the carrier it does
    distance, frequency = 300e-6, math.sin(0.35) / WAVELENGTH
    coarse, fine = Grid((71, 91), (2e-6, 2e-6)), Grid((213, 455), (2e-6 / 3, 2e-6 / 5))
    foot = distance * math.tan(0.35)
    y, x = coarse.coordinates()
    spot = torch.exp(-(y**2 + x**2) / 10e-6**2) + 0j
    reduced = angular_spectrum(
        spot, coarse, wavelength=WAVELENGTH, distance=distance, out_centre=(0, foot), carrier=(0, frequency)
    )
    y, x = fine.coordinates()
    tilted = torch.exp(-(y**2 + x**2) / 10e-6**2) * torch.exp(2j * math.pi * frequency * x)
    full = angular_spectrum(tilted, fine, wavelength=WAVELENGTH, distance=distance, out_centre=(0, foot))
    carried = reduced * torch.exp(2j * math.pi * frequency * (coarse.coordinates()[1] + foot))
    assert relative_error(carried, full[1::3, 2::5]) < 1e-6


def test_gradients_are_those_of_finite_differences():
    grid = Grid((3, 4), (4e-6, 3e-6))
    field = torch.randn(3, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    field.requires_grad_()
    for propagate, distance in ((angular_spectrum, 40e-6), (fresnel, 400e-6)):
        assert torch.autograd.gradcheck(
            lambda u, f=propagate, d=distance: f(u, grid, wavelength=WAVELENGTH, distance=d), field
        )


def test_single_precision_follows_double():
    grid = Grid((45, 64), (4e-6, 4e-6))
    field = smooth_noise(grid, seed=5)
    double = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=5e-3)
    single = angular_spectrum(field.to(torch.complex64), grid, wavelength=WAVELENGTH, distance=5e-3)
    assert single.dtype == torch.complex64
    assert relative_error(single, double) < 2e-6


@pytest.mark.parametrize(("method", "distance"), [("ASM", 0.3e-3), ("DIM", 4e-3)])
def test_an_independent_library_finds_the_same_field(method, distance):
    torchoptics = pytest.importorskip("torchoptics", reason="torchoptics is the oracle: pip install torchoptics")
    grid = Grid((70, 91), (3e-6, 2.5e-6))
    field = smooth_noise(grid, seed=6)
    oracle = torchoptics.Field(field, WAVELENGTH, 0, spacing=grid.pitch).propagate(
        grid.shape, distance, spacing=grid.pitch, propagation_method=method
    )
    found = angular_spectrum(field, grid, wavelength=WAVELENGTH, distance=distance)
    assert relative_error(found, oracle.data) < 1e-4


@pytest.mark.parametrize("distance", [2e-3, 6e-3])
def test_the_soft_band_edge_leaves_hard_edged_light_as_it_is(distance):
    # past N pitch^2 / lambda = 1.1 mm waves of the grid's band miss the windows; DIM samples the kernel over space
    torchoptics = pytest.importorskip("torchoptics", reason="torchoptics is the oracle: pip install torchoptics")
    grid, out = Grid((81, 61), (2e-6, 2e-6)), (61, 45)
    y, x = grid.coordinates()
    slit = (y.abs() < 50e-6) & (x.abs() < 40e-6) & ~((y - x).abs() < 9e-6)
    oracle = torchoptics.Field(slit + 0j, WAVELENGTH, 0, spacing=grid.pitch).propagate(
        out, distance, spacing=grid.pitch, propagation_method="DIM"
    )
    found = angular_spectrum(slit + 0j, grid, wavelength=WAVELENGTH, distance=distance, out_shape=out)
    assert relative_error(found, oracle.data) < 2e-3


def test_an_independent_library_finds_the_same_field_in_a_window_off_the_axis():
    torchoptics = pytest.importorskip("torchoptics", reason="torchoptics is the oracle: pip install torchoptics")
    grid, out = Grid((61, 75), (2e-6, 2e-6)), (85, 65)
    centre, distance, frequency = (30.7e-6, -201.3e-6), 2e-3, (0.03e6, -0.2e6)
    field = smooth_noise(grid, seed=7)
    found = angular_spectrum(
        field, grid, wavelength=WAVELENGTH, distance=distance, out_shape=out, out_centre=centre, carrier=frequency
    )
    y, x = grid.coordinates()
    tilted = field * torch.exp(2j * math.pi * (frequency[0] * y + frequency[1] * x))
    oracle = torchoptics.Field(tilted, WAVELENGTH, 0, spacing=grid.pitch).propagate(
        out, distance, spacing=grid.pitch, offset=centre, propagation_method="DIM"
    )
    y, x = Grid(out, grid.pitch).coordinates()
    wave = torch.exp(2j * math.pi * (frequency[0] * (y + centre[0]) + frequency[1] * (x + centre[1])))
    assert relative_error(found * wave, oracle.data) < 1e-4


FIELD = torch.ones(32, 40, dtype=torch.complex64)
GRID = Grid((32, 40), (2e-6, 2e-6))
STEEP = Grid((32, 40), (1e-6, 1e-6))


def test_a_distance_too_long_for_the_windows_is_refused_with_the_longest_one():
    # half the two windows together, 32 * 2 um, is one Fresnel zone sqrt(lambda d)
    longest = (32 * 2e-6) ** 2 / WAVELENGTH
    with pytest.raises(InputError, match=rf"distance: expected at most {longest:.4g} m .* along y"):
        angular_spectrum(FIELD, GRID, wavelength=WAVELENGTH, distance=1.01 * longest)
    angular_spectrum(FIELD, GRID, wavelength=WAVELENGTH, distance=0.99 * longest)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: angular_spectrum(FIELD.real, GRID, wavelength=5e-7, distance=1e-4), "field: expected a complex"),
        (lambda: fresnel(FIELD[:, 1:], GRID, wavelength=5e-7, distance=1e-4), r"field: expected \(..., 32, 40\)"),
        (lambda: fresnel(FIELD, GRID, wavelength=0, distance=1e-4), "wavelength: expected a positive"),
        (lambda: fresnel(FIELD, STEEP, wavelength=5e-7, distance=1e-4), "use angular_spectrum"),
        (
            lambda: angular_spectrum(FIELD, GRID, wavelength=5e-7, distance=1e-4, carrier=(0, 3e6)),
            "carrier: expected a frequency below",
        ),
        (
            lambda: angular_spectrum(FIELD, GRID, wavelength=5e-7, distance=1e-4, out_centre=(1e-3, 0)),
            "out_centre: the light lands at y = 0 m",
        ),
        (lambda: Grid((0, 3), (1e-6, 1e-6)), "shape: expected two positive sizes"),
        (lambda: Grid((2, 3), (1e-6, -1e-6)), "pitch: expected two positive lengths"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
