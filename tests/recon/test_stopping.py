"""The loop that drives every iterative solver: records, stopping rules, callback, and what it refuses."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lensless.errors import InputError, NonFiniteError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.admm import ADMM
from lensless.recon.base import IterativeSolver, data_scale, per_sample
from lensless.recon.denoisers import TotalVariationDenoiser
from lensless.recon.gradient import FISTA, GradientDescent, Nesterov
from lensless.recon.plug_and_play import PlugAndPlay, PlugAndPlayADMM, PlugAndPlayFISTA, PlugAndPlayHQS


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plug_and_play(method: type[PlugAndPlay]) -> Callable[..., IterativeSolver]:
    """The method with a weak denoiser, to be made like the others."""
    return lambda iterations=100, **rules: method(TotalVariationDenoiser(), iterations=iterations, sigma=1e-3, **rules)


SOLVERS = {
    "admm": ADMM,
    "gradient_descent": GradientDescent,
    "nesterov": Nesterov,
    "fista": FISTA,
    "plug_and_play_admm": plug_and_play(PlugAndPlayADMM),
    "plug_and_play_hqs": plug_and_play(PlugAndPlayHQS),
    "plug_and_play_fista": plug_and_play(PlugAndPlayFISTA),
}


@pytest.fixture(params=SOLVERS)
def solver(request) -> Callable[..., IterativeSolver]:
    return SOLVERS[request.param]


@pytest.fixture
def camera() -> LenslessConvolution:
    return LenslessConvolution(uniform(2, 5, 7) ** 4)


@pytest.fixture
def y(camera) -> torch.Tensor:
    clean = camera(uniform(1, 2, 5, 7, seed=1))
    return clean + 0.01 * normal(*clean.shape, seed=2)


def test_records_at_the_stated_iterations_and_the_last(solver, camera, y):
    solution = solver(10, record_every=4).solve(y, camera)
    assert solution.history["iteration"] == [4, 8, 10]
    assert {len(values) for values in solution.history.values()} == {3}
    assert list(solution.history) == ["iteration", "seconds", "objective", "residual", "change"]
    assert solution.history["seconds"] == sorted(solution.history["seconds"])
    assert (solution.iterations, solution.stopped_by) == (10, "iterations")


def test_records_nothing_unless_asked(solver, camera, y):
    solution = solver(3).solve(y, camera)
    assert (solution.history, solution.iterations, solution.stopped_by) == ({}, 3, "iterations")


def test_looking_does_not_change_the_result(solver, camera, y):
    watched = solver(7, record_every=2, callback=lambda *_: None).solve(y, camera).image
    assert torch.equal(watched, solver(7)(y, camera))


def test_callback_gets_every_estimate_to_keep(solver, camera, y):
    """What it kept is what shorter runs return, and gives the recorded change."""
    kept: dict[int, torch.Tensor] = {}
    history = solver(9, record_every=3, callback=kept.__setitem__).solve(y, camera).history
    assert list(kept) == [3, 6, 9]
    for iterations, estimate in kept.items():
        assert torch.equal(estimate, solver(iterations)(y, camera))
    changes = [float((kept[k] - kept[k - 3]).norm() / 3 / kept[k].norm()) for k in (6, 9)]
    assert np.isnan(history["change"][0])
    assert history["change"][1:] == pytest.approx(changes)


def test_records_the_residual_of_the_whole_field(camera, y):
    """On a camera whose scene is the whole field the estimate is all that the solver knows."""
    whole, kept = camera.whole_field(), {}
    run = FISTA(8, record_every=2, callback=kept.__setitem__)
    y = torch.cat([y, 30 * uniform(1, 2, 5, 7, seed=3)])
    history = run.solve(y, whole).history
    misfit = [(whole(x) - y).flatten(1).norm(dim=1) for x in kept.values()]
    expected = [float((m / y.flatten(1).norm(dim=1)).mean()) for m in misfit]
    assert history["residual"] == pytest.approx(expected)
    assert history["objective"] == pytest.approx([float(m.square().mean() / 2) for m in misfit])


def test_stops_at_the_first_record_below_the_tolerance(solver, camera, y):
    solution = solver(500, tolerance=2e-3, record_every=2).solve(y, camera)
    assert solution.stopped_by == "tolerance"
    assert solution.iterations == solution.history["iteration"][-1] < 500
    assert solution.history["change"][-1] < 2e-3
    assert all(not change < 2e-3 for change in solution.history["change"][:-1])


@pytest.mark.parametrize("masked", [False, True])
def test_stops_at_the_discrepancy(solver, camera, y, masked: bool):
    """Morozov: the first record with ||Ax - y|| <= 1.01 sigma sqrt(n), of the n pixels that count."""
    physics: LinearOperator = camera
    if masked:
        physics = ValidPixels(camera, mask=uniform(5, 7, seed=4) < 0.6)
        y = torch.where(physics.mask > 0, y, 1e3 * torch.ones_like(y))
    sigma, n = 0.05, 2 * int(physics.mask.sum()) if masked else 70
    solution = solver(3000, noise_level=sigma, record_every=1).solve(y, physics)
    measured = y * physics.mask if masked else y
    residuals = np.array(solution.history["residual"]) * float(measured.norm())
    limit = 1.01 * sigma * n**0.5
    assert solution.stopped_by == "noise_level"
    assert len(residuals) > 1
    assert residuals[-1] <= limit * (1 + 1e-9)
    assert (residuals[:-1] > limit).all()


def test_the_discrepancy_holds_for_every_sample():
    camera = LenslessConvolution(uniform(1, 5, 7) ** 4).whole_field()
    y = torch.cat([uniform(1, 1, 5, 7), 5 * uniform(1, 1, 5, 7, seed=1)])
    solution = FISTA(3000, noise_level=0.1, record_every=1).solve(y, camera)
    before = FISTA(solution.iterations - 1)(y, camera)
    limit = 1.01 * 0.1 * 35**0.5
    norms = [(camera(x) - y).flatten(1).norm(dim=1) for x in (before, solution.image)]
    assert float(norms[0].min()) < limit < float(norms[0].max())
    assert float(norms[1].max()) <= limit


@pytest.mark.parametrize("rule", [{"tolerance": 1e-30}, {"noise_level": 1e-30}, {"callback": lambda *_: None}])
def test_a_rule_looks_every_ten_iterations_unless_told(rule: dict, camera, y):
    assert FISTA(25, **rule).solve(y, camera).history["iteration"] == [10, 20, 25]


def test_calling_is_solving(solver, camera, y):
    assert torch.equal(solver(4)(y, camera), solver(4).solve(y, camera).image)


@pytest.mark.parametrize(("asked", "terminal"), [(True, True), (True, False), (False, True)])
def test_shows_a_bar_on_a_terminal_when_asked(camera, y, capfd, monkeypatch, asked, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    FISTA(3, progress=asked)(y, camera)
    shown = capfd.readouterr()
    assert ("/3 [" in shown.err) == (asked and terminal)
    assert shown.out == ""


class Breaks(SeparableMask):
    """Measures NaN at one pixel from the given use on."""

    uses_left = 0

    def _forward(self, x, out):
        y = super()._forward(x, out)
        self.uses_left -= 1
        if self.uses_left <= 0:
            y[..., 1, 2] = float("nan")
        return y


@pytest.mark.parametrize("method", [GradientDescent, Nesterov, FISTA])
@pytest.mark.parametrize("iteration", [1, 3, 5])
@pytest.mark.parametrize("record_every", [0, 5])
def test_names_the_iteration_in_which_a_camera_failed(method, iteration: int, record_every: int):
    camera = Breaks(uniform(5, 4), right=uniform(7, 6))
    camera.uses_left = iteration
    expected = f"{method.__name__}: the estimate became NaN or infinite in iteration {iteration} of 5"
    with pytest.raises(NonFiniteError, match=expected):
        method(5, record_every=record_every)(uniform(2, 1, 5, 7), camera)


@pytest.mark.parametrize("iteration", [1, 3, 5])
def test_names_the_iteration_in_which_admm_failed(iteration: int, camera, y):
    class Spoilt(ADMM):
        """One number of one image goes bad before the given step."""

        steps = 0

        def step(self, state):
            self.steps += 1
            if self.steps == iteration:
                state.whole.data[0, 1, 2, 3] = float("inf")
            super().step(state)

    with pytest.raises(NonFiniteError, match=f"in iteration {iteration} of 5; look at the measurement's range"):
        Spoilt(5)(y, camera)


def test_an_overflow_is_found():
    """A prior that doubles the scene overflows single precision: 2^128 is the first infinite number."""

    class Doubling(FISTA):
        def step(self, state):
            state.x = 2 * state.x + (state.x == 0)

    camera, y = LenslessConvolution(uniform(1, 3, 5).float()), uniform(1, 1, 3, 5).float()
    with pytest.raises(NonFiniteError, match="in iteration 129 of 200"):
        Doubling(200)(y, camera)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_a_measurement_that_is_not_finite(solver, camera, y, value: float):
    y[0, 1, 2, 3] = value
    with pytest.raises(InputError, match=r"measurement: expected finite values, got 1 NaN or infinite; .*ValidPixels"):
        solver(2)(y, camera)


def test_refuses_what_does_not_fit_the_camera(solver, camera, y):
    for bad, got in ((y[..., :-1], r"\(1, 2, 5, 6\)"), (y[0], r"\(2, 5, 7\)"), (y[:, :1], r"\(1, 1, 5, 7\)")):
        with pytest.raises(InputError, match=rf"measurement: expected \(B, 2, 5, 7\), got {got}"):
            solver(2)(bad, camera)
    with pytest.raises(InputError, match=r"measurement: expected torch.float64 .*got torch.float32"):
        solver(2)(y.float(), camera)
    with pytest.raises(InputError, match=r"init: expected \(B, 2, 5, 7\), got \(1, 2, 10, 14\)"):
        solver(2).solve(y, camera, init=torch.zeros(1, 2, 10, 14).double())
    with pytest.raises(InputError, match="init: expected a batch of 1 like the measurement, got 3"):
        solver(2).solve(y, camera, init=y.expand(3, -1, -1, -1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iterations": 0}, "iterations: expected at least 1, got 0"),
        ({"tolerance": 0}, "tolerance: expected a positive number, got 0"),
        ({"tolerance": float("nan")}, "tolerance: expected a positive number, got nan"),
        ({"noise_level": -0.1}, "noise_level: expected a positive number, got -0.1"),
        ({"record_every": -1}, r"record_every: expected 0 \(never\) or a number of iterations, got -1"),
    ],
)
def test_refuses_rules_that_mean_nothing(solver, arguments: dict, message: str):
    with pytest.raises(InputError, match=message):
        solver(**arguments)


def test_scales_by_hand():
    y = torch.tensor([[[[1.0, -3.0]]], [[[0.0, 0.0]]]])
    assert data_scale(y).tolist() == [2.0, 1.0]
    assert per_sample(data_scale(y), 4).shape == (2, 1, 1, 1)
