import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.stack import DepthStack, SpectralStack


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_points_at_all_depths_add_up_on_the_sensor():
    psf, x = uniform(3, 2, 7, 9), torch.zeros(1, 3, 2, 7, 9, dtype=torch.float64)
    x[..., 3, 4] = torch.tensor([[1.0, 1.0], [10.0, 10.0], [0.0, 0.0]])
    torch.testing.assert_close(DepthStack(psf)(x)[0], psf[0] + 10 * psf[1], rtol=0, atol=1e-12)


def test_one_depth_is_a_convolution():
    psf, x = uniform(2, 5, 7), uniform(3, 2, 5, 7)
    stacked = DepthStack(psf[None])(x[:, None])
    torch.testing.assert_close(stacked, LenslessConvolution(psf)(x), rtol=0, atol=1e-12)


def test_a_point_of_one_band_takes_the_colour_of_the_response():
    psf, x = uniform(4, 5, 6), torch.zeros(1, 4, 5, 6, dtype=torch.float64)
    x[:, 2, 2, 3] = 1
    response = torch.tensor([[0.0, 0.0, 0.5, 1.0], [1.0, 1.0, 0.25, 0.0], [0.3, 0.0, 0.0, 0.0]])
    y = SpectralStack(psf, response=response)(x)
    expected = torch.stack([0.5 * psf[2], 0.25 * psf[2], torch.zeros(5, 6)])
    torch.testing.assert_close(y[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (torch.ones(3, 5), r"expected a tensor \(C, 4\), a column for each PSF, got \(3, 5\)"),
        (torch.ones(4), r"expected a tensor \(C, 4\), .* got \(4,\)"),
        ([[1, 1, 1, 1]], r"expected a tensor \(C, 4\), .* got list"),
        (torch.tensor([[1, 0, torch.nan, 0]]), "expected finite values that are not all zero"),
        (torch.zeros(3, 4), "expected finite values that are not all zero"),
    ],
    ids=["bands", "ndim", "list", "nan", "zeros"],
)
def test_refuses_a_bad_response(response, words: str):
    with pytest.raises(InputError, match="response: " + words):
        SpectralStack(uniform(4, 5, 6), response=response)


@pytest.mark.parametrize(
    ("psf", "words"),
    [
        (torch.ones(3, 5, 6), r"expected \(D, C, h, w\) or \(B, D, C, h, w\), got \(3, 5, 6\)"),
        (torch.ones(2, 48, 64, 3), "channels last"),
        (torch.stack([torch.ones(1, 5, 6), torch.zeros(1, 5, 6)]), "got a PSF of zeros"),
    ],
    ids=["no_depths", "channels_last", "dark_plane"],
)
def test_refuses_a_bad_psf(psf, words: str):
    with pytest.raises(InputError, match="psf: .*" + words):
        DepthStack(psf)
