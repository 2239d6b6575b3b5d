import math

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.noise import add_noise_at_snr, noise_level
from lensless.physics.random import sample_generator


def measurements():
    """Samples as different as measurements are: even, mostly dark with caustics, and 1000 times dimmer."""
    even = 0.3 + 0.2 * torch.rand(3, 151, 203, generator=sample_generator(0, 0))
    caustics = torch.rand(3, 151, 203, generator=sample_generator(0, 1)) ** 6
    return torch.stack([even, caustics, even.flip(-1) / 1000])


@pytest.mark.parametrize("kind", ["shot", "gaussian"])
@pytest.mark.parametrize("snr_db", [10, 40])
def test_snr_is_within_a_tenth_of_a_decibel_in_every_sample(kind, snr_db):
    y = measurements()
    n = (add_noise_at_snr(y, snr_db, sample_generator(1, 0), kind=kind) - y).double()
    for sample, noise in zip(y.double(), n, strict=True):
        assert abs(10 * math.log10(sample.square().sum() / noise.square().sum()) - snr_db) < 0.1
        standard_error = noise.std() / noise.numel() ** 0.5
        assert abs(noise.mean()) < 4 * standard_error


def test_shot_noise_grows_with_light_and_gaussian_noise_does_not():
    y = torch.ones(1, 1, 151, 406)
    y[..., 203:] = 9
    for kind, ratio in [("shot", 9), ("gaussian", 1)]:
        n = add_noise_at_snr(y, 20, sample_generator(2, 0), kind=kind) - y
        assert n[..., 203:].var() / n[..., :203].var() == pytest.approx(ratio, rel=0.05)


def test_shot_noise_comes_in_photons_of_one_size():
    y = torch.full((1, 1, 31, 17), 0.25)
    noisy = add_noise_at_snr(y, 10, sample_generator(3, 0))
    photons = noisy * 40  # sum y / sum y^2 = 4, times 10^(10/10)
    torch.testing.assert_close(photons, photons.round())
    assert len(photons.unique()) > 5


@pytest.mark.parametrize(
    "y, kind, message",
    [
        (torch.ones(2, 3), "salt", "kind: expected 'shot' or 'gaussian', got 'salt'"),
        (torch.ones(2, 3, dtype=torch.int32), "shot", "expected floating point"),
        (torch.ones(3), "shot", "expected a batch"),
        (torch.tensor([[1.0, 2.0], [0.0, 0.0]]), "shot", "expected light in every sample"),
        (torch.tensor([[1.0, math.nan]]), "gaussian", "expected finite values"),
        (torch.tensor([[1.0, -0.1]]), "shot", "got a minimum of -0.1"),
    ],
)
def test_bad_input(y, kind, message):
    with pytest.raises(InputError, match=message):
        add_noise_at_snr(y, 20, sample_generator(0, 0), kind=kind)


def test_the_noise_level_is_that_of_the_noise_whatever_smooth_structure_is_below():
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 151), torch.linspace(0, 1, 203), indexing="ij")
    smooth = (2 + rows * columns + (4 * rows).sin()).expand(2, 3, -1, -1)
    sigmas = torch.tensor([0.01, 0.3])
    noise = torch.randn(2, 3, 151, 203, generator=sample_generator(4, 0)) * sigmas[:, None, None, None]
    torch.testing.assert_close(noise_level(smooth + noise), sigmas, rtol=0.02, atol=0)
    torch.testing.assert_close(noise_level(2 * smooth + 2 * noise), 2 * sigmas, rtol=0.02, atol=0)


def test_the_noise_level_of_one_pixel_by_hand_and_without_ignored_pixels():
    """A one in the middle of 5 x 5 is met by 1, 2 and 4, 16 in all, in 9 differences."""
    y = torch.zeros(1, 1, 5, 5)
    y[..., 2, 2] = 1
    assert float(noise_level(y)) == pytest.approx(math.sqrt(math.pi / 2) / 6 * 16 / 9)
    y[..., 0, 0] = 100
    valid = torch.ones(1, 1, 5, 5)
    valid[..., 0, 0] = 0
    assert float(noise_level(y, valid)) == pytest.approx(math.sqrt(math.pi / 2) / 6 * 15 / 8)
    with pytest.raises(InputError, match=r"y: expected images of at least 3 x 3 pixels, got \(1, 1, 2, 5\)"):
        noise_level(y[..., :2, :])
