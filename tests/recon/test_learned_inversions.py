"""What holds for every learned inversion: scales, samples apart, gradients, a loss that falls, what it refuses."""

import functools

import pytest
import torch
from torch.nn.functional import interpolate, mse_loss

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.separable import SeparableMask
from lensless.physics.system import get_system
from lensless.recon.multi_wiener import MultiWiener
from lensless.recon.spatially_varying import SpatiallyVaryingDeconvolution
from lensless.recon.trainable_inversion import SeparableTrainableInversion, TrainableInversion

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SENSOR, SCENE = (11, 19), (13, 18)
SEPARABLE = "separable"
MAKERS = {
    "k": lambda sensor, scene: TrainableInversion(),
    "filter": lambda sensor, scene: TrainableInversion(filter_shape=(9, 7)),
    "multi_wiener": lambda sensor, scene: MultiWiener((4, 6, 8)),
    "multi_wiener_colour": lambda sensor, scene: MultiWiener((4, 6), psf_channels=3),
    "svdeconv": lambda sensor, scene: SpatiallyVaryingDeconvolution((3, *sensor), regions=2),
    SEPARABLE: lambda sensor, scene: SeparableTrainableInversion(sensor, scene_shape=scene),
}


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(name: str, sensor: tuple[int, int] = SENSOR, scene: tuple[int, int] = SCENE) -> torch.nn.Module:
    """In evaluation, with parameters moved away from where they start."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inversion = MAKERS[name](sensor, scene).double().eval()
    for parameter in inversion.parameters():
        parameter.data += 0.01 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return inversion


def camera(name: str, batch: int = 1, scale: float = 1.0) -> LenslessConvolution | SeparableMask:
    if name == SEPARABLE:
        left, right = (uniform(batch, 3, n, m, seed=n) for n, m in zip(SENSOR, SCENE, strict=True))
        return SeparableMask(scale * left, right=right)
    return LenslessConvolution(scale * uniform(batch, 3, *SENSOR, seed=3) ** 6, scene_shape=SCENE)


def sample(physics, index: int):
    """The camera of one sample."""
    if isinstance(physics, SeparableMask):
        return SeparableMask(physics.left[index : index + 1], right=physics.right[index : index + 1])
    return LenslessConvolution(physics.psf[index], scene_shape=physics.scene_shape[1:])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_doubling_the_measurement_doubles_and_doubling_the_psf_halves(name: str, training: bool):
    inversion, y = made(name).train(training), uniform(2, 3, *SENSOR)
    x = inversion(y, camera(name))
    assert x.shape == (2, 3, *SCENE)
    torch.testing.assert_close(inversion(2 * y, camera(name)), 2 * x, rtol=1e-12, atol=0)
    torch.testing.assert_close(inversion(y, camera(name, scale=2.0)), x / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_of_cameras_equals_its_samples_one_by_one(name: str):
    inversion, physics = made(name), camera(name, batch=3)
    y = uniform(3, 3, *SENSOR) * torch.tensor([1e-3, 1, 50]).double().reshape(3, 1, 1, 1)
    together = inversion(y, physics)
    for i in range(3):
        torch.testing.assert_close(together[i], inversion(y[i : i + 1], sample(physics, i))[0], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(inversion(y[:1], sample(physics, 0)), inversion(y[:1], sample(physics, 1)))


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_measured_is_nothing_seen(name: str):
    y = uniform(2, 3, *SENSOR)
    y[1] = 0
    x = made(name)(y, camera(name)).detach()
    assert float(x[1].abs().max()) == 0
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_equal_finite_differences(name: str):
    """To the measurement, the PSF and every parameter, along a random direction each."""
    inversion, y = made(name), uniform(2, 3, *SENSOR).requires_grad_()
    tensors = [y, *inversion.parameters()]
    psf = (0.1 + camera("k", batch=2).psf).requires_grad_()
    if name != SEPARABLE:
        tensors.append(psf)
    target = uniform(2, 3, *SCENE, seed=5)

    def loss() -> torch.Tensor:
        physics = camera(name, batch=2) if name == SEPARABLE else LenslessConvolution(psf, scene_shape=SCENE)
        return (inversion(y, physics) * target).sum()

    gradients = torch.autograd.grad(loss(), tensors)
    generator, step = torch.Generator().manual_seed(0), 1e-6
    for tensor, gradient in zip(tensors, gradients, strict=True):
        direction = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        with torch.no_grad():
            tensor += step * direction
            ahead = loss()
            tensor -= 2 * step * direction
            behind = loss()
            tensor += step * direction
        slope = (ahead - behind) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-4, abs=1e-4)


@functools.cache
def diffuser_psf() -> torch.Tensor:
    return get_system("diffuser", size="tiny").physics.psf


def simulated(name: str) -> tuple[LenslessConvolution | SeparableMask, torch.Tensor, torch.Tensor]:
    """A camera with an odd sensor, four smooth scenes and their noisy measurements."""
    x = interpolate(torch.rand(4, 3, 5, 6, generator=torch.Generator().manual_seed(0)), size=(35, 47), mode="bicubic")
    if name == SEPARABLE:
        generator = torch.Generator().manual_seed(1)
        left, right = (torch.randn(n, n, generator=generator).sign() for n in (35, 47))
        physics = SeparableMask(left.expand(3, 35, 35), right=right)
    else:
        physics = LenslessConvolution(diffuser_psf()[..., :35, :47])
    y = physics(x)
    return physics, x, y + 0.01 * y.std() * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", MAKERS)
def test_a_few_steps_of_adam_lower_the_loss(name: str):
    physics, x, y = simulated(name)
    torch.manual_seed(0)
    inversion = MAKERS[name]((35, 47), (35, 47))
    optimiser = torch.optim.Adam(inversion.parameters(), lr=1e-2)
    losses = []
    for _ in range(16):
        loss = mse_loss(inversion(y, physics), x)
        optimiser.zero_grad()
        loss.backward()
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in inversion.parameters())
        assert all(bool(parameter.grad.any()) for parameter in inversion.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("name", MAKERS)
def test_single_precision_is_close_to_double(name: str, device: str):
    inversion, physics, y = made(name), camera(name), uniform(2, 3, *SENSOR)
    expected = inversion(y, physics)
    found = inversion.to(device, torch.float32)(y.float().to(device), physics.to(device, torch.float32))
    assert found.device.type == device
    torch.testing.assert_close(found.cpu().double(), expected, rtol=0, atol=1e-4 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("name", [name for name in MAKERS if name != SEPARABLE])
def test_refuses_cameras_and_measurements_that_do_not_fit(name: str):
    inversion, y = made(name), uniform(1, 3, *SENSOR)
    kind = type(inversion).__name__
    with pytest.raises(InputError, match=f"physics: {kind} needs a LenslessConvolution, got SeparableMask"):
        inversion(y, camera(SEPARABLE))
    with pytest.raises(InputError, match=r"measurement: expected \(B, 3, 11, 19\), got \(1, 3, 11, 18\)"):
        inversion(y[..., 1:], camera(name))
    with pytest.raises(InputError, match=f"this {kind} was made for cameras with 3 channels, got one with 1"):
        inversion(y[:, :1], LenslessConvolution(uniform(1, *SENSOR)))
    y[0, 0, 1, 2] = torch.nan
    with pytest.raises(InputError, match="measurement: expected finite values, got 1 NaN"):
        inversion(y, camera(name))


@pytest.mark.parametrize("k", [0, -1.0, float("nan"), float("inf")])
def test_refuses_a_k_that_is_not_positive(k: float):
    for make in (
        lambda: TrainableInversion(k),
        lambda: SeparableTrainableInversion((3, 4), scene_shape=(3, 4), k=k),
        lambda: MultiWiener(k=k),
        lambda: SpatiallyVaryingDeconvolution((3, 4, 5), k=k),
    ):
        with pytest.raises(InputError, match="k: expected a positive number"):
            make()
