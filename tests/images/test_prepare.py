"""The steps from linear light to what goes into a reconstruction, each against numbers made by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from lensless.errors import InputError
from lensless.images.prepare import (
    Preparation,
    colour_matrix,
    corner_level,
    downsample,
    flip,
    normalise_psf,
    rotate,
    select_channels,
    subtract_background,
    white_balance,
)
from lensless.images.read import read_image
from lensless.physics.convolution import LenslessConvolution

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"real data not found in {DATA}")


def rand(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_the_level_of_a_corner_is_the_mean_of_its_middle_half():
    x = torch.zeros(2, 3, 5, 7)
    x[1, 2, :3, :3] = torch.tensor([[9000.0, 7, 2], [3, 4, 5], [1, 6, 0]])
    level = corner_level(x, 3)
    assert level.shape == (2, 3, 1, 1)
    assert float(level[1, 2]) == (2 + 3 + 4 + 5 + 6) / 5 and float(level.sum()) == 4
    assert torch.equal(corner_level(x, 1), x[..., :1, :1])
    with pytest.raises(InputError, match=r"corner: expected 1 to 5 pixels for .* \(3, 5, 7\), got 6"):
        corner_level(x, 6)


def test_background_is_subtracted_and_what_is_below_it_counted():
    x = torch.tensor([[[0.25, 0.5], [0.75, 1.0]]])
    result, clipped = subtract_background(x, 0.5)
    assert result.tolist() == [[[0, 0], [0.25, 0.5]]] and clipped == 0.25


@pytest.mark.parametrize("shape", [(), (3,), (3, 1, 1), (1, 5, 7), (3, 5, 7), (2, 3, 1, 1)])
def test_backgrounds_of_every_kind_broadcast(shape):
    x, background = rand(2, 3, 5, 7), 0.5 * rand(*shape)
    full = background[:, None, None] if shape == (3,) else background
    expected = np.maximum(x.numpy() - full.numpy(), 0)
    assert np.array_equal(subtract_background(x, background)[0].numpy(), expected)


@pytest.mark.parametrize("shape", [(2,), (3, 7, 5), (3, 5, 8), (4, 3, 5, 7)])
def test_a_background_of_another_size_is_refused(shape):
    with pytest.raises(InputError, match=r"background: expected a number, \(3,\) or a dark frame \(3, 5, 7\), got"):
        subtract_background(rand(2, 3, 5, 7), torch.zeros(shape))


def test_white_balance_and_colour_matrix():
    x = rand(2, 3, 5, 7)
    np.testing.assert_allclose(
        white_balance(x, [2, 1, 0.5]), x.numpy() * np.array([2, 1, 0.5])[:, None, None], rtol=1e-6
    )
    matrix = [[1.5, -0.5, 0], [0.25, 1, -0.25], [0, 0, 2]]
    expected = np.moveaxis(np.moveaxis(x.numpy(), 1, -1) @ np.array(matrix).T, -1, 1)
    np.testing.assert_allclose(colour_matrix(x, matrix), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (white_balance, [1, 2], r"white_balance: expected 3 positive gains, got \[1, 2\]"),
        (white_balance, [1, 0, 1], "expected 3 positive gains"),
        (white_balance, 2.0, r"expected 3 positive gains, got 2.0"),
        (white_balance, "warm", "expected 3 positive gains, got warm"),
        (colour_matrix, [[1, 0, 0], [0, 1, 0]], "colour_matrix: expected 3 x 3 and 3 channels"),
        (colour_matrix, [[1, 0, 0], [0, 1, 0], [1]], "colour_matrix: expected 3 x 3 and 3 channels"),
        (select_channels, "cyan", "channels: expected all, gray, red, green, blue, or indices .* got 'cyan'"),
        (select_channels, [0, 3], r"channels: expected a list of indices from 0 to 2, got \[0, 3\]"),
        (select_channels, [], r"channels: expected a list of indices from 0 to 2, got \[\]"),
        (select_channels, 0, r"channels: expected a list of indices from 0 to 2, got 0"),
        (select_channels, ["red"], "channels: expected a list of indices from 0 to 2"),
        (flip, "up", "flip: expected one of none, vertical, horizontal, both, got 'up'"),
        (rotate, 45, "rotation: expected a multiple of 90 degrees, got 45"),
        (downsample, 0, "downsample: expected an integer from 1 to 5 .* got 0"),
        (downsample, 6, "got 6"),
        (downsample, 1.5, r"got 1.5"),
        (corner_level, "big", "corner: expected 1 to 5 pixels .* got big"),
    ],
)
def test_wrong_settings_name_themselves(function, argument, message):
    with pytest.raises(InputError, match=message):
        function(rand(3, 5, 7), argument)


def test_a_colour_of_a_gray_image_is_refused():
    with pytest.raises(InputError, match=r"channels: expected all, gray, or indices for .*\(1, 5, 7\), got 'red'"):
        select_channels(rand(1, 5, 7), "red")
    with pytest.raises(InputError, match=r"colour_matrix: .*\(1, 5, 7\)"):
        colour_matrix(rand(1, 5, 7), torch.eye(3).tolist())


def test_channels():
    x = rand(2, 3, 5, 7)
    assert torch.equal(select_channels(x, "all"), x)
    assert torch.equal(select_channels(x, "green"), x[:, 1:2])
    assert torch.equal(select_channels(x, [2, 0]), x[:, [2, 0]])
    torch.testing.assert_close(select_channels(x, "gray"), (x[:, :1] + x[:, 1:2] + x[:, 2:]) / 3)


def test_flips_and_turns_by_hand():
    x = torch.tensor([[[1, 2, 3], [4, 5, 6]]])
    assert flip(x, "none").tolist() == x.tolist()
    assert flip(x, "vertical").tolist() == [[[4, 5, 6], [1, 2, 3]]]
    assert flip(x, "horizontal").tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert flip(x, "both").tolist() == rotate(x, 180).tolist() == [[[6, 5, 4], [3, 2, 1]]]
    assert rotate(x, 90).tolist() == [[[3, 6], [2, 5], [1, 4]]]  # anticlockwise: the right edge comes to the top
    assert torch.equal(rotate(x, -90), rotate(x, 270)) and torch.equal(rotate(x, 360), x)


@pytest.mark.parametrize(("size", "shift"), [((9, 7), 0), ((8, 6), 1)])
def test_a_flipped_camera_sees_the_flipped_scene_one_pixel_on_where_the_size_is_even(size, shift):
    psf, scene = rand(1, *size).double(), torch.zeros(1, 1, *size, dtype=torch.float64)
    scene[..., 1:-1, 1:-1] = rand(size[0] - 2, size[1] - 2)
    measurement = LenslessConvolution(psf)(scene)
    moved = flip(scene, "both").roll((shift, shift), (-2, -1))
    torch.testing.assert_close(LenslessConvolution(flip(psf, "both"))(moved), flip(measurement, "both"))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7])
def test_downsampling_is_the_mean_of_blocks(factor):
    x = rand(2, 3, 4 * factor, 5 * factor)
    small = downsample(x, factor)
    for i, j in ((0, 0), (3, 4), (2, 1)):
        block = x[..., i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
        torch.testing.assert_close(small[..., i, j], block.mean((-2, -1)))
    torch.testing.assert_close(small.mean((-2, -1)), x.mean((-2, -1)))


def test_the_centre_pixel_stays_in_the_centre_block_at_every_size():
    for height in range(1, 30):
        for factor in range(1, height + 1):
            x = torch.zeros(1, height, factor)
            x[0, height // 2] = 1
            blocks = height // factor
            expected = torch.zeros(1, blocks, 1)
            expected[0, blocks // 2] = 1 / factor
            torch.testing.assert_close(downsample(x, factor), expected)


def test_an_odd_number_of_odd_blocks_is_cut_evenly_on_both_sides():
    rows = torch.arange(17.0)[None, :, None].expand(1, 17, 3)
    # 17 = 1 + 5 x 3 + 1, and row 8, the centre, is in the middle of rows 7, 8, 9
    assert downsample(rows, 3).flatten().tolist() == [2, 5, 8, 11, 14]


def test_one_factor_normalises_all_channels():
    psf = rand(3, 5, 7) * torch.tensor([1.0, 2, 3])[:, None, None]
    normal, factor = normalise_psf(psf)
    sums = normal.sum((-2, -1))
    assert float(sums.mean()) == pytest.approx(1, rel=1e-6)
    torch.testing.assert_close(sums / sums[0], psf.sum((-2, -1)) / psf[0].sum())
    torch.testing.assert_close(normal * factor, psf)
    with pytest.raises(InputError, match=r"psf: expected light, got a mean sum of 0.0"):
        normalise_psf(torch.zeros(1, 4, 4))


def test_a_preparation_without_settings_changes_nothing():
    x = rand(3, 5, 7)
    prepared = Preparation()(x)
    assert torch.equal(prepared.image, x) and prepared.notes == []


def test_a_preparation_applies_its_steps_in_order():
    x, before = rand(3, 11, 13), rand(3, 11, 13)
    matrix = [[1, 0.5, 0], [0, 1, 0], [-0.5, 0, 1]]
    prepared = Preparation(
        background=0.5,
        white_balance=[2, 1, 1.5],
        colour_matrix=matrix,
        channels=[0, 2],
        flip="vertical",
        rotation=90,
        downsample=2,
    )(x)
    assert torch.equal(x, before)
    image = np.maximum(x.numpy() - np.float32(0.5), 0) * np.array([2, 1, 1.5])[:, None, None]
    image = np.einsum("ck,khw->chw", matrix, image)[[0, 2]]
    image = np.rot90(image[:, ::-1], axes=(1, 2))[:, :12]  # 13 x 11: six blocks from the top, five in the middle
    expected = image[:, :, :10].reshape(2, 6, 2, 5, 2).mean((2, 4))
    np.testing.assert_allclose(prepared.image, expected, rtol=1e-5, atol=1e-6)
    share = 100 * float((x < 0.5).double().mean())
    assert prepared.notes == [
        f"{share:.3g} % of the values were below the background and set to 0",
        "1 row(s) and 1 column(s) beyond a multiple of 2 dropped",
    ]


def test_settings_as_a_configuration_gives_them():
    settings = OmegaConf.create({"gains": [2, 1, 0.5], "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "list": [2, 0]})
    x = rand(3, 5, 7)
    prepared = Preparation(white_balance=settings.gains, colour_matrix=settings.matrix, channels=settings.list)(x)
    torch.testing.assert_close(prepared.image, torch.stack([x[2] / 2, 2 * x[0]]))
    with pytest.raises(InputError, match="downsample: expected an integer"):
        Preparation(downsample=0)(x)


def test_the_background_from_a_corner_and_from_a_dark_frame():
    x, dark = rand(1, 30, 31), 0.1 * rand(1, 30, 31)
    level = corner_level(x, 25)
    torch.testing.assert_close(Preparation(background="corner")(x).image, (x - level).clamp_min(0))
    preparation = Preparation(background="dark.png")
    assert preparation.dark_frame == Path("dark.png") and Preparation(background="corner").dark_frame is None
    assert torch.equal(preparation(x, dark=dark).image, (x - dark).clamp_min(0))
    with pytest.raises(InputError, match=r"dark: expected a frame .* got background 'dark.png' and no frame"):
        preparation(x)
    with pytest.raises(InputError, match=r"dark: expected a frame .* got background 0.1 and a frame"):
        Preparation(background=0.1)(x, dark=dark)


@needs_data
def test_the_two_tagged_pixels_in_the_corner_of_the_tutorial_psf_do_not_move_its_level():
    patch = 65535 * read_image(DATA / "diffusercam_tutorial" / "psf.tif")[:, :25, :25]
    untagged = patch.flatten()[2:].mean()
    assert patch.mean() > 100 and untagged < 40
    assert float(corner_level(patch, 25)) == pytest.approx(float(untagged), abs=2)


@needs_data
@pytest.mark.parametrize("factor", range(1, 9))
def test_the_tutorial_psf_is_prepared_at_every_size(factor):
    psf = read_image(DATA / "diffusercam_tutorial" / "psf.tif")
    prepared = Preparation(background=34 / 65535, downsample=factor)(psf)
    assert prepared.image.shape == (1, 1200 // factor, 1600 // factor)
    kept = psf[:, : 1200 // factor * factor, : 1600 // factor * factor]
    lit = (kept - 34 / 65535).clamp_min(0).mean()
    torch.testing.assert_close(prepared.image.mean(), lit, rtol=2e-3, atol=0)
