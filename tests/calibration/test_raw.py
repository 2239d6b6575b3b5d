"""Bayer mosaics and axis order."""

import numpy as np
import pytest
import torch

from lensless.calibration.raw import demosaic, to_channels_first
from lensless.errors import InputError
from lensless.physics.cfa import BAYER_PATTERNS, bayer_mask, mosaic

SIZES = [(6, 8), (7, 9), (5, 4), (2, 2)]


def test_the_mask_of_one_pattern_by_hand():
    red, green, blue = bayer_mask((3, 5), "GRBG")
    assert red.tolist() == [[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0]]
    assert green.tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 1, 0, 1]]
    assert blue.tolist() == [[0, 0, 0, 0, 0], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("pattern", BAYER_PATTERNS)
@pytest.mark.parametrize("size", SIZES)
def test_each_pixel_has_one_colour_and_the_sensor_model_agrees(pattern, size):
    mask = bayer_mask(size, pattern)
    assert torch.equal(mask.sum(0), torch.ones(size))
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    assert torch.equal((mask * image).sum(1), mosaic(image, pattern)[:, 0])


@pytest.mark.parametrize("pattern", BAYER_PATTERNS)
@pytest.mark.parametrize("size", SIZES)
def test_a_scene_of_one_colour_comes_back_exactly_up_to_the_border(pattern, size):
    scene = torch.tensor([0.1, 0.7, 0.3])[:, None, None].expand(3, *size)
    assert torch.equal(demosaic(mosaic(scene[None], pattern)[0, 0], pattern), scene)


@pytest.mark.parametrize("pattern", BAYER_PATTERNS)
def test_a_linear_ramp_comes_back_inside_the_border(pattern):
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    scene = torch.stack([2 * rows + columns - 4, 7 - rows, 3 * columns + 1]).double()
    estimate = demosaic(mosaic(scene[None], pattern)[0, 0], pattern)
    torch.testing.assert_close(estimate[:, 1:-1, 1:-1], scene[:, 1:-1, 1:-1], rtol=0, atol=1e-12)


def test_a_stack_of_mosaics_is_demosaiced_plane_by_plane():
    frames = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(1))
    planes = torch.stack([demosaic(frame, "GBRG") for frame in frames])
    torch.testing.assert_close(demosaic(frames, "GBRG"), planes, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("frame", "pattern", "message"),
    [
        (torch.zeros(4, 4, dtype=torch.int32), "RGGB", r"mosaic: expected floating point .* got torch.int32"),
        (torch.zeros(1, 4), "RGGB", r"at least 2 x 2 pixels, got torch.float32 \(1, 4\)"),
        (torch.zeros(4, 4), "RGBG", r"expected one of RGGB, BGGR, GRBG, GBRG, got 'RGBG'"),
    ],
)
def test_what_is_no_mosaic_is_refused(frame, pattern, message):
    with pytest.raises(InputError, match=message):
        demosaic(frame, pattern)


def test_channels_first():
    array = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    assert np.array_equal(to_channels_first(array).numpy(), np.moveaxis(array, -1, 1))
    assert to_channels_first(array[0]).shape == (5, 3, 4)
    assert to_channels_first(torch.zeros(3, 4)).shape == (1, 3, 4)
    with pytest.raises(InputError, match=r"expected \(H, W\) or \(..., H, W, C\), got \(7,\)"):
        to_channels_first(np.zeros(7))
