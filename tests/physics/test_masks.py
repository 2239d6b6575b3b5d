"""Masks on grids: areas, heights, refraction and what a grid cannot hold."""

import math

import pytest
import torch
from torch.func import functional_call

from lensless.errors import InputError
from lensless.physics.masks import AmplitudeMask, PhaseMask, area_resample, linear_resample, refractive_index
from lensless.physics.propagation import Grid


def random_map(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_on_a_grid_of_its_own_pitch_a_mask_is_itself():
    amplitude = random_map(6, 9)
    mask = AmplitudeMask(amplitude, pitch=(2e-6, 3e-6))
    grid = mask.grid((2e-6, 3e-6))
    assert grid.shape == (7, 9)  # odd, centre on centre: one opaque row below
    transmission = mask.transmission(grid, 550e-9)
    assert torch.equal(transmission[:6], amplitude + 0j)
    assert not transmission[6].any()


@pytest.mark.parametrize("pitch", [(1e-6, 1e-6), (0.7e-6, 1.3e-6), (2e-6, 0.99e-6)])
@pytest.mark.parametrize("shape", [(6, 9), (5, 4)])
def test_area_resampling_keeps_the_integral(pitch, shape):
    values = random_map(*shape)
    mask = AmplitudeMask(values, pitch=(2e-6, 3e-6))
    fine = area_resample(values, mask.cells, mask.grid(pitch))
    assert float(fine.sum()) * math.prod(pitch) == pytest.approx(float(values.sum()) * 6e-12)


def test_three_samples_a_cell_repeat_the_cell():
    values = random_map(6, 9)
    mask = AmplitudeMask(values, pitch=(3e-6, 6e-6))
    fine = area_resample(values, mask.cells, mask.grid((1e-6, 2e-6)))
    assert torch.allclose(fine[:18], torch.kron(values, torch.ones(3, 3)))
    assert float(fine[18:].max()) < 1e-12


def test_a_sample_over_an_edge_holds_the_share_of_its_area():
    # one cell of 4 um under samples of 3 um: the neighbours reach from 1.5 to 4.5 um, 0.5 um of it on the cell
    fine = area_resample(torch.ones(1, 1, dtype=torch.float64), Grid((1, 1), (4e-6, 4e-6)), Grid((1, 5), (3e-6, 3e-6)))
    assert fine.flatten().tolist() == pytest.approx([0, 1 / 6, 1, 1 / 6, 0])


def test_heights_are_interpolated_linearly_between_cell_centres():
    cells, grid = Grid((8, 7), (3e-6, 2e-6)), Grid((19, 11), (1e-6, 0.8e-6))
    (y, x), (v, u) = cells.coordinates(), grid.coordinates()
    plane = linear_resample(2 * y - 3 * x + 1e-6, cells, grid)
    assert torch.allclose(plane, (2 * v - 3 * u + 1e-6)[:, :], atol=1e-18)


def test_a_phase_mask_delays_by_its_optical_path():
    # BK7, Cauchy A = 1.5046, B = 0.0042 um^2: n(587.6 nm) = 1.51676; 400 nm of it are 0.35179 waves
    mask = PhaseMask(torch.full((4, 3), 400e-9, dtype=torch.float64), pitch=(2e-6, 2e-6), index=(1.5046, 4.2e-15))
    transmission = mask.transmission(mask.grid((2e-6, 2e-6)), 587.6e-9)
    expected = complex(math.cos(2 * math.pi * 0.35178), math.sin(2 * math.pi * 0.35178))
    assert complex(transmission[1, 1]) == pytest.approx(expected, abs=1e-4)
    assert torch.allclose(transmission[:4].abs(), torch.ones(4, 3, dtype=torch.float64))
    assert not transmission[4].any()


def test_air_is_no_mask():
    mask = PhaseMask(random_map(5, 5) * 1e-6, pitch=(2e-6, 2e-6), index=1.0)
    assert torch.equal(mask.transmission(mask.grid((2e-6, 2e-6)), 5e-7), torch.ones(5, 5) + 0j * random_map(5, 5))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_a_bank_of_masks_is_each_of_them(precision):
    bank = random_map(3, 5, 4).to(precision)
    grid = Grid((13, 11), (1e-6, 1e-6))
    together = AmplitudeMask(bank, pitch=(2e-6, 3e-6)).transmission(grid, 5e-7)
    assert together.dtype == {torch.float32: torch.complex64, torch.float64: torch.complex128}[precision]
    for one, amplitude in zip(together, bank, strict=True):
        assert torch.equal(one, AmplitudeMask(amplitude, pitch=(2e-6, 3e-6)).transmission(grid, 5e-7))


def test_a_mask_reaches_the_optimiser_only_when_trainable_and_never_the_callers_tensor():
    amplitude = random_map(3, 4)
    fixed = AmplitudeMask(amplitude, pitch=(1e-6, 1e-6))
    assert not fixed.transmission(fixed.grid((1e-6, 1e-6)), 5e-7).requires_grad
    mask = AmplitudeMask(amplitude, pitch=(1e-6, 1e-6), trainable=True)
    before = amplitude.clone()
    mask.transmission(mask.grid((1e-6, 1e-6)), 5e-7).real.sum().backward()
    torch.optim.SGD(mask.parameters(), lr=0.1).step()
    assert torch.allclose(mask.amplitude, before - 0.1)
    assert torch.equal(amplitude, before)


@pytest.mark.parametrize(
    ("mask", "name", "values"),
    [
        (AmplitudeMask(random_map(3, 4), pitch=(2e-6, 3e-6)), "amplitude", random_map(3, 4)),
        (PhaseMask(random_map(3, 4) * 3e-7, pitch=(2e-6, 3e-6), index=1.5), "height", random_map(3, 4) * 3e-7),
    ],
)
def test_gradients_are_those_of_finite_differences(mask, name, values):
    grid, scale = mask.grid((0.9e-6, 1.1e-6)), float(values.max())

    def transmission(relative):
        return functional_call(mask, {name: relative * scale}, (grid, 5e-7))

    mask.forward = mask.transmission
    assert torch.autograd.gradcheck(transmission, (values / scale).requires_grad_())


def lens(radius, pitch, cells=81):
    y, x = Grid((cells, cells), pitch).coordinates()
    return -(y**2 + x**2) / (2 * radius)


def test_slopes_steeper_than_the_grid_are_refused_with_the_pitch_that_holds_them():
    # slope at the edge of a lens: x / R = 40 um / 100 um, times (n - 1) / wavelength = 0.4 waves a micrometre
    mask = PhaseMask(lens(100e-6, (1e-6, 1e-6)), pitch=(1e-6, 1e-6), index=1.5)
    mask.transmission(mask.grid((1e-6, 1e-6)), 500e-9)
    steeper = PhaseMask(lens(50e-6, (1e-6, 1e-6)), pitch=(1e-6, 1e-6), index=1.5)
    with pytest.raises(InputError, match=r"rises by 0.7\d+ waves a sample .* at most \(6.\d+e-07, 6.\d+e-07\) m"):
        steeper.transmission(steeper.grid((1e-6, 1e-6)), 500e-9)
    steeper.transmission(steeper.grid((0.6e-6, 0.6e-6)), 500e-9)


def test_steps_are_no_slopes():
    # a binary mask of ten waves, in stripes of three cells
    height = torch.arange(60).div(3, rounding_mode="floor").remainder(2).expand(40, 60) * 10e-6
    mask = PhaseMask(height.double(), pitch=(1e-6, 1e-6), index=1.5)
    mask.transmission(mask.grid((0.5e-6, 0.5e-6)), 500e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AmplitudeMask(torch.ones(3), pitch=(1, 1)), r"amplitude: expected float32 or float64 \(..., H, W\)"),
        (lambda: AmplitudeMask(torch.ones(3, 3).int(), pitch=(1, 1)), "amplitude: expected float32 or float64"),
        (lambda: AmplitudeMask(2 * torch.ones(3, 3), pitch=(1, 1)), r"amplitude: expected values in \[0, 1\], got 2"),
        (lambda: PhaseMask(torch.full((3, 3), torch.nan), pitch=(1, 1), index=1.5), "height: .* 9 NaN"),
        (lambda: AmplitudeMask(torch.ones(3, 3), pitch=(1, 0)), "pitch: expected two positive"),
        (lambda: refractive_index((1.5, 0.0042), 5e-7), "is B in m\\^2"),
        (
            lambda: AmplitudeMask(torch.ones(9, 9), pitch=(1e-6, 2e-6)).transmission(Grid((9, 9), (2e-6, 2e-6)), 5e-7),
            "pitch: the mask's cells .* are finer than the grid .* raise oversample",
        ),
        (
            lambda: PhaseMask(torch.ones(9, 9), pitch=(1e-6, 2e-6), index=1.5).transmission(
                Grid((9, 9), (2e-6, 2e-6)), 5e-7
            ),
            "pitch: the mask's cells",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
