"""ADMM's iteration against the textbook's form of it, number by number."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import pad_centred
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon import admm_iteration
from lensless.recon.admm import ADMM
from lensless.recon.unrolled_admm import unrolled_admm


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def periodic_matrix(psf: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """H: every column is the PSF, its centre pixel (h // 2, w // 2) at one pixel of the periodic grid."""
    h, w = psf.shape
    origin = np.zeros(grid)
    origin[:h, :w] = psf
    origin = np.roll(origin, (-(h // 2), -(w // 2)), (0, 1))
    return np.stack([np.roll(origin, i, (0, 1)).ravel() for i in np.ndindex(*grid)], 1)


def difference_matrix(grid: tuple[int, int]) -> np.ndarray:
    pixels = np.arange(grid[0] * grid[1]).reshape(grid)
    identity = np.eye(pixels.size)
    return np.concatenate([identity - identity[np.roll(pixels, 1, axis).ravel()] for axis in (0, 1)])


def textbook(
    h: np.ndarray, d: np.ndarray, y: np.ndarray, mask: np.ndarray, penalties: list[tuple[float, ...]]
) -> Iterator[tuple[np.ndarray, float]]:
    """x and the share of non-zero u of every iteration of Antipa et al. (2018), duals unscaled, all from zero.

    y and mask live on the whole grid, mask 1 where there is a measurement.
    """
    x, xi, eta, rho = np.zeros(h.shape[1]), np.zeros(len(h)), np.zeros(len(d)), np.zeros(h.shape[1])
    for mu1, mu2, mu3, tau in penalties:
        a = d @ x + eta / mu2
        u = np.sign(a) * np.maximum(np.abs(a) - tau / mu2, 0)
        v = (xi + mu1 * h @ x + mask * y) / (mask + mu1)
        w = np.maximum(rho / mu3 + x, 0)
        matrix = mu1 * h.T @ h + mu2 * d.T @ d + mu3 * np.eye(len(x))
        x = np.linalg.solve(matrix, mu3 * w - rho + d.T @ (mu2 * u - eta) + h.T @ (mu1 * v - xi))
        xi = xi + mu1 * (h @ x - v)
        eta = eta + mu2 * (d @ x - u)
        rho = rho + mu3 * (x - w)
        yield x, float((u != 0).mean())


GRIDS = [((3, 5), (7, 10)), ((4, 3), (8, 6)), ((5, 2), (11, 4))]


@pytest.mark.parametrize(("sensor", "grid"), GRIDS)
@pytest.mark.parametrize("masked", [False, True])
def test_iterates_equal_the_textbook(sensor: tuple[int, int], grid: tuple[int, int], masked: bool):
    psf, y = uniform(2, 2, *sensor), uniform(2, 2, *sensor, seed=1) - 0.2
    camera = LenslessConvolution(psf, fft_shape=grid)
    valid = (uniform(2, 1, *sensor, seed=2) < 0.7).to(psf) if masked else torch.ones(2, 1, *sensor).to(psf)
    solver = ADMM(tau=0.02, mu1=0.5, mu2=0.2, mu3=0.3)
    physics = ValidPixels(camera, mask=valid) if masked else camera
    state = solver.start(y * valid, physics, None)
    gain = camera.spectrum.abs().flatten(1).amax(1)
    scale = (y * valid).abs().flatten(1).mean(1)
    runs = {
        (sample, channel): textbook(
            periodic_matrix(psf[sample, channel].numpy() / float(gain[sample]), grid),
            difference_matrix(grid),
            pad_centred(y[sample, channel] * valid[sample, 0] / scale[sample], grid).numpy().ravel(),
            pad_centred(valid[sample, 0], grid).numpy().ravel(),
            [(0.5, 0.2, 0.3, 0.02)] * 7,
        )
        for sample in range(2)
        for channel in range(2)
    }
    for _ in range(7):
        solver.step(state)
        for (sample, channel), run in runs.items():
            expected, active = next(run)
            found = state.whole.x[sample, channel].flatten()
            close(found, torch.from_numpy(expected), 1e-10)
    assert 0.05 < active < 0.95
    unit = (scale / gain).reshape(2, 1, 1, 1)
    found = ADMM(7, tau=0.02, mu1=0.5, mu2=0.2, mu3=0.3)(y, physics)
    close(found, (camera.to_field_of_view(state.whole.x) * unit).clamp(min=0), 1e-12)


CHANGING = [(0.5, 0.2, 0.3, 0.02), (0.1, 0.4, 0.05, 0.03), (1.5, 0.1, 0.6, 0.001), (0.3, 1.0, 0.1, 0.05)]


@pytest.mark.parametrize(("sensor", "grid"), GRIDS)
@pytest.mark.parametrize("apart", [False, True])
def test_unrolled_iterates_equal_the_textbook_with_penalties_of_their_own(
    sensor: tuple[int, int], grid: tuple[int, int], apart: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(admm_iteration, "GROUP_PIXELS", 0 if apart else 2**21)
    psf, y = uniform(1, 2, *sensor), uniform(2, 2, *sensor, seed=1)
    valid = (uniform(2, 1, *sensor, seed=2) < 0.7).to(psf)
    camera = LenslessConvolution(psf, fft_shape=grid)
    penalties = torch.tensor(CHANGING, dtype=psf.dtype)
    found = unrolled_admm(y, camera.spectrum, penalties, fft=camera.fft, size=grid, valid=valid, every=True)
    assert len(found) == len(CHANGING)
    for sample in range(2):
        for channel in range(2):
            run = textbook(
                periodic_matrix(psf[0, channel].numpy(), grid),
                difference_matrix(grid),
                pad_centred(y[sample, channel] * valid[sample, 0], grid).numpy().ravel(),
                pad_centred(valid[sample, 0], grid).numpy().ravel(),
                CHANGING,
            )
            for x, (expected, _) in zip(found, run, strict=True):
                close(x[sample, channel].flatten(), torch.from_numpy(expected), 1e-10)


@pytest.mark.parametrize("cameras", [1, 2])
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_hand_written_gradients_are_those_of_finite_differences(
    cameras: int, every: bool, apart: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(admm_iteration, "GROUP_PIXELS", 0 if apart else 2**21)
    valid = (uniform(2, 1, 2, 3, seed=2) < 0.7).double()

    def unrolled(psf: torch.Tensor, y: torch.Tensor, penalties: torch.Tensor) -> tuple[torch.Tensor, ...]:
        camera = LenslessConvolution(psf, fft_shape=(5, 6))
        return tuple(
            unrolled_admm(y, camera.spectrum, penalties, fft=camera.fft, size=(3, 4), valid=valid, every=every)
        )

    penalties = torch.tensor(CHANGING[:3], dtype=torch.float64)
    inputs = uniform(cameras, 2, 2, 3), uniform(2, 2, 2, 3, seed=1), penalties
    assert torch.autograd.gradcheck(unrolled, [value.requires_grad_() for value in inputs])


def plain_admm(spectrum: torch.Tensor, y: torch.Tensor, penalties: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """The textbook's iterations in plain tensor operations that autograd follows."""

    def differences(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x - x.roll(1, axis) for axis in (-2, -1)])

    def adjoint_differences(u: torch.Tensor) -> torch.Tensor:
        return u[0] - u[0].roll(-1, -2) + u[1] - u[1].roll(-1, -1)

    def filtered(x: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * transfer, s=grid)

    mask, data = pad_centred(torch.ones_like(y), grid), pad_centred(y, grid)
    impulse = torch.zeros(grid, dtype=y.dtype)
    impulse[0, 0] = 1
    variation = torch.fft.rfft2(adjoint_differences(differences(impulse))).real
    x, hx, xi, rho = (torch.zeros_like(data) for _ in range(4))
    eta = differences(x)
    for mu1, mu2, mu3, tau in penalties:
        a = differences(x) + eta / mu2
        u = a.sign() * (a.abs() - tau / mu2).clamp(min=0)
        v = (xi + mu1 * hx + mask * data) / (mask + mu1)
        w = (rho / mu3 + x).clamp(min=0)
        matrix = mu1 * spectrum.abs().square() + mu2 * variation + mu3
        right = mu3 * w - rho + adjoint_differences(mu2 * u - eta) + filtered(mu1 * v - xi, spectrum.conj())
        x = filtered(right, 1 / matrix)
        hx = filtered(x, spectrum)
        xi, eta, rho = xi + mu1 * (hx - v), eta + mu2 * (differences(x) - u), rho + mu3 * (x - w)
    return x


def test_gradients_of_many_iterations_equal_plain_automatic_differentiation():
    grid, y = (22, 30), uniform(3, 2, 9, 13, seed=1)
    camera = LenslessConvolution(uniform(3, 2, 9, 13), fft_shape=grid)
    penalties = torch.tensor(CHANGING * 5, dtype=y.dtype)
    gradients = []
    for solve in (
        lambda spectrum, y, p: unrolled_admm(y, spectrum, p, fft=camera.fft, size=grid)[0],
        lambda spectrum, y, p: plain_admm(spectrum, y, p, grid),
    ):
        psf_spectrum = camera.spectrum.clone().requires_grad_()
        inputs = psf_spectrum, y.clone().requires_grad_(), penalties.clone().requires_grad_()
        x = solve(*inputs)
        weighted = (x * uniform(*x.shape, seed=3)).sum()
        gradients.append((x.detach(), *torch.autograd.grad(weighted, inputs)))
    for index, (found, expected) in enumerate(zip(*gradients, strict=True)):
        if index == 1:  # only real filters have a meaning: both as gradients of the periodic kernel
            found, expected = (torch.fft.irfft2(value, s=grid) for value in (found, expected))
        close(found, expected, 1e-9)
