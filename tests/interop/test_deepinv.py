"""Our cameras and reconstructions in deepinv, its solvers and denoisers on our cameras, against dense matrices."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lensless.errors import InputError
from lensless.interop.to_deepinv import (
    DeepinvDenoiser,
    DeepinvReconstructor,
    load_denoiser,
    to_physics,
    to_reconstructor,
)
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.multi_psf import MultiPSF, bilinear_weights
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.stack import DepthStack, SpectralStack
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.admm import ADMM
from lensless.recon.plug_and_play import PlugAndPlayADMM, PlugAndPlayFISTA, PlugAndPlayHQS
from lensless.tasks.compose import build, compose

try:
    import deepinv.models
except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision compiled for another torch
    deepinv, why = None, str(error)
else:
    why = ""
needs_deepinv = pytest.mark.skipif(deepinv is None, reason=f"deepinv cannot be imported: {why}")


def uniform(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def peaked(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """PSFs with one bright pixel: easy to invert."""
    psf = 0.1 * uniform(*shape)
    psf[..., shape[-2] // 2, shape[-1] // 2] += 1
    return psf.to(dtype)


def dense(operator: LinearOperator) -> torch.Tensor:
    """The matrix of a camera with one PSF."""
    n = torch.Size(operator.scene_shape).numel()
    return operator(torch.eye(n, dtype=operator.dtype).reshape(n, *operator.scene_shape)).flatten(1).T


RESPONSE = torch.tensor([[1.0, 0.25, 0.0], [0.0, 0.5, 1.0]], dtype=torch.float64)
CAMERAS: dict[str, Callable[[], LinearOperator]] = {
    "convolution": lambda: LenslessConvolution(peaked(2, 3, 5)),
    "psf_a_sample": lambda: LenslessConvolution(peaked(4, 2, 3, 5)),
    "valid_pixels": lambda: ValidPixels(LenslessConvolution(peaked(2, 3, 5)), mask=uniform(2, 3, 5) < 0.7),
    "depths": lambda: DepthStack(peaked(2, 1, 3, 5)),
    "bands": lambda: SpectralStack(peaked(3, 3, 5), response=RESPONSE),
    "regions": lambda: MultiPSF(peaked(2, 2, 3, 5), weights=bilinear_weights((3, 5), rows=[1], columns=[1, 3])),
    "separable": lambda: SeparableMask(uniform(6, 4), right=uniform(7, 5, seed=1)),
}
ONE_PSF = sorted(set(CAMERAS) - {"psf_a_sample"})


@needs_deepinv
@pytest.mark.parametrize("name", CAMERAS)
def test_deepinv_finds_our_adjoint_exact(name):
    camera = CAMERAS[name]()
    physics = to_physics(camera)
    assert float(physics.adjointness_test(num_samples=4, dtype=torch.float64)) < 1e-13
    x = uniform(4, *camera.scene_shape)
    torch.testing.assert_close(physics(x), camera(x), rtol=0, atol=0)


@needs_deepinv
@pytest.mark.parametrize("name", ONE_PSF)
def test_deepinv_finds_the_norm_and_the_prox_of_the_dense_matrix(name):
    """argmin_x gamma / 2 ||Ax - y||^2 + 1/2 ||x - z||^2 solves (gamma A*A + 1) x = gamma A*y + z."""
    camera = CAMERAS[name]()
    physics, matrix = to_physics(camera), dense(camera)
    x0 = uniform(1, *camera.scene_shape)
    torch.manual_seed(0)  # of deepinv's power iteration
    norm = physics.compute_sqnorm(x0, max_iter=300, tol=1e-5, verbose=False)
    assert float(norm) == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)) ** 2, rel=1e-2)
    y, z, gamma = uniform(2, *camera.sensor_shape, seed=1), uniform(2, *camera.scene_shape, seed=2), 3.0
    normal = gamma * matrix.T @ matrix + torch.eye(matrix.shape[1], dtype=matrix.dtype)
    expected = torch.linalg.solve(normal, (gamma * y.flatten(1) @ matrix + z.flatten(1)).T).T
    prox = physics.prox_l2(z, y, gamma, max_iter=200, tol=1e-9)
    torch.testing.assert_close(prox.flatten(1), expected, rtol=0, atol=1e-4)


@needs_deepinv
@pytest.mark.parametrize("name", CAMERAS)
def test_autograd_of_a_is_the_adjoint(name):
    camera = CAMERAS[name]()
    x, v = uniform(4, *camera.scene_shape).requires_grad_(), uniform(4, *camera.sensor_shape, seed=1)
    physics = to_physics(camera)
    (gradient,) = torch.autograd.grad(physics.A(x), x, v)
    torch.testing.assert_close(gradient, physics.A_vjp(x, v), rtol=0, atol=1e-13)


@needs_deepinv
def test_a_physics_is_moved_and_copied_without_touching_our_camera():
    camera = LenslessConvolution(peaked(2, 3, 5, dtype=torch.float32))
    physics = to_physics(camera)
    x, double = uniform(1, *camera.scene_shape), camera.to(dtype=torch.float64)
    moved = physics.clone().to(torch.float64)
    torch.testing.assert_close(moved.A_adjoint(moved(x)), double.adjoint(double(x)), rtol=0, atol=0)
    assert physics(x.float()).dtype == camera.dtype == torch.float32


SHRINK, STEP = 0.4, 0.7


def shrink(x: torch.Tensor, _sigma: object) -> torch.Tensor:
    return x / (1 + SHRINK)


def plug_and_play(method: str, denoiser: Callable, *, iterations: int, sigma: float = 0.05):
    return deepinv.optim.optim_builder(
        iteration=method,
        prior=deepinv.optim.PnP(denoiser=denoiser),
        data_fidelity=deepinv.optim.L2(),
        max_iter=iterations,
        params_algo={"stepsize": STEP, "g_param": sigma},
    )


@needs_deepinv
@pytest.mark.parametrize("name", ONE_PSF)
@pytest.mark.parametrize("method", ["PGD", "HQS"])
def test_deepinv_solvers_converge_to_ridge_regression_on_our_cameras(name, method):
    """With z = x / (1 + c), an operator of norm 1 and step s, the fixed points solve, for L = 1.01 ||A||^2,

        PGD:  (1 + c) z = z - s A*(Az - y) / L                 (A*A + L c / s) z = A*y,
        HQS:  s A*(Ax - y) / L + x - z = 0, z = x / (1 + c)    (A*A + L c / (s (1 + c))) x = A*y.
    """
    camera = CAMERAS[name]()
    y = uniform(2, *camera.sensor_shape, seed=1) - 0.3
    y = y * camera.mask if isinstance(camera, ValidPixels) else y
    whole = camera.whole_field()
    matrix, strength = dense(whole), 1.01 * float(whole.norm_squared())
    weight = strength * SHRINK / STEP / (1 if method == "PGD" else 1 + SHRINK)
    normal = matrix.T @ matrix + weight * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    z = torch.linalg.solve(normal, (y.flatten(1) @ matrix).T).T / (1 if method == "PGD" else 1 + SHRINK)
    expected = camera.to_field_of_view(z.reshape(2, *whole.scene_shape))
    found = DeepinvReconstructor(plug_and_play(method, shrink, iterations=100))(y, camera)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3 * float(expected.abs().max()))


@needs_deepinv
@pytest.mark.parametrize(("psf_factor", "data_factor"), [(100, 1), (1, 100)])
def test_results_scale_with_the_psf_and_the_data(psf_factor, data_factor):
    camera = LenslessConvolution(peaked(2, 9, 11))
    y = camera(uniform(1, *camera.scene_shape, seed=1))
    solver = DeepinvReconstructor(plug_and_play("PGD", lambda x, sigma: x.sign() * (x.abs() - sigma), iterations=4))
    scaled = solver(data_factor * y, LenslessConvolution(psf_factor * camera.psf))
    torch.testing.assert_close(scaled, solver(y, camera) * data_factor / psf_factor)


@needs_deepinv
def test_a_batch_of_cameras_is_solved_sample_by_sample():
    camera = LenslessConvolution(peaked(2, 2, 9, 11) * torch.tensor([1.0, 50.0]).double().reshape(2, 1, 1, 1))
    y = camera(uniform(2, *camera.scene_shape, seed=1))
    solver = DeepinvReconstructor(plug_and_play("PGD", shrink, iterations=5))
    for i in range(2):
        alone = solver(y[i : i + 1], LenslessConvolution(camera.psf[i]))
        torch.testing.assert_close(solver(y, camera)[i : i + 1], alone, rtol=1e-3, atol=0)


@needs_deepinv
def test_our_reconstruction_serves_deepinv():
    camera = LenslessConvolution(peaked(2, 9, 11))
    y = camera(uniform(1, *camera.scene_shape, seed=1))
    model = to_reconstructor(ADMM(5))
    assert isinstance(model, deepinv.models.Reconstructor)
    torch.testing.assert_close(model(y, to_physics(camera)), ADMM(5)(y, camera), rtol=0, atol=0)
    with pytest.raises(InputError, match="physics: expected a camera from to_physics, got Denoising"):
        model(y, deepinv.physics.Denoising())


class Gain(nn.Module):
    """The least that can be trained: g A*y."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, y: torch.Tensor, physics: LinearOperator) -> torch.Tensor:
        return self.gain * physics.adjoint(y)


@needs_deepinv
def test_a_trainable_reconstruction_shows_deepinv_its_parameters():
    camera, ours = LenslessConvolution(peaked(2, 3, 5)), Gain()
    model = to_reconstructor(ours)
    assert list(model.parameters()) == [ours.gain]
    y = uniform(1, 2, 3, 5)
    model(y, to_physics(camera)).sum().backward()
    assert float(ours.gain.grad) == pytest.approx(float(camera.adjoint(y).sum()))


@needs_deepinv
@pytest.mark.parametrize("method", [PlugAndPlayADMM, PlugAndPlayHQS, PlugAndPlayFISTA])
def test_plug_and_play_with_a_deepinv_denoiser_takes_most_of_the_noise(method):
    """Blocks behind a PSF of a peak in haze, noise of a tenth of white, deepinv's total variation."""
    psf = 1e-3 * uniform(3, 29, 34)
    psf[:, 14, 17] += 1
    camera, scene = LenslessConvolution(psf), torch.zeros(1, 3, 29, 34, dtype=torch.float64)
    scene[:, :2, 5:15, 6:20] = 0.8
    scene[:, 1:, 10:26, 15:31] = 1.0
    noise = torch.randn(scene.shape, generator=torch.Generator().manual_seed(0), dtype=scene.dtype)
    y = camera(scene) + 0.1 * noise
    denoiser = DeepinvDenoiser(deepinv.models.TVDenoiser(n_it_max=50))
    errors = [
        float((method(d, iterations=5, alpha=0.3, sigma=0.1)(y, camera) - scene).norm())
        for d in (denoiser, lambda x, _sigma: x)
    ]
    assert errors[0] < 0.6 * errors[1]


@needs_deepinv
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_is_loaded_from_its_file_and_serves_any_channels(channels, tmp_path):
    """In its own channels it is deepinv's; other pictures go in plane by plane, repeated, and the mean comes out."""
    torch.manual_seed(0)
    model = deepinv.models.DnCNN(in_channels=channels, out_channels=channels, pretrained=None).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    denoise = load_denoiser(tmp_path / "weights.pth", network="DnCNN", channels=channels)
    own, two = uniform(1, channels, 13, 15, dtype=torch.float32), uniform(2, 2, 13, 15, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(denoise(own, 0.1), model(own, 0.1).clamp_min(0))
        plane = model(two[1:, :1].expand(1, channels, 13, 15), 0.1).mean(1)
    torch.testing.assert_close(denoise(two, 0.1)[1, :1], plane.clamp_min(0))
    assert denoise(two.double(), 0.1).dtype == torch.float64


@needs_deepinv
def test_the_command_line_takes_deepinv_denoisers(tmp_path):
    torch.save(deepinv.models.DnCNN(pretrained=None).state_dict(), tmp_path / "weights.pth")
    words = ["denoiser=deepinv", "denoiser.network=DnCNN", f"denoiser.path={tmp_path / 'weights.pth'}"]
    solver = build(compose("reconstruct", ["recon=pnp_hqs", *words], complete=False).recon, "recon")
    assert isinstance(solver.denoiser.model, deepinv.models.DnCNN)


@needs_deepinv
def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(deepinv.models.DnCNN(pretrained=None).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(InputError, match="weights: expected those of this DRUNet"):
        load_denoiser(tmp_path / "weights.pth")


def test_a_network_that_is_not_offered_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(InputError, match="network: 'DRUnet' is not known; did you mean DRUNet"):
        load_denoiser(tmp_path / "weights.pth", network="DRUnet")


def test_two_channels_are_refused():
    with pytest.raises(InputError, match="channels: expected 1, 3 or None, got 2"):
        DeepinvDenoiser(nn.Identity(), channels=2)


def test_without_deepinv_the_extra_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "deepinv"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "deepinv", None)
    camera = LenslessConvolution(peaked(2, 3, 5))
    model = nn.Identity()
    for use in (
        lambda: to_physics(camera),
        lambda: to_reconstructor(ADMM(1)),
        lambda: load_denoiser(tmp_path / "weights.pth"),
        lambda: DeepinvReconstructor(model)(uniform(1, 2, 3, 5), camera),
    ):
        with pytest.raises(InputError, match=r"pip install 'lensless-torch\[deepinv\]'"):
            use()
