"""Masks of a few numbers: right on any grid, right in the light, and trainable."""

import math

import pytest
import torch
from torch.func import functional_call

from lensless.errors import InputError
from lensless.physics.mask_shapes import LensMask, PinholeMask, ZoneMask
from lensless.physics.psf import Optics, point_source_psf

SIZE = (5e-4, 6e-4)


def lens(**changes):
    return LensMask(
        **{"size": SIZE, "centres": [(5e-5, -3e-5)], "focal_lengths": [2e-3], "radius": 2e-4, "index": 1.5} | changes
    )


def spots(mask, wavelength=532e-9):
    optics = Optics(
        sensor_shape=(60, 70), pixel_pitch=(1e-5, 1e-5), distance=2e-3, wavelengths=(wavelength,), oversample=5
    )
    return point_source_psf(mask, optics)[0].detach()


def test_a_mask_covers_its_size_and_nothing_else():
    mask = ZoneMask(SIZE, radius=2e-4)
    for pitch in ((2e-6, 3e-6), (3.1e-6, 2.7e-6)):
        grid = mask.grid(pitch)
        assert float(mask.aperture(grid).sum()) * math.prod(pitch) == pytest.approx(math.prod(SIZE))
    # r_1 = 0.2 mm: clear on the axis, dark at (0, 0.2) mm
    grid = mask.grid((2e-6, 2e-6))
    row, column = grid.shape[0] // 2, grid.shape[1] // 2
    transmission = mask.transmission(grid, 550e-9)
    assert transmission[row, column] == 1
    assert float(transmission[row, column + 100].abs()) < 1e-5


def test_pinholes_pass_the_area_of_their_holes():
    mask = PinholeMask(SIZE, centres=[(1e-4, -2e-4), (-1.2e-4, 2e-5)], radius=3e-5)
    grid = mask.grid((1.1e-6, 0.9e-6))
    area = float(mask.transmission(grid, 550e-9).abs().sum()) * math.prod(grid.pitch)
    assert area == pytest.approx(2 * math.pi * 3e-5**2, rel=2e-3)


@pytest.mark.parametrize("wavelength", [460e-9, 620e-9])
def test_a_lens_focuses_its_share_of_the_light_at_its_focal_length(wavelength):
    psf = spots(lens(), wavelength)
    row, column = divmod(int(psf.argmax()), 70)
    assert (row - 30, column - 35) == (5, -3)  # in pixels of 10 um: where the lens is
    # Airy's first dark ring, 1.22 lambda f / (2 a) = 2.8 to 3.8 um, fits into the pixel
    share = math.pi * 2e-4**2 / math.prod(SIZE)
    around = psf[row - 1 : row + 2, column - 1 : column + 2].sum()
    assert float(around) == pytest.approx(share, rel=0.1)


def test_lenses_that_fill_the_plate_gather_all_of_the_light_in_one_spot_each():
    centres = [(-1.4e-4, -1.8e-4), (-1.1e-4, 1.2e-4), (1.3e-4, -1e-4), (1.2e-4, 2e-4)]
    psf = spots(lens(centres=centres, radius=None))
    for y, x in centres:
        row, column = 30 + round(y / 1e-5), 35 + round(x / 1e-5)
        spot = psf[row - 2 : row + 3, column - 2 : column + 3]
        assert float(spot.sum()) > 0.15
        assert float(spot.max()) > 0.05
    assert float(psf.flatten().topk(4 * 9).values.sum()) > 0.8


def test_steepness_of_a_lens_by_hand():
    # slope at the edge a / sqrt(R^2 - a^2), R = 1 mm: 0.2 / sqrt(0.96); half of it, times 2 um, in waves of 532 nm
    mask = lens()
    grid = mask.grid((2e-6, 1e-6))
    expected = 0.5 * 0.2 / math.sqrt(0.96) * 2e-6 / 532e-9
    assert mask.steepness(grid, 532e-9) == pytest.approx(expected, rel=0.02)
    with pytest.raises(InputError, match="oversample"):
        mask.transmission(mask.grid((3e-6, 3e-6)), 532e-9)


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (ZoneMask(SIZE, radius=2e-4, phase=0.3), "radius"),
        (ZoneMask(SIZE, radius=2e-4, phase=0.3), "phase"),
        (PinholeMask(SIZE, centres=[(4e-5, -5e-5)], radius=4.3e-5), "centres"),
        (lens(focal_lengths=[4e-2]), "centres"),
        (lens(focal_lengths=[4e-2]), "focal_lengths"),
        (lens(focal_lengths=[4e-2], radius=None), "focal_lengths"),
    ],
)
def test_gradients_are_those_of_finite_differences(mask, name):
    mask = mask.double()
    mask.forward = mask.transmission
    values = getattr(mask, name).detach()
    scale = float(values.abs().max())

    def transmission(relative):
        return functional_call(mask, {name: relative * scale}, (mask.grid((1.7e-5, 1.83e-5)), 532e-9))

    assert torch.autograd.gradcheck(transmission, (values / scale).requires_grad_(), eps=1e-7, atol=1e-4)


def test_gradient_descent_brings_a_lens_to_its_focus():
    mask = lens(focal_lengths=[2.6e-3], trainable=True).double()
    optics = Optics(
        sensor_shape=(40, 48), pixel_pitch=(1.2e-5, 1.2e-5), distance=2e-3, wavelengths=(532e-9,), oversample=6
    )
    for _ in range(12):
        spot = point_source_psf(mask, optics)[0].square().sum()
        (slope,) = torch.autograd.grad(spot, mask.focal_lengths)
        with torch.no_grad():
            mask.focal_lengths += 5e-5 * slope.sign()
    assert mask.focal_lengths.item() == pytest.approx(2e-3, abs=1e-4)


def test_a_filled_plate_has_one_focal_length():
    with pytest.raises(InputError, match="focal_lengths"):
        lens(radius=None, focal_lengths=[1e-3, 2e-3])
