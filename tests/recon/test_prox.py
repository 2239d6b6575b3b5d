"""Every prox against a search or another solver, and the differences against their definition."""

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from lensless.errors import InputError
from lensless.recon.prox import (
    L1,
    NonNegative,
    TotalVariation,
    Unconstrained,
    differences,
    differences_adjoint,
    differences_spectrum,
)

SHAPES = [(1, 2), (3, 4), (5, 6), (6, 3), (4, 8)]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def difference_matrix(height: int, width: int) -> np.ndarray:
    """D as a matrix: one pixel minus the one above it, then minus the one to its left, round the border."""
    pixels = np.arange(height * width).reshape(height, width)
    identity = np.eye(pixels.size)
    return np.concatenate([identity - identity[np.roll(pixels, 1, axis).ravel()] for axis in (0, 1)])


# R(z) = slope |z| for z >= lowest
SEPARABLE = {
    "unconstrained": (Unconstrained(), 0, -5),
    "nonnegative": (NonNegative(), 0, 0),
    "l1": (L1(1.0, nonnegative=False), 1, -5),
    "l1_nonnegative": (L1(1.0), 1, 0),
}


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("t", [0.0, 0.3, 1.7])
def test_minimises_its_definition_on_a_grid_of_numbers(name: str, t: float):
    regulariser, slope, lowest = SEPARABLE[name]
    v, z = 1.2 * normal(2, 1, 3, 5), np.linspace(lowest, 5, 5001)
    scores = (z - v.numpy()[..., None]) ** 2 / 2 + t * slope * np.abs(z)
    best = torch.from_numpy(z[scores.argmin(-1)])
    torch.testing.assert_close(regulariser.prox(v.clone(), t), best, rtol=0, atol=0.002)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("t", [0.05, 0.4, 3.0])
def test_total_variation_equals_the_box_constrained_dual(nonnegative: bool, t: float):
    """z = v - D* p + q with |p| <= t and, for z >= 0, q >= 0: the least squares of z over p and q."""
    v = normal(3, 4, seed=1)
    d = difference_matrix(3, 4)
    matrix, low, high = d.T, np.full(len(d), -t), np.full(len(d), t)
    if nonnegative:
        matrix = np.concatenate([matrix, -np.eye(12)], 1)
        low, high = np.append(low, np.zeros(12)), np.append(high, np.full(12, np.inf))
    dual = lsq_linear(matrix, v.numpy().ravel(), (low, high), method="bvls", tol=1e-15, max_iter=1000)
    expected = torch.from_numpy(v.numpy().ravel() - matrix @ dual.x).reshape(3, 4)
    z = TotalVariation(1.0, nonnegative=nonnegative, iterations=1000).prox(v.clone()[None, None], t)
    torch.testing.assert_close(z[0, 0], expected, rtol=0, atol=1e-6)


def test_total_variation_of_few_iterations_is_close():
    v = (normal(1, 1, 9, 11) + 2 * (torch.arange(11) > 4)).abs()
    few, many = (TotalVariation(1.0, iterations=n).prox(v.clone(), 0.5) for n in (20, 2000))
    assert float((few - many).norm() / many.norm()) < 0.01


def test_total_variation_takes_planes_and_thresholds_one_by_one():
    prior, v, t = TotalVariation(1.0), normal(2, 3, 2, 5, 4), torch.tensor([0.1, 0.7], dtype=torch.float64)
    together = prior.prox(v.clone(), t.reshape(2, 1, 1, 1, 1))
    for sample in range(2):
        for plane in range(3):
            for channel in range(2):
                alone = prior.prox(v[sample, plane, channel].clone()[None, None], float(t[sample]))
                torch.testing.assert_close(together[sample, plane, channel], alone[0, 0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("regulariser", [L1(1.0), L1(1.0, nonnegative=False), NonNegative(), TotalVariation(1.0)])
def test_scales_with_its_argument(regulariser):
    v = normal(2, 3, 5, 4)
    scaled = regulariser.prox(100 * v, 100 * 0.3)
    torch.testing.assert_close(scaled, 100 * regulariser.prox(v.clone(), 0.3), rtol=1e-12, atol=1e-12)


def test_values_by_hand():
    z = torch.tensor([[[[1.0, -2.0], [0.0, 5.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    # rows: |1 - 0| + |0 - 1| + |-2 - 5| + |5 + 2| = 16; columns: |1 + 2| + |-2 - 1| + |0 - 5| + |5 - 0| = 16
    assert TotalVariation(1.0).value(z).tolist() == [32.0, 0.0]
    assert L1(1.0).value(z).tolist() == [8.0, 0.0]
    assert NonNegative().value(z).tolist() == Unconstrained().value(z).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", SHAPES)
def test_differences_equal_their_matrix_and_adjoint(shape: tuple[int, int]):
    x, p, d = normal(*shape), normal(2, *shape, seed=1), torch.from_numpy(difference_matrix(*shape))
    torch.testing.assert_close(differences(x).ravel(), d @ x.ravel(), rtol=0, atol=1e-14)
    torch.testing.assert_close(differences_adjoint(p).ravel(), d.T @ p.ravel(), rtol=0, atol=1e-14)
    torch.testing.assert_close((differences(x) * p).sum(), (x * differences_adjoint(p)).sum(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[1] % 2 == 0])
def test_spectrum_multiplies_like_the_differences_twice(shape: tuple[int, int]):
    x = normal(2, *shape)
    power = differences_spectrum(shape, dtype=x.dtype, device=x.device)
    filtered = torch.fft.irfft2(power * torch.fft.rfft2(x), s=shape)
    torch.testing.assert_close(filtered, differences_adjoint(differences(x)), rtol=0, atol=1e-13)
    assert float(power.max()) <= 8  # the step of the dual projection relies on it


@pytest.mark.parametrize("make", [L1, TotalVariation])
@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_refuses_a_negative_weight(make, weight: float):
    with pytest.raises(InputError, match="weight: expected a number of at least 0"):
        make(weight)
