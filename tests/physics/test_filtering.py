import itertools

import numpy as np
import pytest
import torch

from lensless.physics.fft import GridFFT
from lensless.physics.filtering import filter_images


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_filtering_is_a_periodic_convolution_summed_by_hand():
    grid, image, kernel = (5, 6), normal(1, 1, 3, 4, seed=0), normal(1, 1, 5, 6, seed=1)
    found = filter_images(image, torch.fft.rfft2(kernel), GridFFT(grid), (4, 3))[0, 0]
    x = np.zeros(grid)
    x[1:4, 1:5] = image[0, 0].numpy()
    expected = np.zeros(grid)
    for (i, j), (k, m) in itertools.product(np.ndindex(*grid), np.ndindex(*grid)):
        expected[i, j] += x[k, m] * float(kernel[0, 0, (i - k) % 5, (j - m) % 6])
    np.testing.assert_allclose(found, expected[0:4, 2:5], atol=1e-13)


@pytest.mark.parametrize("leading", [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_gradients_are_those_of_finite_differences(leading: tuple[int, int]):
    fft, x = GridFFT((6, 8)), normal(2, 3, 3, 5, seed=0).requires_grad_()
    kernel = normal(*leading, 6, 8, seed=1).requires_grad_()

    def filtered(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return filter_images(x, torch.fft.rfft2(kernel), fft, (5, 4))

    assert torch.autograd.gradcheck(filtered, (x, kernel))
    assert torch.autograd.gradgradcheck(filtered, (x, kernel))


def test_gradient_of_the_half_spectrum_equals_plain_autograd():
    fft, x, g = GridFFT((6, 8)), normal(2, 3, 3, 5, seed=0), normal(2, 3, 5, 4, seed=2)
    spectrum = torch.fft.rfft2(normal(1, 3, 6, 8, seed=1)).requires_grad_()
    plain = GridFFT((6, 8), backend="torch")
    expected = plain.inverse(plain.forward(x) * spectrum, (5, 4))
    (expected_gradient,) = torch.autograd.grad((expected * g).sum(), spectrum)
    (found,) = torch.autograd.grad((filter_images(x, spectrum, fft, (5, 4)) * g).sum(), spectrum)
    # a real image has Hermitian spectra: what autograd spreads over pairs of columns 0 and Q / 2 is symmetrised
    hermitian = torch.fft.rfft2(torch.fft.irfft2(expected_gradient, s=(6, 8)))
    torch.testing.assert_close(torch.fft.rfft2(torch.fft.irfft2(found, s=(6, 8))), hermitian, rtol=0, atol=1e-13)
