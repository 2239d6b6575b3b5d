"""ADMM against other solvers of the same problem, against its optimality, and what the solver promises around it."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import ducc0
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon import admm_iteration
from lensless.recon.admm import ADMM
from lensless.recon.gradient import FISTA
from lensless.recon.prox import TotalVariation, differences, differences_adjoint

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def peaked(*shape: int, seed: int = 0) -> torch.Tensor:
    """PSFs with few bright pixels: easy to invert."""
    return uniform(*shape, seed=seed) ** 8 + 0.02


def dense(operator: LinearOperator) -> np.ndarray:
    """The matrix of a camera with one PSF; 0, not rounding, where no light goes."""
    n = int(np.prod(operator.scene_shape))
    matrix = operator(torch.eye(n, dtype=operator.dtype).reshape(n, *operator.scene_shape)).flatten(1).T.numpy()
    return np.where(np.abs(matrix) < 1e-12, 0, matrix)


def finished(solver: ADMM, y: torch.Tensor, physics: LinearOperator):
    """The state after all iterations, duals included."""
    state = solver.start(y, physics, None)
    for _ in range(solver.iterations):
        solver.step(state)
    return state


@pytest.mark.parametrize("masked", [False, True])
def test_without_total_variation_equals_non_negative_least_squares(masked: bool):
    psf, y = peaked(1, 3, 5) + 0.2, uniform(1, 1, 3, 5, seed=1) - 0.4
    physics: LinearOperator = LenslessConvolution(psf, fft_shape=(7, 10))
    if masked:
        physics = ValidPixels(physics, mask=uniform(3, 5, seed=2) < 0.8)
        y = y * physics.mask
    matrix, target = dense(physics.whole_field()), y.numpy().ravel()
    fit, residual = nnls(matrix, target)
    solver = ADMM(1500, tau=0, mu1=0.03, mu3=0.03, record_every=1500)
    state = finished(solver, y, physics)
    x = state.whole.x.numpy().ravel() * float(state.unit)
    assert x.min() > -1e-7 * x.max()
    np.testing.assert_allclose(matrix @ x, matrix @ fit, rtol=0, atol=1e-7)
    found = solver.solve(y, physics)
    assert found.history["residual"][-1] * np.linalg.norm(target) == pytest.approx(residual, rel=1e-8)
    assert found.history["objective"][-1] == pytest.approx(residual**2 / 2, rel=1e-8)


def test_with_neither_constraint_nor_prior_fits_the_measurement():
    """The whole field has more unknowns than the sensor has pixels: the best residual is none."""
    psf, y = peaked(2, 3, 5), uniform(1, 2, 3, 5, seed=1) - 0.4
    solution = ADMM(300, tau=0, nonnegative=False, record_every=300).solve(y, LenslessConvolution(psf))
    assert solution.history["residual"][-1] < 1e-8


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_total_variation_meets_the_optimality_conditions_and_equals_fista(nonnegative: bool, masked: bool):
    """0 = A* (Ax - y) + D* q2 + q3 with q2 in tau sign(Dx), q3 <= 0 and q3 x = 0; and FISTA's objective."""
    psf, y, tau, small = peaked(1, 3, 5), uniform(1, 1, 3, 5, seed=1) - 0.2, 0.05, 1e-6
    physics: LinearOperator = LenslessConvolution(psf, fft_shape=(7, 10))
    if masked:
        physics = ValidPixels(physics, mask=uniform(3, 5, seed=3) < 0.8)
        y = y * physics.mask
    solver = ADMM(1500, tau=tau, nonnegative=nonnegative, mu1=0.1, mu2=0.1, mu3=0.03)
    state = finished(solver, y, physics)
    whole, x, scale, gain = physics.whole_field(), state.whole.x, state.scale, state.scale / state.unit

    dual = torch.stack((state.whole.rows, state.whole.columns))
    pull = differences_adjoint(dual) + (state.whole.positivity if nonnegative else 0)
    close(pull * scale * gain, -whole.adjoint(whole(x * state.unit) - y), small)
    slopes = differences(x)
    assert float(dual.abs().max()) <= tau
    assert bool(((slopes.abs() < small) | ((dual - tau * slopes.sign()).abs() < small)).all())
    assert 0.1 < float((slopes.abs() > small).double().mean()) < 0.9
    if nonnegative:
        assert float(state.whole.positivity.max()) <= 0
        assert float(x.min()) > -small
        assert float((state.whole.positivity * x).abs().max()) < small
        assert bool((state.whole.positivity < -0.01).any())

    weight = tau * float(gain) / float((1.01 * whole.norm_squared()).sqrt())
    prior = TotalVariation(weight, nonnegative=nonnegative, iterations=50)
    fista = FISTA(100, regulariser=prior, record_every=100).solve(y, physics).history["objective"][-1]
    ours = float(solver.diagnose(state)[0])
    assert ours <= fista <= ours * (1 + 1e-3)


def test_scales_with_the_measurement_and_inversely_with_the_psf():
    psf, y = uniform(2, 5, 7), uniform(2, 2, 5, 7, seed=1)
    solver, camera = ADMM(20, tau=0.01), LenslessConvolution(psf)
    x = solver(y, camera)
    close(solver(100 * y, camera), 100 * x, 1e-11)
    close(solver(y, LenslessConvolution(100 * psf)), x / 100, 1e-11)


def test_a_batch_equals_its_samples_one_by_one():
    psf, y = uniform(3, 2, 5, 7), uniform(3, 2, 5, 7, seed=1)
    y = y * torch.tensor([1e-3, 1, 50]).reshape(3, 1, 1, 1)
    mask = uniform(3, 1, 5, 7, seed=2) < 0.8
    solver = ADMM(15, tau=0.01)
    one_psf = LenslessConvolution(psf[0])
    together = solver(y, one_psf), solver(y, LenslessConvolution(psf)), solver(y, ValidPixels(one_psf, mask=mask))
    for i in range(3):
        sample = y[i : i + 1]
        close(together[0][i], solver(sample, one_psf)[0], 1e-12)
        close(together[1][i], solver(sample, LenslessConvolution(psf[i]))[0], 1e-12)
        close(together[2][i], solver(sample, ValidPixels(one_psf, mask=mask[i]))[0], 1e-12)


@pytest.mark.parametrize("block_pixels", [1, 50, 100])
@pytest.mark.parametrize("tau", [0, 0.01])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_blocks_of_rows_give_the_same(block_pixels: int, tau: float, nonnegative: bool, monkeypatch):
    psf, y = uniform(2, 5, 7), uniform(2, 2, 5, 7, seed=1)
    camera = ValidPixels(LenslessConvolution(psf), mask=uniform(2, 5, 7, seed=2) < 0.8)
    solver = ADMM(10, tau=tau, nonnegative=nonnegative, record_every=5)
    whole = solver.solve(y, camera)
    monkeypatch.setattr(admm_iteration, "BLOCK_PIXELS", block_pixels)
    blocks = solver.solve(y, camera)
    close(blocks.image, whole.image, 1e-12)
    assert blocks.history["objective"] == pytest.approx(whole.history["objective"], rel=1e-12)


@pytest.mark.skipif(ducc0 is None, reason="needs ducc0")
def test_both_fft_libraries_give_the_same():
    psf, y = uniform(2, 5, 7), uniform(2, 2, 5, 7, seed=1)
    ducc, plain = (ADMM(20, tau=0.01)(y, LenslessConvolution(psf, backend=b)) for b in ("ducc", "torch"))
    close(ducc, plain, 1e-11)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_single_precision_is_close_to_double(device: str):
    psf, y = peaked(3, 9, 13), uniform(2, 3, 9, 13, seed=1)
    camera = ValidPixels(LenslessConvolution(psf), mask=uniform(9, 13, seed=2) < 0.9)
    expected = ADMM(50)(y, camera)
    found = ADMM(50)(y.float().to(device), camera.to(device, torch.float32))
    assert found.device.type == device
    close(found.cpu().double(), expected, 1e-4)


def test_starts_from_a_solution_and_stays():
    """Without noise and prior the true scene leaves no residual, so that every dual is zero there."""
    camera = LenslessConvolution(uniform(2, 5, 7))
    x = uniform(2, 2, 5, 7, seed=1)
    close(ADMM(5, tau=0).solve(camera(x), camera, init=x).image, x, 1e-12)


def test_a_warm_start_is_the_first_estimate_and_saves_iterations():
    camera, y = LenslessConvolution(peaked(1, 5, 7)), uniform(1, 1, 5, 7, seed=1)
    solution = ADMM(300)(y, camera)
    solver = ADMM(5)
    close(solver.estimate(solver.start(y, camera, solution)), solution, 1e-12)
    warm, cold = solver.solve(y, camera, init=solution).image, solver(y, camera)
    assert float((warm - solution).norm()) < 0.3 * float((cold - solution).norm())


def test_single_precision_does_not_drift():
    """Hx is kept up by its changes; after many of them it is still the image of x."""
    camera, y = LenslessConvolution(peaked(2, 9, 13).float()), uniform(1, 2, 9, 13, seed=1).float()
    state = finished(ADMM(1000), y, camera)
    seen = camera.whole_field()(state.whole.x * state.unit) / state.scale
    close(state.whole.hx, seen, 1e-5)


def test_refuses_a_grid_too_small_for_the_whole_field():
    camera = LenslessConvolution(uniform(1, 5, 7), fft_shape=(8, 14))
    with pytest.raises(InputError, match="fft_shape: axis 0 has 8 samples, too few"):
        ADMM()(uniform(1, 1, 5, 7), camera)


def test_nothing_measured_is_nothing_seen():
    camera = LenslessConvolution(uniform(2, 5, 7))
    y = torch.stack((torch.zeros(2, 5, 7).double(), uniform(2, 5, 7)))
    x = ADMM(10, record_every=5).solve(y, camera)
    assert float(x.image[0].abs().max()) == 0
    close(x.image[1], ADMM(10)(y[1:], camera)[0], 1e-12)
    assert np.isfinite(x.history["residual"]).all()


def test_leaves_its_input_as_it_was():
    psf, y, init = uniform(2, 5, 7), uniform(2, 2, 5, 7, seed=1), uniform(2, 2, 5, 7, seed=2)
    camera = LenslessConvolution(psf)
    kept = [v.clone() for v in (psf, y, init, camera.spectrum)]
    ADMM(3).solve(y, camera, init=init)
    assert all(torch.equal(a, b) for a, b in zip((psf, y, init, camera.spectrum), kept, strict=True))


def test_ignored_pixels_have_no_influence():
    y, mask = uniform(2, 3, 5, 7, seed=1), uniform(3, 5, 7, seed=2) < 0.8
    camera = ValidPixels(LenslessConvolution(uniform(3, 5, 7)), mask=mask)
    solver = ADMM(10, tau=0.01, record_every=5)
    spoilt = torch.where(mask, y, torch.tensor(1e6, dtype=y.dtype))
    clean, other = solver.solve(y, camera), solver.solve(spoilt, camera)
    assert torch.equal(clean.image, other.image)
    assert clean.history["residual"] == other.history["residual"]


@pytest.mark.parametrize("name", ["mu1", "mu2", "mu3"])
def test_refuses_penalties_that_are_not_positive(name: str):
    with pytest.raises(InputError, match=f"{name}: expected a positive number, got 0"):
        ADMM(**{name: 0})


def test_refuses_a_negative_weight_and_other_cameras():
    with pytest.raises(InputError, match="tau: expected a number of at least 0, got -1"):
        ADMM(tau=-1)
    camera = SeparableMask(uniform(5, 4), right=uniform(7, 6))
    with pytest.raises(InputError, match=r"ADMM needs a LenslessConvolution.*got SeparableMask; use FISTA"):
        ADMM()(uniform(1, 1, 5, 7), camera)
