"""Our camera as a pyxu LinOp, and APGD against the equations that its answer must satisfy."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from lensless.errors import InputError
from lensless.interop.to_pyxu import APGD, to_linop
from lensless.physics.convolution import LenslessConvolution

needs_pyxu = pytest.mark.skipif(importlib.util.find_spec("pyxu") is None, reason="needs the extra pyxu")


def random_camera(*, batch: int = 1, dtype: torch.dtype = torch.float64) -> LenslessConvolution:
    """Two channels, a sensor of 5 x 4: a peak in noise, so that a few hundred iterations converge."""
    psf = torch.rand(batch, 2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    psf[..., 2, 2] += 5
    return LenslessConvolution(psf.to(dtype))


def random_array(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def dense(physics: LenslessConvolution) -> np.ndarray:
    """The matrix of a camera with one PSF, column by column, where no light falls exactly zero."""
    size = int(np.prod(physics.scene_shape))
    basis = torch.eye(size, dtype=physics.dtype).reshape(size, *physics.scene_shape)
    matrix = physics(basis).reshape(size, -1).T.numpy()
    return np.where(np.abs(matrix) < 1e-12, 0, matrix)


@needs_pyxu
@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3)])
def test_linop_equals_the_camera_for_any_leading_axes(leading):
    physics = random_camera()
    linop = to_linop(physics)
    assert linop.dim_shape == physics.scene_shape
    assert linop.codim_shape == physics.sensor_shape
    x = random_array(*leading, *physics.scene_shape)
    y = physics(torch.from_numpy(x.reshape(-1, *physics.scene_shape)))
    np.testing.assert_allclose(linop.apply(x), y.reshape(*leading, *physics.sensor_shape), rtol=1e-12)
    back = physics.adjoint(y).reshape(*leading, *physics.scene_shape)
    y = y.reshape(*leading, *physics.sensor_shape).numpy()
    np.testing.assert_allclose(linop.adjoint(y), back, rtol=1e-12)


@needs_pyxu
def test_pyxu_sees_the_dense_matrix_its_transpose_and_its_norm():
    physics = random_camera().whole_field()
    linop = to_linop(physics)
    matrix = dense(physics)
    size = matrix.shape
    np.testing.assert_allclose(linop.asarray().reshape(size), matrix, atol=1e-12)
    np.testing.assert_allclose(linop.T.asarray().reshape(size[::-1]), matrix.T, atol=1e-12)
    norm = np.linalg.norm(matrix, 2)
    assert norm <= linop.lipschitz <= 1.01 * norm


@needs_pyxu
def test_a_batch_of_cameras_is_one_operator_on_a_batch():
    physics = random_camera(batch=3)
    linop = to_linop(physics)
    x = random_array(2, 3, *physics.scene_shape)
    for index in range(2):
        np.testing.assert_allclose(linop.apply(x)[index], physics(torch.from_numpy(x[index])), rtol=1e-12)


@needs_pyxu
def test_the_precision_that_comes_in_goes_out():
    linop = to_linop(random_camera(dtype=torch.float32))
    for dtype in (np.float32, np.float64):
        x = np.ones(linop.dim_shape, dtype)
        assert linop.apply(x).dtype == dtype
        assert linop.adjoint(linop.apply(x)).dtype == dtype


@needs_pyxu
def test_read_only_and_reversed_arrays_are_taken():
    linop = to_linop(random_camera())
    x = random_array(*linop.dim_shape)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(linop.apply(frozen), linop.apply(x))
    np.testing.assert_array_equal(linop.apply(x[..., ::-1]), linop.apply(x[..., ::-1].copy()))


@needs_pyxu
def test_linop_names_the_shape_that_does_not_fit():
    with pytest.raises(InputError, match=r"arr: expected \(\.\.\., 2, 5, 4\), got \(2, 4, 5\)"):
        to_linop(random_camera()).apply(np.zeros((2, 4, 5)))


def solve(solver: APGD, y: torch.Tensor, physics: LenslessConvolution) -> np.ndarray:
    """The answer as a vector; for a camera whose scene is the whole field nothing is cut."""
    return solver(y, physics)[0].flatten().numpy()


@needs_pyxu
def test_apgd_solves_non_negative_least_squares():
    """Ax of the minimiser is unique (a projection onto the cone), so it must be the active-set method's."""
    physics = random_camera().whole_field()
    y = torch.from_numpy(random_array(1, *physics.sensor_shape))
    matrix = dense(physics)
    exact, residual = nnls(matrix, y.flatten().numpy())
    assert residual > 0.1
    x = solve(APGD(4000), y, physics)
    assert x.min() >= 0
    np.testing.assert_allclose(matrix @ x, matrix @ exact, atol=1e-5)


@needs_pyxu
@pytest.mark.parametrize("nonnegative", [True, False])
def test_apgd_with_l1_satisfies_the_optimality_conditions(nonnegative):
    """0 in A*(Ax - y) + lambda d||x||_1 (+ normal cone of x >= 0), lambda = l1 mean|y| ||A||."""
    physics = random_camera().whole_field()
    y = torch.from_numpy(random_array(1, *physics.sensor_shape))
    matrix = dense(physics)
    weight = 0.5 * float(y.abs().mean()) * np.linalg.norm(matrix, 2)
    x = solve(APGD(1500, l1=0.5, nonnegative=nonnegative), y, physics)
    gradient = matrix.T @ (matrix @ x - y.flatten().numpy()) / weight
    support = x != 0
    assert 0 < support.sum() < x.size
    # the solver's ||A|| has up to one half percent to spare
    np.testing.assert_allclose(gradient[support], -np.sign(x[support]), rtol=6e-3)
    assert gradient[~support].min() >= -1.006
    if not nonnegative:
        assert gradient[~support].max() <= 1.006
        assert x.min() < 0


@needs_pyxu
@pytest.mark.parametrize(("psf_factor", "data_factor"), [(100, 1), (1, 100)])
def test_results_scale_with_the_psf_and_the_data(psf_factor, data_factor):
    physics = random_camera()
    y = physics(torch.rand(1, *physics.scene_shape, generator=torch.Generator().manual_seed(2)).double())
    x = APGD(20, l1=0.1)(y, physics)
    scaled = APGD(20, l1=0.1)(data_factor * y, LenslessConvolution(psf_factor * physics.psf))
    torch.testing.assert_close(scaled, x * data_factor / psf_factor)


@needs_pyxu
def test_a_batch_is_solved_sample_by_sample():
    """Two PSFs of different brightness in one call against one call for each, up to the 1e-4 of ||A||."""
    physics = random_camera(batch=2)
    physics = LenslessConvolution(physics.psf * torch.tensor([1.0, 50.0]).double().reshape(2, 1, 1, 1))
    y = torch.from_numpy(np.abs(random_array(2, *physics.sensor_shape)))
    both = APGD(20, l1=0.1)(y, physics)
    for index in range(2):
        alone = APGD(20, l1=0.1)(y[index : index + 1], LenslessConvolution(physics.psf[index]))
        torch.testing.assert_close(both[index : index + 1], alone, rtol=0, atol=1e-3 * float(alone.max()))


@needs_pyxu
def test_float32_stays_float32_and_the_measurement_is_left_alone():
    physics = random_camera(dtype=torch.float32)
    y = torch.rand(2, *physics.sensor_shape, generator=torch.Generator().manual_seed(3))
    before = y.clone()
    x = APGD(5, l1=0.01)(y, physics)
    assert x.dtype == torch.float32
    assert x.shape == (2, *physics.scene_shape)
    torch.testing.assert_close(y, before, rtol=0, atol=0)


@needs_pyxu
def test_the_record_is_the_objective_of_the_equation():
    physics = random_camera().whole_field()
    y = torch.from_numpy(random_array(1, *physics.sensor_shape))
    matrix = dense(physics)
    solution = APGD(30, l1=0.2, record_every=10).solve(y, physics)
    x = solution.image.flatten().numpy()
    misfit = np.linalg.norm(matrix @ x - y.flatten().numpy())
    weight = 0.2 * float(y.abs().mean()) * np.sqrt(1.01 * float(physics.norm_squared()))
    assert solution.history["iteration"] == [10, 20, 30]
    assert solution.history["residual"][-1] == pytest.approx(misfit / float(y.norm()))
    assert solution.history["objective"][-1] == pytest.approx(misfit**2 / 2 + weight * np.abs(x).sum())
    assert solution.history["objective"][2] < solution.history["objective"][0]


@needs_pyxu
def test_a_warm_start_is_where_it_starts():
    """From the minimiser one step goes nowhere."""
    physics = random_camera().whole_field()
    y = torch.from_numpy(random_array(1, *physics.sensor_shape))
    best = APGD(1500)(y, physics)
    torch.testing.assert_close(APGD(1).solve(y, physics, init=best).image, best, rtol=0, atol=1e-5)


def test_a_negative_weight_is_refused():
    with pytest.raises(InputError, match="l1: expected a number of at least 0, got -1"):
        APGD(10, l1=-1)


def test_without_pyxu_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "pyxu"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyxu", None)
    with pytest.raises(InputError, match=r"pip install 'lensless-torch\[pyxu\]'"):
        to_linop(random_camera())
    with pytest.raises(InputError, match=r"pip install 'lensless-torch\[pyxu\]'"):
        APGD(1)(torch.ones(1, 2, 5, 4, dtype=torch.float64), random_camera())
