"""Plug-and-play with denoisers whose fixed point is known in closed form, and with total variation."""

from collections.abc import Callable

import pytest
import torch

from lensless.errors import InputError, NonFiniteError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.multi_psf import MultiPSF, bilinear_weights
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.stack import DepthStack, SpectralStack
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.denoisers import TotalVariationDenoiser
from lensless.recon.plug_and_play import (
    PlugAndPlay,
    PlugAndPlayADMM,
    PlugAndPlayFISTA,
    PlugAndPlayHQS,
    regularised_least_squares,
)
from lensless.recon.prox import TotalVariation

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def peaked(*shape: int, seed: int = 0) -> torch.Tensor:
    """PSFs with one bright pixel: easy to invert."""
    psf = 0.1 * uniform(*shape, seed=seed)
    psf[..., shape[-2] // 2, shape[-1] // 2] += 1
    return psf


def dense(operator: LinearOperator) -> torch.Tensor:
    """The matrix of a camera with one PSF."""
    n = torch.Size(operator.scene_shape).numel()
    return operator(torch.eye(n, dtype=operator.dtype).reshape(n, *operator.scene_shape)).flatten(1).T


def nearly_one(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.eye(rows, columns, dtype=torch.float64) + 0.2 * uniform(rows, columns, seed=seed)


RESPONSE = torch.tensor([[1.0, 0.25, 0.0], [0.0, 0.5, 1.0]], dtype=torch.float64)
CAMERAS: dict[str, Callable[[], LinearOperator]] = {
    "convolution": lambda: LenslessConvolution(peaked(2, 3, 5)),
    "valid_pixels": lambda: ValidPixels(LenslessConvolution(peaked(2, 3, 5)), mask=uniform(2, 3, 5) < 0.7),
    "depths": lambda: DepthStack(peaked(2, 1, 3, 5)),
    "bands": lambda: SpectralStack(peaked(3, 3, 5), response=RESPONSE),
    "regions": lambda: MultiPSF(peaked(2, 2, 3, 5), weights=bilinear_weights((3, 5), rows=[1], columns=[1, 3])),
    "separable": lambda: SeparableMask(nearly_one(6, 4, 1), right=nearly_one(7, 5, 2)),
}
METHODS = [PlugAndPlayADMM, PlugAndPlayHQS, PlugAndPlayFISTA]


def identity(x: torch.Tensor, _sigma: float) -> torch.Tensor:
    return x


def measurement(camera: LinearOperator, samples: int = 1) -> torch.Tensor:
    y = uniform(samples, *camera.sensor_shape, seed=1) - 0.3
    return y * camera.mask if isinstance(camera, ValidPixels) else y


def whole_scene(solver: PlugAndPlay, y: torch.Tensor, camera: LinearOperator) -> torch.Tensor:
    """The clean scene that the solver ends with, margins outside the field of view included."""
    state = solver.start(y, camera, None)
    for _ in range(solver.iterations):
        solver.step(state)
    return state.z


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("method", METHODS)
def test_without_a_prior_converges_to_least_squares(name: str, method: type[PlugAndPlay]):
    """The identity as denoiser: the solution of least norm, because the start lies in the range of A*."""
    camera = CAMERAS[name]()
    y = measurement(camera)
    expected = torch.linalg.pinv(dense(camera.whole_field()), rtol=1e-10) @ y.flatten()
    x = whole_scene(method(identity, iterations=120, alpha=0.05), y, camera)
    close(x.flatten(), expected, 1e-5)


SHRINK = 0.4
# The fixed points with z = v / (1 + c), L = 1.01 ||A||^2, all of the form (A*A + weight) x = A*y:
#   ADMM   x = z, u = c z, and A*(Ax - y) + alpha L (x - z + u) = 0      give weight = alpha L c
#   HQS    z = x / (1 + c), and A*(Ax - y) + alpha L (x - z) = 0         give weight = alpha L c / (1 + c) for x
#   FISTA  (1 + c) z = z - A*(Az - y) / L                                gives weight = L c
RIDGES = {
    PlugAndPlayADMM: (lambda alpha, c: alpha * c, lambda c: 1.0),
    PlugAndPlayHQS: (lambda alpha, c: alpha * c / (1 + c), lambda c: 1 / (1 + c)),
    PlugAndPlayFISTA: (lambda alpha, c: c, lambda c: 1.0),
}


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("method", METHODS)
def test_with_shrinkage_converges_to_ridge_regression(name: str, method: type[PlugAndPlay]):
    camera, alpha = CAMERAS[name](), 0.3
    y = measurement(camera)
    whole = camera.whole_field()
    a, strength = dense(whole), 1.01 * float(whole.norm_squared())
    weight, factor = RIDGES[method]
    normal = a.T @ a + weight(alpha, SHRINK) * strength * torch.eye(a.shape[1], dtype=a.dtype)
    expected = factor(SHRINK) * torch.linalg.solve(normal, a.T @ y.flatten())
    solver = method(lambda x, _sigma: x / (1 + SHRINK), iterations=50, alpha=alpha)
    close(whole_scene(solver, y, camera).flatten(), expected, 1e-6)


def test_conjugate_gradients_solve_every_sample_in_as_many_steps_as_unknowns():
    camera = SeparableMask(nearly_one(4, 3, 1), right=nearly_one(3, 2, 2))
    a, y, v = dense(camera), uniform(2, 1, 4, 3, seed=1), uniform(2, 1, 3, 2, seed=2)
    alpha = torch.tensor([0.1, 2.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    x = regularised_least_squares(camera, camera.adjoint(y), v, alpha, torch.zeros_like(v), 6)
    for i in range(2):
        normal = a.T @ a + float(alpha[i]) * torch.eye(6, dtype=a.dtype)
        expected = torch.linalg.solve(normal, a.T @ y[i].flatten() + float(alpha[i]) * v[i].flatten())
        close(x[i].flatten(), expected, 1e-10)


def test_half_quadratic_splitting_trusts_the_prior_more_as_the_noise_falls():
    """Noise levels 0.04 and 0.02: proxes of the data with alpha / 4, then alpha."""
    camera, alpha = CAMERAS["separable"](), 0.3
    y, a, strength = measurement(camera), dense(camera), 1.01 * float(camera.norm_squared())
    solver = PlugAndPlayHQS(identity, iterations=2, alpha=alpha, sigma=0.02, sigma_start=0.04, conjugate_gradients=40)
    x = solver.start(y, camera, None).z.flatten()
    for now in (alpha / 4 * strength, alpha * strength):
        x = torch.linalg.solve(a.T @ a + now * torch.eye(len(x), dtype=x.dtype), a.T @ y.flatten() + now * x)
    close(solver(y, camera).flatten(), x, 1e-10)


def test_white_is_the_brightest_but_one_pixel_in_a_thousand():
    """Behind identity matrices the start is y / (1 + 0.01 * 1.01), of 2000 pixels."""
    camera = SeparableMask(torch.eye(40, dtype=torch.float64), right=torch.eye(50, dtype=torch.float64))
    y = torch.cat([uniform(1, 1, 40, 50), 7 * uniform(1, 1, 40, 50, seed=1)])
    y[:, 0, 3, 4:6] = 100
    white = PlugAndPlayHQS(identity).start(y, camera, None).white.flatten()
    torch.testing.assert_close(white, y.flatten(1).sort(1).values[:, -3] / 1.0101, rtol=1e-9, atol=0)


def test_with_total_variation_converges_to_its_minimiser():
    """1/2 ||Ax - y||^2 + weight R(x), weight = L sigma white for FISTA, alpha L sigma white for ADMM.

    The condition of its minimum is x = prox(x - A*(Ax - y) / L) with R's weight divided by L.
    """
    camera, alpha, sigma = CAMERAS["separable"](), 0.3, 0.05
    y, strength = camera(uniform(1, *camera.scene_shape, seed=3)), 1.01 * float(camera.norm_squared())
    denoiser = TotalVariationDenoiser(iterations=60)
    for method, given in ((PlugAndPlayADMM, sigma / alpha), (PlugAndPlayFISTA, sigma)):
        solver = method(denoiser, iterations=60, alpha=alpha, sigma=given, conjugate_gradients=10)
        x, white = whole_scene(solver, y, camera), solver.start(y, camera, None).white
        downhill = x - camera.adjoint(camera(x) - y) / strength
        close(TotalVariation(1.0, iterations=1000).prox(downhill, sigma * white), x, 1e-3)
        assert float((downhill - x).abs().max()) > 0.02


def blocks() -> torch.Tensor:
    x = torch.zeros(1, 2, 24, 31, dtype=torch.float64)
    x[..., 5:15, 6:20] = 0.8
    x[:, 0, 10:20, 15:28] = 0.3
    return x


def test_total_variation_takes_most_of_the_noise_from_blocks():
    x, sigma = blocks(), 0.1
    noisy = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    clean = TotalVariationDenoiser()(noisy.clone(), sigma)
    assert float((clean - x).norm()) < 0.4 * float((noisy - x).norm())
    close(TotalVariationDenoiser()(100 * noisy, 100 * sigma), 100 * clean, 1e-12)
    assert float((TotalVariationDenoiser(strength=1e-3)(noisy.clone(), sigma) - noisy.clamp(min=0)).abs().max()) < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_total_variation_helps_against_noise(method: type[PlugAndPlay]):
    x, camera = blocks(), LenslessConvolution(uniform(2, 24, 31) ** 12)
    y = camera(x)
    y = y + 0.05 * float(y.std()) * torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
    errors = [float((method(d, iterations=25)(y, camera) - x).norm()) for d in (TotalVariationDenoiser(), identity)]
    assert errors[0] < 0.85 * errors[1]


@pytest.mark.parametrize("method", METHODS)
def test_gives_the_denoiser_planes_in_units_of_white(method: type[PlugAndPlay]):
    """Noise levels fall geometrically; shapes are (B D, C, H, W); the brightest lie near one at any exposure."""
    camera, seen = DepthStack(peaked(3, 2, 5, 7)), []

    def denoiser(x, sigma):
        seen.append((tuple(x.shape), sigma, float(x.abs().max())))
        return x

    y = camera(uniform(2, 3, 2, 5, 7, seed=1)) * 1e-4
    method(denoiser, iterations=3, sigma=0.01, sigma_start=0.09)(y, camera)
    grid = camera.whole_field().scene_shape[-2:]
    assert [shape for shape, _, _ in seen] == [(6, 2, *grid)] * 3
    assert [sigma for _, sigma, _ in seen] == pytest.approx([0.09, 0.03, 0.01])
    assert all(0.5 < brightest < 3 for _, _, brightest in seen)


@pytest.mark.parametrize("method", METHODS)
def test_scales_with_the_measurement_and_inversely_with_the_psf(method: type[PlugAndPlay]):
    psf, y = peaked(2, 5, 7), uniform(2, 2, 5, 7, seed=1)
    solver, camera, init = method(TotalVariationDenoiser(), iterations=8), LenslessConvolution(psf), uniform(2, 2, 5, 7)
    x = solver(y, camera)
    close(solver(100 * y, camera), 100 * x, 1e-10)
    close(solver(y, LenslessConvolution(100 * psf)), x / 100, 1e-10)
    warm = solver.solve(y, camera, init=init).image
    close(solver.solve(100 * y, camera, init=100 * init).image, 100 * warm, 1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_equals_its_samples_one_by_one(method: type[PlugAndPlay]):
    psf, y = peaked(3, 2, 5, 7), uniform(3, 2, 5, 7, seed=1) * torch.tensor([1e-3, 1, 50]).reshape(3, 1, 1, 1)
    solver, one_psf = method(TotalVariationDenoiser(), iterations=8), LenslessConvolution(psf[0])
    together, apart = solver(y, one_psf), solver(y, LenslessConvolution(psf))
    for i in range(3):
        close(together[i], solver(y[i : i + 1], one_psf)[0], 1e-10)
        # each camera's norm comes from its own power iteration, exact to 1e-4
        close(apart[i], solver(y[i : i + 1], LenslessConvolution(psf[i]))[0], 1e-3)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("method", METHODS)
def test_single_precision_is_close_to_double(method: type[PlugAndPlay], device: str):
    camera = ValidPixels(LenslessConvolution(peaked(2, 5, 7)), mask=uniform(5, 7, seed=2) < 0.9)
    y, solver = measurement(camera, 2), method(TotalVariationDenoiser(), iterations=10)
    found = solver(y.float().to(device), camera.to(device, torch.float32))
    assert found.device.type == device
    close(found.cpu().double(), solver(y, camera), 1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_warm_start_from_the_solution_stays(method: type[PlugAndPlay]):
    """Least squares without a prior: HQS, FISTA and ADMM (whose dual is then zero) have the solution as fixed point."""
    camera = CAMERAS["separable"]()
    y = measurement(camera)
    solution = (torch.linalg.pinv(dense(camera)) @ y.flatten()).reshape(1, *camera.scene_shape)
    close(method(identity, iterations=3).solve(y, camera, init=solution).image, solution, 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_measured_is_nothing_seen_and_the_input_stays(method: type[PlugAndPlay]):
    camera, y = LenslessConvolution(peaked(2, 5, 7)), uniform(2, 2, 5, 7, seed=1)
    y[0], init = 0, uniform(2, 2, 5, 7, seed=2)
    kept = y.clone(), init.clone()
    solver = method(TotalVariationDenoiser(), iterations=4)
    assert float(solver(y, camera)[0].abs().max()) == 0
    solver.solve(y, camera, init=init)
    assert torch.equal(y, kept[0])
    assert torch.equal(init, kept[1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("iteration", [1, 2, 4])
def test_names_the_iteration_in_which_a_denoiser_failed(method: type[PlugAndPlay], iteration: int):
    """One bad pixel is enough, in the last iteration too."""
    camera, calls = LenslessConvolution(peaked(2, 5, 7)), []

    def denoiser(x, _sigma):
        calls.append(None)
        x = x.clone()
        if len(calls) == iteration:
            x[0, 1, 3, 4] = float("nan")
        return x

    with pytest.raises(NonFiniteError, match=f"{method.__name__}: .*in iteration {iteration} of 4"):
        method(denoiser, iterations=4)(uniform(1, 2, 5, 7), camera)


@pytest.mark.parametrize("name", ["sigma", "sigma_start", "alpha"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_refuses_numbers_that_are_not_positive(name: str, value: float):
    with pytest.raises(InputError, match=f"{name}: expected a positive number, got {value}"):
        PlugAndPlayADMM(identity, **{name: value})


def test_refuses_what_cannot_denoise():
    with pytest.raises(InputError, match=r"denoiser: expected a callable denoise\(x, sigma\), got str"):
        PlugAndPlayHQS("drunet")
    with pytest.raises(InputError, match="conjugate_gradients: expected at least 1, got 0"):
        PlugAndPlayHQS(identity, conjugate_gradients=0)
