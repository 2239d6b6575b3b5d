"""Facts about drawn cells and the LCD mask."""

import math
from dataclasses import replace

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.lcd import LCD, LCDMask, random_pattern, subpixels
from lensless.physics.masks import AmplitudeMask
from lensless.physics.patterns.cells import draw_cells
from lensless.physics.propagation import Grid

GREY = ((1.0,),)
SMALL = LCD(
    cell=(7e-5, 1.9e-4), opening=(6e-5, 1.8e-4), colour_filter=GREY, wavelengths=(5e-7,), bits=None, contrast=1e6
)


def square(height, width, pitch):
    return Grid((height, width), (pitch, pitch))


def centroid(image, pitch):
    h, w = image.shape
    y = (torch.arange(h) - h // 2) * pitch
    x = (torch.arange(w) - w // 2) * pitch
    return float((image.sum(1) * y).sum() / image.sum()), float((image.sum(0) * x).sum() / image.sum())


def test_cells_of_two_by_three_samples_by_hand():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    # cell (1, 1) on the offset, 0.5 and 1 samples off sample (2, 3): rows 2 and 3, columns 3 to 5
    drawn = draw_cells(values, square(4, 6, 1.0), cell=(2.0, 3.0), offset=(0.5, 1.0))
    assert drawn.tolist() == values.repeat_interleave(2, 0).repeat_interleave(3, 1).tolist()
    half = draw_cells(torch.ones(1, 1, dtype=torch.float64), square(5, 5, 1.0), cell=(2.0, 3.0))
    assert half[:, 2].tolist() == [0, 0.5, 1, 0.5, 0]
    assert half[2].tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("rotation", [0.0, 0.02, -0.6])
def test_open_area_is_the_fill_factor(rotation):
    pitch, cells = 1.1e-5, (9, 4)
    drawn = draw_cells(
        torch.ones(cells, dtype=torch.float64),
        square(101, 103, pitch),
        cell=SMALL.cell,
        opening=SMALL.opening,
        rotation=rotation,
        offset=(1.3e-5, 7e-5),
    )
    area = cells[0] * cells[1] * SMALL.cell[0] * SMALL.cell[1]
    assert SMALL.fill_factor == pytest.approx(6 * 18 / (7 * 19))
    tolerance = 1e-12 if rotation == 0 else 2e-3
    assert float(drawn.sum()) * pitch**2 == pytest.approx(SMALL.fill_factor * area, rel=tolerance)


def test_turned_path_agrees_with_the_straight_one():
    values = random_pattern(0, (7, 5)).double()
    geometry = {"cell": SMALL.cell, "opening": SMALL.opening, "offset": (1.3e-5, -7e-6)}
    straight = draw_cells(values, square(61, 97, 1.1e-5), **geometry)
    zero = torch.zeros((), requires_grad=True)
    turned = draw_cells(values, square(61, 97, 1.1e-5), **geometry, rotation=zero)
    torch.testing.assert_close(turned.detach(), straight, rtol=0, atol=1e-12)


def test_quarter_turn_is_rot90():
    values = random_pattern(1, (7, 5)).double()
    geometry = {"cell": SMALL.cell, "opening": SMALL.opening}
    straight = draw_cells(values, square(95, 95, 1.1e-5), **geometry)
    turned = draw_cells(values, square(95, 95, 1.1e-5), **geometry, rotation=math.pi / 2)
    torch.testing.assert_close(turned, torch.rot90(straight), rtol=0, atol=1e-9)


def test_turned_cells_against_supersampling():
    values = random_pattern(2, (4, 3)).double()
    drawn = draw_cells(
        values, square(33, 25, 1.0), cell=(5.0, 6.0), opening=(4.0, 5.0), rotation=0.3, offset=(0.4, -0.7)
    )
    fine = 15
    y = ((torch.arange(33 * fine) - fine // 2) / fine - 16 - 0.4)[:, None].double()
    x = ((torch.arange(25 * fine) - fine // 2) / fine - 12 + 0.7)[None].double()
    u, v = math.cos(0.3) * y + math.sin(0.3) * x, math.cos(0.3) * x - math.sin(0.3) * y
    i, j = (u / 5 + 2).round(), (v / 6 + 1).round()
    inside = (i >= 0) & (i < 4) & (j >= 0) & (j < 3)
    inside &= ((u - (i - 2) * 5).abs() < 2) & ((v - (j - 1) * 6).abs() < 2.5)
    samples = torch.where(inside, values[i.clamp(0, 3).long(), j.clamp(0, 2).long()], 0.0)
    counted = torch.nn.functional.avg_pool2d(samples[None], fine)[0]
    difference = (drawn - counted).abs()
    assert difference.max() < 0.05  # corners
    assert difference.mean() < 2e-3


@pytest.mark.parametrize("rotation", [0.0, 0.04])
def test_factors_of_rows_make_a_drawing_each(rotation):
    values = torch.stack([random_pattern(seed, (7, 5)) for seed in range(6)]).double().unflatten(0, (2, 3))
    factors = torch.tensor([[0.0, 0.3, 1.0, 0.0, 0.0, 0.5, 0.25], [1.0] * 7, [0.0] * 7], dtype=torch.float64)
    geometry = {"cell": SMALL.cell, "opening": SMALL.opening, "offset": (2.3e-5, -7e-6), "rotation": rotation}
    together = draw_cells(values, square(61, 97, 1.1e-5), **geometry, row_factors=factors)
    alone = torch.stack(
        [draw_cells(values * row[:, None], square(61, 97, 1.1e-5), **geometry) for row in factors], dim=-3
    )
    assert together.shape == (2, 3, 3, 61, 97)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_a_display_beside_the_grid_is_dark():
    drawn = draw_cells(torch.ones(2, 3, 4), square(9, 11, 1e-5), cell=SMALL.cell, offset=(3e-3, 0.0))
    assert torch.equal(drawn, torch.zeros(2, 9, 11))


def test_a_single_cell_lies_where_its_address_says():
    values = torch.zeros(9, 5, dtype=torch.float64)
    values[2, 4] = 1
    offset = (2.1e-5, -3.3e-5)
    drawn = draw_cells(values, square(101, 103, 1e-5), cell=(7e-5, 1.9e-4), offset=offset)
    expected = ((2 - 4) * 7e-5 + offset[0], (4 - 2) * 1.9e-4 + offset[1])
    assert centroid(drawn, 1e-5) == pytest.approx(expected, abs=1e-10)


def test_a_turned_cell_lies_where_its_address_says():
    values = torch.zeros(9, 5, dtype=torch.float64)
    values[2, 4] = 1
    drawn = draw_cells(values, square(121, 103, 1e-5), cell=(7e-5, 1.9e-4), rotation=0.2)
    y, x = (2 - 4) * 7e-5, (4 - 2) * 1.9e-4
    expected = (math.cos(0.2) * y - math.sin(0.2) * x, math.sin(0.2) * y + math.cos(0.2) * x)
    assert centroid(drawn, 1e-5) == pytest.approx(expected, abs=1e-7)


def test_contrast_is_the_ratio_of_intensities_and_the_filter_repeats_down_the_rows():
    lcd = LCD(contrast=25.0, colour_filter=((0.9, 0.1), (0.2, 0.64)), wavelengths=(6e-7, 5e-7), bits=None)
    on, off = (lcd.cell_amplitudes(torch.full((3, 2), v), 6e-7) ** 2 for v in (1.0, 0.0))
    torch.testing.assert_close(on / off, torch.full((3, 2), 25.0))
    torch.testing.assert_close(on[:, 0], torch.tensor([0.9, 0.2, 0.9]))
    between = lcd.cell_amplitudes(torch.ones(2, 1), 5.25e-7) ** 2  # a quarter of the way from 500 to 600 nm
    torch.testing.assert_close(between[:, 0], torch.tensor([0.3, 0.53]))


def test_two_bits_are_four_levels():
    values = torch.linspace(0, 1, 101)[None]
    lcd = LCD(bits=2, colour_filter=GREY, wavelengths=(5e-7,), contrast=1e7)
    power = lcd.cell_amplitudes(values, 5e-7) ** 2
    assert sorted(set((power * 3).round(decimals=3).flatten().tolist())) == [0, 1, 2, 3]
    assert float(power[0, 49]) == pytest.approx(1 / 3, abs=1e-6)  # 0.49 * 3 = 1.47 -> 1


def test_adafruit_cells_have_the_data_sheet_pitch_and_fill_factor():
    lcd = LCD()
    assert lcd.fill_factor == pytest.approx(0.6755, abs=1e-4)  # 0.06 * 0.18 / (0.073 * 0.219)
    mask = LCDMask(torch.ones(54, 26), lcd=lcd)
    grid = mask.grid((2e-5, 2e-5))
    assert float(mask.aperture(grid).sum()) * 4e-10 == pytest.approx(54 * 0.072995e-3 * 26 * 0.219e-3, rel=1e-4)
    light = sum(mask.transmission(grid, wavelength).abs().sum() for wavelength in lcd.wavelengths)
    assert float(light) * 4e-10 == pytest.approx(54 * 26 * 0.06e-3 * 0.18e-3, rel=1e-4)  # one colour a cell


def test_the_grid_of_a_turned_and_offset_display_holds_all_of_it():
    lcd = replace(SMALL, rotation=0.4, offset=(2.3e-4, -1.1e-4))
    mask = LCDMask(torch.ones(7, 4), lcd=lcd)
    grid = mask.grid((2e-5, 1.5e-5))
    area = float(mask.aperture(grid).sum()) * 2e-5 * 1.5e-5
    assert area == pytest.approx(7 * 7e-5 * 4 * 1.9e-4, rel=1e-3)
    straight = LCDMask(torch.ones(7, 4), lcd=SMALL)
    assert straight.grid((2e-5, 1.5e-5)) == AmplitudeMask(torch.ones(7, 4), pitch=SMALL.cell).grid((2e-5, 1.5e-5))


def test_many_patterns_are_drawn_as_each_one_alone():
    patterns = torch.stack([random_pattern(seed, (12, 8)) for seed in range(5)])
    lcd = replace(LCD(), rotation=0.03)
    together = lcd.amplitude(patterns, square(41, 77, 3e-5), 5.8e-7)
    alone = torch.stack([lcd.amplitude(pattern, square(41, 77, 3e-5), 5.8e-7) for pattern in patterns])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("rotation", [0.0, 0.05])
def test_a_shadow_holds_the_light_that_the_openings_let_through(rotation):
    patterns = torch.stack([random_pattern(seed, (12, 8)) for seed in range(3)]).double()
    lcd, grid = LCD(rotation=rotation, bits=None), square(81, 127, 1.9e-5)
    shadow = lcd.shadow(patterns, grid)
    assert shadow.shape == (3, 3, 81, 127)
    opening = 0.06e-3 * 0.18e-3 / 1.9e-5**2
    for colour in range(3):  # red, green and blue change along the rows
        light = 1 / 500 + (1 - 1 / 500) * patterns[:, colour::3].sum((1, 2)) / (4 * 8)
        tolerance = 1e-9 if rotation == 0 else 2e-3
        torch.testing.assert_close(shadow[:, colour].sum((1, 2)), light * 4 * 8 * opening, rtol=tolerance, atol=0)


def test_a_shadow_is_the_square_of_the_amplitude_inside_an_opening():
    lcd, values = LCD(), random_pattern(4, (6, 4))
    grid = square(301, 455, 1.9e-6)
    shadow = lcd.shadow(values, grid)
    amplitude = torch.stack([lcd.amplitude(values, grid, wavelength) for wavelength in lcd.wavelengths])
    centre = (150 + round(LCD().cell[0] / 1.9e-6), 227)  # cell (4, 2), green
    torch.testing.assert_close(shadow[:, *centre], amplitude[:, *centre].square())
    assert float(shadow[1, *centre]) == pytest.approx(float(values[4, 2]), abs=0.005)
    assert float(shadow[0, *centre]) == 0


def test_rgb_frames_become_rows_of_subpixels():
    frame = torch.arange(12.0).reshape(2, 2, 3)
    assert subpixels(frame).tolist() == [[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8, 11]]


def test_drawing_is_differentiable_in_values_and_geometry():
    def draw(values, cell, opening, rotation, offset):
        return draw_cells(
            values, square(17, 23, 1.0), cell=cell, opening=opening, rotation=rotation, offset=offset
        )

    def leaf(*numbers):
        return torch.tensor(numbers, dtype=torch.float64).requires_grad_()

    values = random_pattern(3, (3, 2)).double().requires_grad_()
    angle = torch.tensor(0.17, dtype=torch.float64, requires_grad=True)
    arguments = (values, leaf(4.03, 7.1), leaf(3.1, 6.2), angle, leaf(0.21, -0.43))
    assert torch.autograd.gradcheck(draw, arguments)


def test_drawing_straight_cells_is_differentiable_too():
    def draw(values, cell, opening, offset, factors):
        return draw_cells(
            values, square(13, 17, 1.0), cell=cell, opening=opening, offset=offset, row_factors=factors
        )

    def leaf(*numbers):
        return torch.tensor(numbers, dtype=torch.float64).requires_grad_()

    values = random_pattern(3, (2, 3, 2)).double().requires_grad_()
    factors = torch.tensor([[0.7, 0.2, 0.4], [1.0, 0.5, 0.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(draw, (values, leaf(4.03, 7.1), leaf(3.1, 6.2), leaf(0.21, -0.43), factors))


def test_gradients_pass_through_rounding_and_dark_filters():
    values = random_pattern(6, (6, 4)).requires_grad_()
    LCD(bits=1).amplitude(values, square(31, 43, 3e-5), 620e-9).sum().backward()
    assert (values.grad[0::3] > 0).all()  # red lets 620 nm through, green and blue do not
    assert (values.grad[1::3] == 0).all() and (values.grad[2::3] == 0).all()


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: LCD(contrast=1.0), "contrast"),
        (lambda: LCD(bits=0), "bits"),
        (lambda: LCD(colour_filter=((1.2, 0.0, 0.0),)), "colour_filter"),
        (lambda: LCD().amplitude(torch.full((3, 3), 1.5), square(9, 9, 1e-5), 5e-7), "values"),
        (lambda: LCD().amplitude(torch.zeros(3, 3), square(9, 9, 8e-5), 5e-7), "cell"),
        (lambda: LCD(opening=(1e-4, 1e-4)).amplitude(torch.zeros(3, 3), square(9, 9, 1e-5), 5e-7), "opening"),
        (lambda: LCD(colour_filter=((1.0, 0.5),)), "colour_filter"),
    ],
)
def test_bad_input_is_named(build, named):
    with pytest.raises(InputError, match=f"^{named}:"):
        build()
