"""The sRGB curve."""

import pytest
import torch

from lensless.images.gamma import linear_to_srgb, srgb_to_linear


@pytest.mark.parametrize(
    ("code", "light"),
    # 0.04045 is the end of the straight part; 188/255 is the well-known code of half the light
    [(0.0, 0.0), (0.04045, 0.04045 / 12.92), (188 / 255, 0.50289), (0.5, 0.214041), (1.0, 1.0)],
)
def test_known_points(code, light):
    got = srgb_to_linear(torch.tensor(code, dtype=torch.float64))
    assert float(got) == pytest.approx(light, abs=1e-5)
    assert float(linear_to_srgb(got)) == pytest.approx(code, abs=1e-7)


def test_all_8_bit_codes_come_back():
    codes = torch.arange(256)
    assert torch.equal((linear_to_srgb(srgb_to_linear(codes / 255)) * 255).round().long(), codes)


def test_negative_light_stays_on_the_straight_part():
    assert float(srgb_to_linear(torch.tensor(-0.1292))) == pytest.approx(-0.01)
    assert float(linear_to_srgb(torch.tensor(-0.01))) == pytest.approx(-0.1292)
