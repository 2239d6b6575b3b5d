import pytest
import torch

from lensless.errors import InputError
from lensless.physics.cfa import mosaic


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("RGGB", ["RGRGR", "GBGBG", "RGRGR"]),
        ("BGGR", ["BGBGB", "GRGRG", "BGBGB"]),
        ("GRBG", ["GRGRG", "BGBGB", "GRGRG"]),
        ("GBRG", ["GBGBG", "RGRGR", "GBGBG"]),
    ],
)
def test_each_pixel_sees_the_colour_of_its_filter(pattern, expected):
    image = torch.arange(2 * 3 * 3 * 5.0).reshape(2, 3, 3, 5)
    recorded = mosaic(image, pattern)
    assert recorded.shape == (2, 1, 3, 5)
    for i, row in enumerate(expected):
        for j, colour in enumerate(row):
            assert torch.equal(recorded[:, 0, i, j], image[:, "RGB".index(colour), i, j])


def test_bad_input():
    with pytest.raises(InputError, match="expected one of RGGB, BGGR, GRBG, GBRG, got 'RGBG'"):
        mosaic(torch.ones(1, 3, 4, 4), "RGBG")
    with pytest.raises(InputError, match=r"expected \(B, 3, H, W\), got \(1, 4, 4\)"):
        mosaic(torch.ones(1, 4, 4), "RGGB")
