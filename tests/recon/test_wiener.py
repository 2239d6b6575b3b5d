"""Wiener deconvolution against its normal equations, and its cross-validation against dense matrices."""

import numpy as np
import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import pad_centred
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.recon.wiener import CANDIDATES, Wiener, cross_validate, fade_to_grid

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def periodic(psf: torch.Tensor) -> LenslessConvolution:
    """What the closed form holds for exactly, and no camera is: sensor and scene fill a grid that wraps around."""
    camera = LenslessConvolution(psf, scene_shape=(1, 1), fft_shape=tuple(psf.shape[-2:]))
    camera.scene_shape = camera.sensor_shape
    return camera


def dense(operator: LinearOperator) -> np.ndarray:
    """The matrix of a camera with one PSF."""
    n = int(np.prod(operator.scene_shape))
    return operator(torch.eye(n, dtype=operator.dtype).reshape(n, *operator.scene_shape)).flatten(1).T.numpy()


@pytest.mark.parametrize("k", [1e-6, 1e-2])
@pytest.mark.parametrize(("height", "width"), [(5, 7), (6, 4), (7, 8)])
def test_solves_the_normal_equations_on_the_periodic_grid(height: int, width: int, k: float):
    psf, y = uniform(3, height, width), uniform(2, 3, height, width, seed=1)
    camera = LenslessConvolution(psf)
    grid = camera.fft.shape
    x = Wiener(k)(y, camera.whole_field())
    h = periodic(pad_centred(psf, grid))
    largest = float(torch.fft.fft2(h.psf).abs().square().max())
    close(h.adjoint(h(x)) + k * largest * x, h.adjoint(fade_to_grid(y, grid)), 1e-10)
    close(Wiener(k)(y, camera), camera.to_field_of_view(x), 1e-12)


def test_behind_a_pinhole_divides_by_one_plus_k():
    psf = torch.zeros(1, 5, 7, dtype=torch.float64)
    psf[0, 2, 3] = 3
    y = uniform(2, 1, 5, 7)
    close(Wiener(0.25)(y, LenslessConvolution(psf)), y / 3 / 1.25, 1e-12)


def test_nearly_unregularised_inverts_a_periodic_camera():
    psf = 0.02 * uniform(2, 5, 8)
    psf[:, 2, 4] = 1
    camera, x = periodic(psf), normal(2, 2, 5, 8)
    close(Wiener(1e-13)(camera(x), camera), x, 1e-10)


def test_fades_by_hand():
    """sin^2(pi / 4) = 0.5 one row out; sin^2(pi / 3) = 0.75 and sin^2(pi / 6) = 0.25 one and two columns out."""
    y = torch.tensor([[[[2.0, 8.0]]]], dtype=torch.float64)
    row = torch.tensor([0.5, 1.5, 2.0, 8.0, 6.0, 2.0], dtype=torch.float64)
    expected = torch.stack((row / 2, row, row / 2))[None, None]
    torch.testing.assert_close(fade_to_grid(y, (3, 6)), expected, rtol=0, atol=1e-15)
    assert torch.equal(fade_to_grid(y, (1, 2)), y)


def noisy_periodic_problem(noise: float) -> tuple[LenslessConvolution, torch.Tensor, torch.Tensor]:
    """Camera, scene of a few bright blocks, and its noisy measurement, on a periodic 15 x 18 grid."""
    camera = periodic(uniform(2, 15, 18) ** 4)
    x = torch.zeros(1, 2, 15, 18, dtype=torch.float64)
    x[..., 3:7, 4:12] = 1
    x[:, 0, 9:13, 2:5] = 0.5
    y = camera(x)
    return camera, x, y + noise * float(y.std()) * normal(*y.shape, seed=3)


@pytest.mark.parametrize("grid", [(5, 6), (3, 4), (4, 2)])
def test_cross_validation_equals_dense_matrices(grid: tuple[int, int]):
    """V(k) = ||(I - S) y||^2 / trace(I - S)^2 with S = A (A^T A + k)^-1 A^T, from clean to noisy."""
    camera = periodic(uniform(2, *grid))
    clean, noise = camera(uniform(20, 2, *grid, seed=1)), normal(20, 2, *grid, seed=2)
    y = clean + torch.logspace(-3, 1, 20, dtype=torch.float64).reshape(20, 1, 1, 1) * noise
    a, power = dense(camera), camera.spectrum.abs().square()
    largest = power.flatten(1).amax(1)
    candidates, identity = np.logspace(-7, 0, 57), np.eye(a.shape[0])
    scores = []
    for k in candidates * float(largest):
        rest = identity - a @ np.linalg.solve(a.T @ a + k * identity, a.T)
        scores.append(np.square(y.flatten(1).numpy() @ rest).sum(1) / np.trace(rest) ** 2)
    expected = candidates[np.argmin(scores, 0)]
    chosen = cross_validate(camera.fft.forward(y), power, largest) / largest
    np.testing.assert_allclose(chosen.numpy(), expected)
    assert len(set(expected)) > 3
    alone = [Wiener(float(k))(sample[None], camera) for k, sample in zip(chosen, y, strict=True)]
    close(Wiener(None)(y, camera), torch.cat(alone), 1e-12)


@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0])
def test_cross_validation_comes_close_to_the_best_k(noise: float):
    """V estimates the error of A x, which comes within a tenth of the best; the error of x follows more loosely."""
    camera, x, y = noisy_periodic_problem(noise)

    def errors(k: float | None) -> tuple[float, float]:
        difference = Wiener(k)(y, camera) - x
        return float(camera(difference).norm()), float(difference.norm())

    of_measurement, of_scene = zip(*map(errors, CANDIDATES), strict=True)
    chosen = errors(None)
    assert chosen[0] < 1.1 * min(of_measurement)
    assert chosen[1] < 1.5 * min(of_scene)
    assert chosen[1] < 0.5 * max(of_scene)


def test_cross_validation_wants_more_for_more_noise():
    chosen = []
    for noise in (0.01, 0.1, 1.0):
        camera, _, y = noisy_periodic_problem(noise)
        power = camera.spectrum.abs().square()
        chosen.append(float(cross_validate(camera.fft.forward(y), power, power.flatten(1).amax(1))))
    assert chosen[0] < chosen[1] < chosen[2]


@pytest.mark.parametrize("k", [None, 1e-2])
def test_scales_with_the_measurement_and_inversely_with_the_psf(k: float | None):
    psf, y = uniform(2, 5, 7), uniform(2, 2, 5, 7, seed=1)
    x = Wiener(k)(y, LenslessConvolution(psf))
    close(Wiener(k)(100 * y, LenslessConvolution(psf)), 100 * x, 1e-11)
    close(Wiener(k)(y, LenslessConvolution(100 * psf)), x / 100, 1e-11)


@pytest.mark.parametrize("k", [None, 1e-2])
def test_a_batch_equals_its_samples_one_by_one(k: float | None):
    psf, y = uniform(3, 2, 5, 7), uniform(3, 2, 5, 7, seed=1)
    y = y * torch.tensor([1e-3, 1, 50]).reshape(3, 1, 1, 1)
    one_psf, solver = LenslessConvolution(psf[0]), Wiener(k)
    together, apart = solver(y, one_psf), solver(y, LenslessConvolution(psf))
    for i in range(3):
        close(together[i], solver(y[i : i + 1], one_psf)[0], 1e-12)
        close(apart[i], solver(y[i : i + 1], LenslessConvolution(psf[i]))[0], 1e-12)


def test_differentiable_in_measurement_and_psf():
    psf, y = uniform(1, 2, 3, 2).requires_grad_(), uniform(1, 2, 3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, m: Wiener(0.05)(m, LenslessConvolution(p)), (psf, y))
    assert torch.autograd.gradcheck(lambda m: Wiener(None)(m, LenslessConvolution(psf.detach())), (y,))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("k", [None, 1e-3])
def test_single_precision_is_close_to_double(device: str, k: float | None):
    camera, y = LenslessConvolution(uniform(3, 9, 13) ** 4), uniform(2, 3, 9, 13, seed=1)
    found = Wiener(k)(y.float().to(device), camera.to(device, torch.float32))
    assert found.device.type == device
    close(found.cpu().double(), Wiener(k)(y, camera), 1e-4)


@pytest.mark.parametrize("k", [None, 1e-2])
def test_nothing_measured_is_nothing_seen(k: float | None):
    camera = LenslessConvolution(uniform(2, 5, 7))
    assert float(Wiener(k)(torch.zeros(1, 2, 5, 7).double(), camera).abs().max()) == 0


def test_leaves_its_input_as_it_was():
    camera, y = LenslessConvolution(uniform(2, 5, 7)), uniform(1, 2, 5, 7, seed=1)
    kept = y.clone(), camera.spectrum.clone()
    Wiener()(y, camera)
    assert torch.equal(y, kept[0])
    assert torch.equal(camera.spectrum, kept[1])


@pytest.mark.parametrize("k", [0, -1.0, float("nan")])
def test_refuses_a_k_that_is_not_positive(k: float):
    with pytest.raises(InputError, match="k: expected a positive number, or None for cross-validation"):
        Wiener(k)


def test_refuses_other_cameras_and_bad_measurements():
    camera = SeparableMask(uniform(5, 4), right=uniform(7, 6))
    with pytest.raises(InputError, match="Wiener needs a LenslessConvolution, got SeparableMask; use FISTA or ADMM"):
        Wiener()(uniform(1, 1, 5, 7), camera)
    y = uniform(1, 2, 5, 7)
    y[0, 1, 2, 3] = float("inf")
    with pytest.raises(InputError, match="measurement: expected finite values, got 1 NaN or infinite"):
        Wiener()(y, LenslessConvolution(uniform(2, 5, 7)))
