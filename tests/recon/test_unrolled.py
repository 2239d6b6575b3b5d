import math

import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.noise import noise_level
from lensless.physics.system import get_system
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.admm import ADMM
from lensless.recon.gradient import FISTA
from lensless.recon.unrolled import NoiseAwareADMM, UnrolledADMM, UnrolledFISTA

ALL = pytest.mark.parametrize("kind", [UnrolledADMM, NoiseAwareADMM, UnrolledFISTA])


def uniform(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((found - expected).abs().max() / expected.abs().max()).detach())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cameras", [1, 2])
def test_admm_starts_as_the_classical_solver(cameras: int, masked: bool):
    physics, y = LenslessConvolution(uniform(cameras, 3, 9, 14)), uniform(2, 3, 9, 14, seed=1)
    if masked:
        physics = ValidPixels(physics, mask=uniform(9, 14, seed=2) < 0.8)
    start = {"tau": 2e-3, "mu1": 0.05, "mu2": 0.02, "mu3": 0.003}
    found = UnrolledADMM(7, **start).double()(y, physics).detach()
    assert relative_error(found, ADMM(7, **start)(y, physics)) < 1e-6


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cameras", [1, 2])
def test_fista_starts_as_the_classical_solver(cameras: int, masked: bool):
    physics, y = LenslessConvolution(uniform(cameras, 3, 9, 14)), uniform(2, 3, 9, 14, seed=1)
    mask = uniform(9, 14, seed=2) < 0.8 if masked else torch.ones(9, 14)
    found = UnrolledFISTA(7, step_size=0.9).double()(y, ValidPixels(physics, mask=mask)).detach()
    for sample, psf in enumerate(physics.psf.expand(2, -1, -1, -1)):
        one = LenslessConvolution(psf)
        power = one.spectrum.abs().square().amax()
        one = ValidPixels(one, mask=mask)
        step_size = float(0.9 / power * 1.01 * one.whole_field().norm_squared())
        expected = FISTA(7, step_size=step_size, restart=False)(y[sample : sample + 1], one)
        assert relative_error(found[sample : sample + 1], expected) < 1e-6


@ALL
def test_doubling_the_measurement_doubles_the_scene_and_doubling_the_psf_halves_it(kind: type):
    psf, y, solver = uniform(3, 9, 14), uniform(2, 3, 9, 14, seed=1), kind(4).double()
    x = solver(y, LenslessConvolution(psf))
    assert relative_error(solver(2 * y, LenslessConvolution(psf)), 2 * x) < 1e-12
    assert relative_error(solver(y, LenslessConvolution(2 * psf)), x / 2) < 1e-12


@ALL
def test_samples_with_their_own_psf_equal_one_call_each(kind: type):
    psf, y, solver = uniform(2, 3, 9, 14), uniform(2, 3, 9, 14, seed=1), kind(4).double()
    together = solver(y, LenslessConvolution(psf))
    for sample in range(2):
        alone = solver(y[sample : sample + 1], LenslessConvolution(psf[sample]))
        assert relative_error(together[sample : sample + 1], alone) < 1e-12


@ALL
def test_early_exit_is_an_earlier_iterate(kind: type):
    physics, y, solver = LenslessConvolution(uniform(3, 9, 14)), uniform(2, 3, 9, 14, seed=1), kind(4).double()
    images = solver.iterates(y, physics)
    assert len(images) == 4
    for k, image in enumerate(images, 1):
        assert image.shape == (2, 3, 9, 14) and bool((image >= 0).all())
        assert torch.equal(image, solver(y, physics, iterations=k))
    assert torch.equal(images[-1], solver(y, physics))


@ALL
def test_gradients_reach_measurement_psf_and_every_parameter(kind: type):
    solver = kind(3).double()
    names = [name for name, _ in solver.named_parameters()]

    def run(psf: torch.Tensor, y: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        arguments = dict(zip(names, values, strict=True))
        return torch.func.functional_call(solver, arguments, (y, LenslessConvolution(psf)))

    inputs = [uniform(2, 1, 3, 4), uniform(2, 1, 3, 4, seed=1) + 0.1, *solver.parameters()]
    assert torch.autograd.gradcheck(run, [value.detach().clone().requires_grad_() for value in inputs])


@ALL
@pytest.mark.parametrize("size", [(36, 48), (35, 47)])
def test_a_few_steps_of_training_lower_the_loss(kind: type, size: tuple[int, int]):
    psf = get_system("tape", size="tiny").psf[..., : size[0], : size[1]]
    physics, scene = LenslessConvolution(psf), uniform(2, 3, *size, seed=3, dtype=torch.float32)
    y, solver = physics(scene), kind(5)
    before = [value.detach().clone() for value in solver.parameters()]
    optimiser, losses = torch.optim.Adam(solver.parameters(), lr=0.1), []
    for _ in range(8):
        loss = (solver(y, physics) - scene).square().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(bool(torch.isfinite(value.grad).all()) for value in solver.parameters())
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.97 * losses[0]
    assert all(not torch.equal(a, b) for a, b in zip(before, solver.parameters(), strict=True))


@pytest.mark.parametrize("masked", [False, True])
def test_noise_aware_admm_is_admm_with_the_penalties_of_each_noise(masked: bool):
    """log p = log 0.002 + 0.7 log(s / 0.1) is tau = 0.002 (s / 0.1)^0.7."""
    physics, y = LenslessConvolution(uniform(2, 3, 9, 14)), uniform(2, 3, 9, 14, seed=1)
    mask = torch.ones(9, 14)
    if masked:
        mask = uniform(9, 14, seed=2) < 0.95
        physics = ValidPixels(physics, mask=mask)
    others = {"mu1": 0.05, "mu2": 0.02, "mu3": 0.003}
    solver = NoiseAwareADMM(4, tau=2e-3, **others).double()
    with torch.no_grad():
        solver.slopes[:, 3] = 0.7
    found = solver(y, physics).detach()
    for sample, psf in enumerate(uniform(2, 3, 9, 14)):
        one = y[sample : sample + 1] * mask
        share = float(noise_level(one, mask)) / float(one.abs().mean())
        expected = UnrolledADMM(4, tau=2e-3 * (share / 0.1) ** 0.7, **others).double()
        camera = ValidPixels(LenslessConvolution(psf), mask=mask)
        assert relative_error(found[sample : sample + 1], expected(one, camera)) < 1e-6


def test_penalties_stay_positive_whatever_the_optimiser_does():
    solver = UnrolledADMM(3, mu1=0.2)
    assert solver.log_penalties.shape == (3, 4)
    assert float(solver.log_penalties[0, 0]) == pytest.approx(math.log(0.2))
    with torch.no_grad():
        solver.log_penalties -= 5
    x = solver(uniform(1, 1, 5, 6, dtype=torch.float32), LenslessConvolution(uniform(1, 5, 6, dtype=torch.float32)))
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize(("kind", "weights"), [(UnrolledADMM, 20), (NoiseAwareADMM, 40), (UnrolledFISTA, 10)])
def test_number_of_weights(kind: type, weights: int):
    assert sum(value.numel() for value in kind(5).parameters()) == weights


@ALL
def test_errors_name_what_is_wrong(kind: type):
    with pytest.raises(InputError, match="iterations: expected at least 1, got 0"):
        kind(0)
    physics, y = LenslessConvolution(uniform(1, 5, 6)), uniform(1, 1, 5, 6)
    solver = kind(2).double()
    for number in (0, 3):
        with pytest.raises(InputError, match=f"iterations: expected 1 to 2, got {number}"):
            solver(y, physics, iterations=number)
    with pytest.raises(InputError, match=r"measurement: expected \(B, 1, 5, 6\), got \(1, 1, 6, 5\)"):
        solver(y.mT, physics)


def test_errors_of_the_parameters():
    for name in ("tau", "mu1", "mu2", "mu3"):
        with pytest.raises(InputError, match=f"{name}: expected a positive number, got 0"):
            UnrolledADMM(**{name: 0})
    with pytest.raises(InputError, match="step_size: expected a positive number"):
        UnrolledFISTA(step_size=0)
