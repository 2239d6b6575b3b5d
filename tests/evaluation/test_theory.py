"""The split of a reconstruction's error: by hand, by dense matrices, frequency by frequency, and as solvers make it."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lensless.data.mismatch import PSFError
from lensless.errors import InputError
from lensless.evaluation.theory import (
    Formula,
    GradientFormula,
    MeanSquares,
    PeriodicCamera,
    WienerFormula,
    energies,
    measure,
    predict,
    predict_periodic,
    shot_variance,
)
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.noise import add_noise_at_snr
from lensless.physics.operator import LinearOperator
from lensless.recon.base import Reconstructor
from lensless.recon.gradient import GradientDescent
from lensless.recon.prox import Unconstrained
from lensless.recon.wiener import Wiener

CAMERAS = {"periodic": PeriodicCamera, "sensor": LenslessConvolution}
K, STEPS = 0.02, (1, 7)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spotted(*shape: int) -> Tensor:
    """A PSF of few bright pixels, as a lensless camera's is."""
    return random(*shape, seed=3) ** 6 + 0.02


def pair(kind: str, *shape: int) -> tuple[LenslessConvolution, LenslessConvolution]:
    """(true, believed): the calibration is turned, blurred and noisy."""
    psf = spotted(*shape)
    wrong = PSFError(rotation=0.1, blur=0.4, snr_db=20)(psf, torch.Generator().manual_seed(4))
    return CAMERAS[kind](psf), CAMERAS[kind](wrong)


def methods(believed: LenslessConvolution) -> list[tuple[Formula, Reconstructor]]:
    """Each formula and the solver that it is of."""
    found: list[tuple[Formula, Reconstructor]] = [(WienerFormula(believed, k=K), Wiener(K))]
    for steps in STEPS:
        solver = GradientDescent(steps, regulariser=Unconstrained(), step_size=1.3)
        found.append((GradientFormula(believed, steps=steps, step_size=1.3), solver))
    return found


def dense(operator: LinearOperator) -> np.ndarray:
    """The matrix of a camera of one channel."""
    n = int(np.prod(operator.scene_shape))
    return operator(torch.eye(n, dtype=torch.float64).reshape(n, *operator.scene_shape)).flatten(1).T.numpy()


def of_matrices(bias: np.ndarray, mismatch: np.ndarray, covariance: np.ndarray) -> MeanSquares:
    """Of the terms as vectors, and of the covariance of R n."""
    squares = np.mean(bias**2), np.mean(mismatch**2), 2 * np.mean(bias * mismatch), np.trace(covariance) / len(bias)
    return MeanSquares(*(float(square) for square in squares))


def close(found: MeanSquares, expected: MeanSquares, *, rel: float = 1e-9) -> None:
    assert vars(found) == pytest.approx(vars(expected), rel=rel)


def test_the_periodic_camera_wraps_around():
    psf, x = random(2, 5, 6), random(1, 2, 5, 6, seed=1)
    by_hand = sum(
        psf[:, i, j, None, None] * x.roll((i - 2, j - 3), (2, 3)) for i in range(5) for j in range(6)
    )  # centre (5 // 2, 6 // 2)
    camera = PeriodicCamera(psf)
    torch.testing.assert_close(camera(x), by_hand)
    y = random(1, 2, 5, 6, seed=2)
    assert float((camera(x) * y).sum()) == pytest.approx(float((x * camera.adjoint(y)).sum()))


@pytest.mark.parametrize("kind", CAMERAS)
def test_a_point_psf_by_hand(kind):
    """The camera is the identity, and its calibration says 1.25 of it: H = 1, H^ = 5/4, D = 1/4."""
    point = torch.zeros(1, 5, 6, dtype=torch.float64)
    point[0, 2, 3] = 1
    true, believed = CAMERAS[kind](point), CAMERAS[kind](1.25 * point)
    x, variance = random(1, 1, 5, 6), random(1, 5, 6, seed=1)
    squared, mean = float(x.square().mean()), float(variance.mean())
    # a H^2 = 1/2, so 1/8 is left after three steps;  g = (7/8) / H^ = 0.7;  g (H - H^) = -0.175
    expected = [(GradientFormula(believed, steps=3, step_size=0.505), (-1 / 8, -0.175, 0.7))]
    if kind == "periodic":  # on a sensor Wiener's border fades
        # g = H^ / (H^2 (1 + k)) = 0.64;  g H^ - 1 = -k / (1 + k) = -1/5;  g (H - H^) = -0.16
        expected.append((WienerFormula(believed, k=0.25), (-1 / 5, -0.16, 0.64)))
    for formula, (bias, mismatch, gain) in expected:
        found = predict(formula, true, scene=x, variance=variance)
        by_hand = MeanSquares(bias**2 * squared, mismatch**2 * squared, 2 * bias * mismatch * squared, gain**2 * mean)
        close(found, by_hand)
        assert found.total == pytest.approx((bias + mismatch) ** 2 * squared + gain**2 * mean)


@pytest.mark.parametrize("kind", CAMERAS)
@pytest.mark.parametrize("steps", STEPS)
def test_gradient_descent_by_its_matrices(kind, steps):
    true, believed = pair(kind, 1, 5, 6)
    x, variance = random(1, 1, 5, 6), random(1, 5, 6, seed=1)
    formula = GradientFormula(believed, steps=steps)
    field = believed.whole_field()
    a, centre = dense(field), dense_crop(believed)
    one, length = np.eye(a.shape[1]), 1 / (1.01 * float(field.norm_squared()))
    left = np.linalg.matrix_power(one - length * a.T @ a, steps)
    r = sum(np.linalg.matrix_power(one - length * a.T @ a, j) @ a.T for j in range(steps)) * length
    bias = -centre @ left @ centre.T @ x.flatten().numpy()
    mismatch = centre @ r @ (dense(true) - dense(believed)) @ x.flatten().numpy()
    covariance = centre @ r @ np.diag(variance.flatten().numpy()) @ r.T @ centre.T
    found = predict(formula, true, scene=x, variance=variance)
    close(found, of_matrices(bias, mismatch, covariance))


def dense_crop(camera: LenslessConvolution) -> np.ndarray:
    """The matrix that takes the field of view out of the whole field."""
    n = int(np.prod(camera.whole_field().scene_shape))
    units = torch.eye(n, dtype=torch.float64).reshape(n, *camera.whole_field().scene_shape)
    return camera.to_field_of_view(units).flatten(1).T.numpy()


def test_wiener_by_its_matrices():
    true, believed = pair("periodic", 1, 5, 6)
    x, variance = random(1, 1, 5, 6), random(1, 5, 6, seed=1)
    a = dense(believed)
    k = K * np.linalg.norm(a, 2) ** 2  # the largest |H^|^2 of a circulant matrix
    r = np.linalg.solve(a.T @ a + k * np.eye(len(a)), a.T)
    bias, mismatch = (r @ a - np.eye(len(a))) @ x.flatten().numpy(), r @ (dense(true) - a) @ x.flatten().numpy()
    found = predict_periodic(WienerFormula(believed, k=K), true, scene=x, variance=variance)
    close(found, of_matrices(bias, mismatch, r @ np.diag(variance.flatten().numpy()) @ r.T))


def test_the_sum_over_frequencies_is_what_the_operators_make():
    true, believed = pair("periodic", 3, 9, 12)
    x, variance = random(1, 3, 9, 12), random(3, 9, 12, seed=1)
    for formula, _ in methods(believed):
        by_frequency = predict_periodic(formula, true, scene=x, variance=variance)
        close(by_frequency, predict(formula, true, scene=x, variance=variance))


def test_a_frequency_that_the_mask_blocks_stays_bias():
    psf = torch.ones(1, 4, 6, dtype=torch.float64) / 24  # all but the mean is lost
    camera, x = PeriodicCamera(psf), random(1, 1, 4, 6)
    for formula, _ in methods(camera):
        found = predict_periodic(formula, camera, scene=x, variance=torch.zeros_like(psf))
        assert found.bias >= float((x - x.mean()).square().mean())
        assert found.mismatch == 0 and bool(torch.isfinite(formula.gain().abs()).all())


@pytest.mark.parametrize("kind", CAMERAS)
def test_terms_of_the_solvers_are_those_of_the_formula_and_add_up(kind):
    true, believed = pair(kind, 2, 9, 12)
    x, noise = random(1, 2, 9, 12), 0.1 * random(4, 2, 9, 12, seed=1)
    y = true(x) + noise
    for formula, solver in methods(believed):
        terms = measure(solver, believed, true, scene=x, noise=noise)
        torch.testing.assert_close(terms.bias + terms.mismatch + terms.noise, solver(y, believed) - x)
        torch.testing.assert_close(terms.bias, formula.bias(x))
        torch.testing.assert_close(terms.mismatch, formula.spread(true(x) - believed(x)))
        torch.testing.assert_close(terms.noise, formula.spread(noise))


@pytest.mark.parametrize("kind", CAMERAS)
def test_mean_squares_over_shot_noise_are_the_predicted_ones(kind):
    """A mean of 500 draws lies within t standard errors of what is predicted; t is exceeded once in 10^4 tests."""
    draws, snr_db = 500, 15.0
    critical = float(stats.t.isf(0.5e-4, draws - 1))
    true, believed = pair(kind, 1, 9, 12)
    x = random(1, 1, 9, 12)
    clean = true(x)
    generator = torch.Generator().manual_seed(5)
    noise = add_noise_at_snr(clean.expand(draws, -1, -1, -1), snr_db, generator) - clean
    variance = shot_variance(clean, snr_db)
    assert float(variance.sum()) == pytest.approx(float(clean.square().sum()) / 10 ** (snr_db / 10))
    for formula, solver in methods(believed):
        predicted = predict(formula, true, scene=x, variance=variance)
        terms = measure(solver, believed, true, scene=x, noise=noise)
        errors = terms.bias + terms.mismatch + terms.noise
        for images, expected in ((terms.noise, predicted.noise), (errors, predicted.total)):
            values = images.square().mean((1, 2, 3))
            assert abs(float(values.mean()) - expected) < critical * float(values.std()) / draws**0.5
        measured = terms.mean_squares()
        for name in ("bias", "mismatch", "cross"):
            assert getattr(measured, name) == pytest.approx(getattr(predicted, name), rel=1e-9)


def test_energies_come_in_pieces(monkeypatch):
    _, believed = pair("sensor", 2, 5, 6)
    formula = WienerFormula(believed, k=K)
    whole = energies(formula)
    unit = torch.zeros(1, 2, 5, 6, dtype=torch.float64)
    unit[0, 1, 4, 2] = 1
    assert float(whole[1, 4, 2]) == pytest.approx(float(formula.spread(unit).square().sum()))
    monkeypatch.setattr("lensless.evaluation.theory.CHUNK", 7)
    torch.testing.assert_close(energies(formula), whole)


def test_frequencies_of_a_sensor_are_refused():
    true, believed = pair("sensor", 1, 5, 6)
    with pytest.raises(InputError, match="true: expected a PeriodicCamera, got LenslessConvolution"):
        predict_periodic(WienerFormula(believed, k=K), true, scene=random(1, 1, 5, 6), variance=random(1, 5, 6))
