"""ADMM's iteration against the textbook's form of it, number by number."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import pad_centred
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.admm import ADMM, Penalties, Scratch, State, System, advance, initial_state, make_system, step


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


def first_state(y: torch.Tensor, grid: tuple[int, int], system: System, penalties: Penalties) -> State:
    """The state of an unrolled network before its first iteration, from a scene of zeros."""
    x, hx = y.new_zeros(*y.shape[:2], *grid), torch.zeros_like(y)
    state = initial_state(x, hx, variation=True, positivity=True)
    return advance(state, x, hx, system, penalties, penalties, None)


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


@pytest.mark.parametrize("kind", ["numbers", "tensors"])
@pytest.mark.parametrize("in_place", [False, True])
def test_penalties_of_every_iteration_equal_the_textbook(kind: str, in_place: bool):
    (sensor, grid), psf, y = GRIDS[0], uniform(1, 1, 3, 5), uniform(2, 1, 3, 5, seed=1)
    camera = LenslessConvolution(psf, fft_shape=grid)
    penalties = [Penalties(*p) for p in CHANGING]
    if kind == "tensors":
        penalties = [Penalties(*(torch.full((1, 1, 1, 1), v, dtype=psf.dtype) for v in p)) for p in CHANGING]
    systems = [make_system(camera.spectrum, camera.fft, y, 1.0, p) for p in penalties]
    state = first_state(y, grid, systems[0], penalties[0])
    scratch = Scratch(state, camera.fft) if in_place else None
    mask = pad_centred(torch.ones(sensor, dtype=torch.float64), grid).numpy().ravel()
    runs = [
        textbook(
            periodic_matrix(psf[0, 0].numpy(), grid),
            difference_matrix(grid),
            pad_centred(sample, grid).numpy().ravel(),
            mask,
            CHANGING,
        )
        for sample in y[:, 0]
    ]
    for k, (system, now) in enumerate(zip(systems, penalties, strict=True)):
        following = penalties[k + 1] if k + 1 < len(penalties) else None
        state = step(state, system, now, following, scratch=scratch)
        expected = torch.from_numpy(np.stack([next(run)[0] for run in runs]))
        close(state.x.flatten(1), expected, 1e-10)


def test_pure_step_equals_step_in_place_and_changes_nothing():
    psf, y, penalties = uniform(2, 3, 5, 7), uniform(2, 3, 5, 7, seed=1), Penalties(0.5, 0.2, 0.3, 0.02)
    camera = LenslessConvolution(psf)
    system = make_system(camera.spectrum, camera.fft, y, (uniform(5, 7) < 0.8).to(y), penalties)
    pure = first_state(y, camera.fft.shape, system, penalties)
    placed = State(*(v.clone() for v in vars(pure).values()))
    scratch = Scratch(placed, camera.fft)
    for _ in range(4):
        before = {name: v.clone() for name, v in vars(pure).items()}
        following = step(pure, system, penalties)
        for name, value in vars(pure).items():
            assert torch.equal(value, before[name]), name
        pure = following
        addresses = [v.data_ptr() for v in vars(placed).values()]
        placed = step(placed, system, penalties, scratch=scratch)
        assert [v.data_ptr() for v in vars(placed).values()] == addresses
        for name, value in vars(pure).items():
            close(getattr(placed, name), value, 1e-13)


def test_pure_step_is_differentiable():
    psf, y = uniform(1, 2, 2, 3), uniform(1, 2, 2, 3, seed=1)
    numbers = [torch.tensor(v, dtype=psf.dtype).reshape(1, 1, 1, 1) for v in (0.5, 0.2, 0.3, 0.02)]

    def unrolled(psf, y, *numbers):
        camera, penalties = LenslessConvolution(psf), Penalties(*numbers)
        system = make_system(camera.spectrum, camera.fft, y, 1.0, penalties)
        state = first_state(y, camera.fft.shape, system, penalties)
        for _ in range(3):
            state = step(state, system, penalties)
        return state.x

    inputs = [v.requires_grad_() for v in (psf, y, *numbers)]
    assert torch.autograd.gradcheck(unrolled, inputs)
