"""The gradient methods against their textbook iterations and against the minimiser of what they minimise."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.multi_psf import MultiPSF, bilinear_weights
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.stack import DepthStack, SpectralStack
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon import gradient
from lensless.recon.gradient import FISTA, GradientDescent, Nesterov, ProximalGradient
from lensless.recon.prox import L1, NonNegative, Regulariser, TotalVariation, Unconstrained

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def peaked(*shape: int, seed: int = 0) -> torch.Tensor:
    """PSFs with one bright pixel: easy to invert."""
    psf = 0.1 * uniform(*shape, seed=seed) + 0.1
    psf[..., shape[-2] // 2, shape[-1] // 2] += 1
    return psf


def smooth(height: int, width: int) -> torch.Tensor:
    """A blur, hard to invert."""
    rows, columns = (torch.linspace(-2, 2, n, dtype=torch.float64) for n in (height, width))
    return torch.exp(-(rows[:, None] ** 2) - columns**2)[None]


def dense(operator: LinearOperator) -> np.ndarray:
    """The matrix of a camera with one PSF; 0, not rounding, where no light goes."""
    n = int(np.prod(operator.scene_shape))
    matrix = operator(torch.eye(n, dtype=operator.dtype).reshape(n, *operator.scene_shape)).flatten(1).T.numpy()
    return np.where(np.abs(matrix) < 1e-12, 0, matrix)


RESPONSE = torch.tensor([[1.0, 0.25, 0.0], [0.0, 0.5, 1.0]], dtype=torch.float64)
CAMERAS: dict[str, Callable[[], LinearOperator]] = {
    "convolution": lambda: LenslessConvolution(peaked(2, 3, 5)),
    "larger_scene": lambda: LenslessConvolution(peaked(1, 4, 3), scene_shape=(5, 6)),
    "valid_pixels": lambda: ValidPixels(LenslessConvolution(peaked(2, 3, 5)), mask=uniform(2, 3, 5) < 0.7),
    "depths": lambda: DepthStack(peaked(2, 1, 3, 5)),
    "bands": lambda: SpectralStack(peaked(3, 3, 5), response=RESPONSE),
    "regions": lambda: MultiPSF(peaked(2, 2, 3, 5), weights=bilinear_weights((3, 5), rows=[1], columns=[1, 3])),
    "separable": lambda: SeparableMask(
        torch.eye(5, 4).double() + 0.2 * uniform(5, 4), right=torch.eye(3, 5).double() + 0.2 * uniform(3, 5)
    ),
}
METHODS = [GradientDescent, Nesterov, FISTA]


def measurement(camera: LinearOperator, samples: int = 1) -> torch.Tensor:
    y = uniform(samples, *camera.sensor_shape, seed=1) - 0.3
    return y * camera.mask if isinstance(camera, ValidPixels) else y


def whole_scene(solver: ProximalGradient, y: torch.Tensor, camera: LinearOperator) -> torch.Tensor:
    """The scene that the solver ends with, margins outside the field of view included."""
    state = solver.start(y, camera, None)
    for _ in range(solver.iterations):
        solver.step(state)
    return state.x


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("method", METHODS)
def test_unconstrained_converges_to_least_squares(name: str, method: type[ProximalGradient]):
    """From zero to the solution of least norm: the pseudo-inverse."""
    camera = CAMERAS[name]()
    y = measurement(camera)
    x = whole_scene(method(150, regulariser=Unconstrained()), y, camera)
    expected = np.linalg.pinv(dense(camera.whole_field()), rcond=1e-10) @ y.numpy().ravel()
    close(x.flatten(), torch.from_numpy(expected), 1e-5)


@pytest.mark.parametrize("name", CAMERAS)
def test_non_negative_equals_non_negative_least_squares(name: str):
    camera = CAMERAS[name]()
    y = measurement(camera)
    matrix = dense(camera.whole_field())
    fit, residual = nnls(matrix, y.numpy().ravel())
    solver = FISTA(1500)
    x = whole_scene(solver, y, camera).numpy().ravel()
    assert x.min() >= 0
    np.testing.assert_allclose(matrix @ x, matrix @ fit, rtol=0, atol=1e-5)
    at_fit = torch.from_numpy(fit).reshape(1, *camera.whole_field().scene_shape)
    stays = FISTA(3, record_every=1).solve(y, camera.whole_field(), init=at_fit)
    close(stays.image, at_fit, 1e-10)
    assert stays.history["objective"] == pytest.approx([residual**2 / 2] * 3)
    assert stays.history["residual"] == pytest.approx([residual / float(y.norm())] * 3)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_l1_behind_a_pinhole_is_the_soft_threshold(nonnegative: bool):
    """psf = delta, so that ||A|| = 1 and every pixel by itself is min 1/2 (x - y)^2 + threshold |x|."""
    psf = torch.zeros(1, 3, 5, dtype=torch.float64)
    psf[0, 1, 2] = 1
    y, weight = uniform(2, 1, 3, 5) - 0.5, 0.6
    threshold = weight * y.abs().mean((1, 2, 3), keepdim=True) * 1.01**0.5
    expected = torch.sign(y) * (y.abs() - threshold).clamp(min=0)
    expected = expected.clamp(min=0) if nonnegative else expected
    prior = L1(weight, nonnegative=nonnegative)
    solution = FISTA(60, regulariser=prior, record_every=60).solve(y, LenslessConvolution(psf))
    torch.testing.assert_close(solution.image, expected, rtol=0, atol=1e-10)
    objective = ((expected - y).square() / 2 + threshold * expected.abs()).sum((1, 2, 3)).mean()
    assert solution.history["objective"] == pytest.approx([float(objective)])
    assert 0.1 < float((expected == 0).double().mean()) < 0.9


def textbook(solver: ProximalGradient, matrix: np.ndarray, y: np.ndarray, lipschitz: float) -> tuple[np.ndarray, int]:
    """x after all iterations, and how often the momentum was started anew."""
    x = z = np.zeros(matrix.shape[1])
    t, restarts = 1.0, 0
    for _ in range(solver.iterations):
        new = np.maximum(z - solver.step_size / lipschitz * matrix.T @ (matrix @ z - y), 0)
        t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
        beta = {GradientDescent: 0.0, Nesterov: 0.9, FISTA: (t - 1) / t_next}[type(solver)]
        uphill = isinstance(solver, FISTA) and solver.restart and (z - new) @ (new - x) > 0
        t, restarts = (1.0 if uphill else t_next), restarts + uphill
        x, z = new, new + beta * (new - x)
    return x, restarts


@pytest.mark.parametrize("block_pixels", [13, 2**18])
@pytest.mark.parametrize(
    "solver", [GradientDescent(60, step_size=1.7), Nesterov(60), FISTA(60, restart=False), FISTA(60, step_size=0.8)]
)
def test_iterates_equal_the_textbook(solver: ProximalGradient, block_pixels: int, monkeypatch):
    monkeypatch.setattr(gradient, "BLOCK_PIXELS", block_pixels)
    camera = LenslessConvolution(uniform(1, 5, 7) ** 2)
    y = camera(uniform(2, 1, 5, 7)) * torch.tensor([1.0, 30.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    whole = camera.whole_field()
    runs = [textbook(solver, dense(whole), s.numpy().ravel(), 1.01 * float(whole.norm_squared())) for s in y]
    x = whole_scene(solver, y, camera)
    close(x.flatten(1), torch.from_numpy(np.stack([x for x, _ in runs])), 1e-10)
    if isinstance(solver, FISTA) and solver.restart:
        assert min(restarts for _, restarts in runs) > 0


def test_restart_ends_the_ripples_and_helps():
    camera = LenslessConvolution(uniform(1, 7, 9))
    y = camera(uniform(1, 1, 7, 9)) + 0.1 * uniform(1, 1, 7, 9, seed=1)
    solvers = FISTA(500, restart=False, record_every=1), FISTA(500, record_every=1)
    plain, restarted = (np.array(solver.solve(y, camera).history["objective"]) for solver in solvers)
    lowest = min(plain.min(), restarted.min())
    assert restarted[-1] - lowest < 0.1 * (plain[-1] - lowest)
    assert (np.diff(plain) > 1e-9 * lowest).sum() > 5 * (np.diff(restarted) > 1e-9 * lowest).sum()


def test_gradient_descent_never_raises_the_objective():
    camera = LenslessConvolution(smooth(5, 7))
    for prior in (NonNegative(), L1(0.01), TotalVariation(0.01, iterations=100)):
        solver = GradientDescent(40, regulariser=prior, record_every=1)
        objective = solver.solve(measurement(camera), camera).history["objective"]
        assert (np.diff(objective) <= 1e-6 * objective[-1]).all(), prior


PRIORS: dict[str, Regulariser] = {
    "nonnegative": NonNegative(),
    "l1": L1(0.05),
    "l1_signed": L1(0.05, nonnegative=False),
    "tv": TotalVariation(0.05),
}


@pytest.mark.parametrize("name", PRIORS)
def test_scales_with_the_measurement_and_inversely_with_the_psf(name: str):
    psf, y = peaked(2, 5, 7), uniform(2, 2, 5, 7, seed=1) - 0.3
    solver, camera = FISTA(15, regulariser=PRIORS[name]), LenslessConvolution(psf)
    x = solver(y, camera)
    close(solver(100 * y, camera), 100 * x, 1e-11)
    close(solver(y, LenslessConvolution(100 * psf)), x / 100, 1e-11)


@pytest.mark.parametrize("name", PRIORS)
def test_a_batch_equals_its_samples_one_by_one(name: str):
    psf, y = peaked(3, 2, 5, 7), uniform(3, 2, 5, 7, seed=1) - 0.3
    y = y * torch.tensor([1e-3, 1, 50]).reshape(3, 1, 1, 1)
    solver, one_psf = FISTA(15, regulariser=PRIORS[name]), LenslessConvolution(psf[0])
    together, apart = solver(y, one_psf), FISTA(50, regulariser=PRIORS[name])(y, LenslessConvolution(psf))
    for i in range(3):
        close(together[i], solver(y[i : i + 1], one_psf)[0], 1e-11)
        # the power iteration of each camera starts elsewhere, and so do the steps differ a little, not the limit
        close(apart[i], FISTA(50, regulariser=PRIORS[name])(y[i : i + 1], LenslessConvolution(psf[i]))[0], 1e-3)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("name", CAMERAS)
def test_single_precision_is_close_to_double(name: str, device: str):
    camera = CAMERAS[name]()
    y = measurement(camera, 2)
    for prior in (NonNegative(), TotalVariation(0.01)):
        solver = FISTA(50, regulariser=prior)
        found = solver(y.float().to(device), camera.to(device, torch.float32))
        assert found.device.type == device
        close(found.cpu().double(), solver(y, camera), 1e-3)


def test_a_warm_start_fills_the_field_of_view():
    camera, init = LenslessConvolution(peaked(1, 5, 7)), uniform(2, 1, 5, 7, seed=2)
    state = FISTA().start(uniform(2, 1, 5, 7), camera, init)
    assert torch.equal(camera.to_field_of_view(state.x), init)
    assert float(state.x.sum()) == pytest.approx(float(init.sum()))


def test_nothing_measured_is_nothing_seen():
    camera = LenslessConvolution(peaked(2, 5, 7))
    for prior in PRIORS.values():
        assert float(FISTA(5, regulariser=prior)(torch.zeros(1, 2, 5, 7).double(), camera).abs().max()) == 0


@pytest.mark.parametrize("name", PRIORS)
def test_leaves_its_input_as_it_was(name: str):
    camera, y, init = LenslessConvolution(peaked(2, 5, 7)), uniform(2, 2, 5, 7), uniform(2, 2, 5, 7, seed=2)
    kept = y.clone(), init.clone()
    FISTA(4, regulariser=PRIORS[name]).solve(y, camera, init=init)
    assert torch.equal(y, kept[0])
    assert torch.equal(init, kept[1])


@pytest.mark.parametrize("name", PRIORS)
def test_ignored_pixels_have_no_influence(name: str):
    mask, y = uniform(2, 5, 7, seed=2) < 0.8, uniform(2, 2, 5, 7, seed=1)
    camera = ValidPixels(LenslessConvolution(peaked(2, 5, 7)), mask=mask)
    solver = FISTA(10, regulariser=PRIORS[name], record_every=5)
    clean, other = solver.solve(y, camera), solver.solve(torch.where(mask, y, 1e6 * torch.ones_like(y)), camera)
    assert torch.equal(clean.image, other.image)
    assert clean.history["objective"] == other.history["objective"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step_size", [0, 2, float("nan")])
def test_refuses_steps_that_diverge(method: type[ProximalGradient], step_size: float):
    with pytest.raises(InputError, match=r"step_size: expected a number between 0 and 2, in units of 1 / \|\|A\|\|\^2"):
        method(step_size=step_size)
