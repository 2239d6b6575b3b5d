"""What every reconstruction is, and the one loop that drives every iterative one."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lensless.errors import InputError, NonFiniteError
from lensless.physics.operator import LinearOperator
from lensless.physics.valid_pixels import ValidPixels


class Reconstructor(ABC):
    """x = R(y, physics): measurements (B, *sensor_shape) to scenes (B, *scene_shape).

    Owns no PSF: the same object serves any camera, and a batch may hold a different PSF for every sample.
    Doubling y doubles x; doubling the PSF halves it.
    """

    @abstractmethod
    def __call__(self, y: Tensor, physics: LinearOperator) -> Tensor: ...


@dataclass
class Solution:
    """What a solver found: the scene, how many iterations it took, why it stopped, and what was recorded.

    ``history`` maps "iteration", "seconds", "objective", "residual" (||Ax - y|| / ||y||) and "change"
    (||x_k - x_(k-1)|| / ||x_k|| between records) to lists of equal length; values are means over the batch.
    """

    image: Tensor
    iterations: int
    stopped_by: str
    history: dict[str, list[float]] = field(default_factory=dict)


class IterativeSolver(Reconstructor):
    """A reconstruction by repeated ``step``; this class owns the loop, its records and its stopping rules.

    iterations: most steps taken. tolerance: stop once the relative change of the estimate per iteration is below
    it. noise_level: standard deviation of the noise in the measurement's units; stop at the discrepancy
    ||Ax - y|| <= 1.01 * noise_level * sqrt(number of pixels) (Morozov 1966), for every sample of the batch.
    record_every: iterations between records and between looks at the stopping rules, 0 for none;
    callback(iteration, estimate) is called at every record with the current scene. progress: show a bar on a terminal.

    The measurement is never changed. Everything inside is relative: data in units of its mean absolute value, the
    operator in units of its norm, so no default depends on exposure or on the PSF's normalisation.
    """

    def __init__(
        self,
        iterations: int = 100,
        *,
        tolerance: float | None = None,
        noise_level: float | None = None,
        record_every: int = 0,
        callback: Callable[[int, Tensor], None] | None = None,
        progress: bool = False,
    ):
        if iterations < 1:
            raise InputError(f"iterations: expected at least 1, got {iterations}")
        for name, value in (("tolerance", tolerance), ("noise_level", noise_level)):
            if value is not None and not value > 0:
                raise InputError(f"{name}: expected a positive number, got {value}")
        if record_every < 0:
            raise InputError(f"record_every: expected 0 (never) or a number of iterations, got {record_every}")
        if record_every == 0 and (tolerance is not None or noise_level is not None or callback is not None):
            record_every = 10
        self.iterations = iterations
        self.tolerance = tolerance
        self.noise_level = noise_level
        self.record_every = record_every
        self.callback = callback
        self.progress = progress

    def __call__(self, y: Tensor, physics: LinearOperator) -> Tensor:
        return self.solve(y, physics).image

    @torch.no_grad()
    def solve(self, y: Tensor, physics: LinearOperator, *, init: Tensor | None = None) -> Solution:
        """Run until a rule stops it; ``init`` (B, *scene_shape) is a warm start.

        Raises InputError on a measurement that does not fit and NonFiniteError naming the iteration.
        """
        check_measurement(y, physics)
        if init is not None:
            physics.check(init, physics.scene_shape, "init")
            if len(init) != len(y):
                raise InputError(f"init: expected a batch of {len(y)} like the measurement, got {len(init)}")
        y, pixels = believed(y, physics)
        state = self.start(y, physics, init)
        record = _Record(self, y, pixels)
        # one pixel an image is enough: every step passes through the operator, which spreads a NaN over all
        finite = torch.ones(self.iterations, dtype=torch.bool, device=y.device)
        stopped_by, iteration = "iterations", 0
        with tqdm(total=self.iterations, disable=None if self.progress else True, unit="it", leave=False) as bar:
            while iteration < self.iterations:
                self.step(state)
                finite[iteration] = torch.isfinite(self.probe(state)).all()
                iteration += 1
                bar.update()
                if self.record_every and (iteration % self.record_every == 0 or iteration == self.iterations):
                    _check_finite(finite, iteration, self)
                    reason = record.add(iteration, state)
                    if reason:
                        stopped_by = reason
                        break
        _check_finite(finite, iteration, self)
        return Solution(self.estimate(state).contiguous(), iteration, stopped_by, record.history)

    @abstractmethod
    def start(self, y: Tensor, physics: LinearOperator, init: Tensor | None) -> Any:
        """The state before the first iteration; everything that does not change is computed here."""

    @abstractmethod
    def step(self, state: Any) -> None:
        """One iteration; writes into tensors of ``state`` alone."""

    @abstractmethod
    def estimate(self, state: Any) -> Tensor:
        """The scene (B, *scene_shape) that the state stands for."""

    @abstractmethod
    def probe(self, state: Any) -> Tensor:
        """A few numbers that are non-finite if anything in the state is."""

    @abstractmethod
    def diagnose(self, state: Any) -> tuple[Tensor, Tensor]:
        """(objective, squared residual ||Ax - y||^2), each (B,), in the measurement's units."""


class _Record:
    def __init__(self, solver: IterativeSolver, y: Tensor, pixels: Tensor | int):
        self.solver = solver
        self.energy = y.square().flatten(1).sum(1)
        self.pixels = pixels
        self.history: dict[str, list[float]] = {
            name: [] for name in ("iteration", "seconds", "objective", "residual", "change") if solver.record_every
        }
        self.previous: tuple[int, Tensor] | None = None
        self.began = time.perf_counter()

    def add(self, iteration: int, state: Any) -> str | None:
        solver = self.solver
        x = solver.estimate(state)
        objective, squared_residual = solver.diagnose(state)
        change = torch.full_like(squared_residual, float("nan"))
        if self.previous is not None:
            difference = (x - self.previous[1]).flatten(1).norm(dim=1) / (iteration - self.previous[0])
            change = difference / x.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
        x = x.clone()
        self.previous = (iteration, x)
        residual = (squared_residual / self.energy.clamp_min(torch.finfo(x.dtype).tiny)).sqrt()
        values = (iteration, time.perf_counter() - self.began, objective, residual, change)
        for name, value in zip(self.history, values, strict=True):
            self.history[name].append(float(value.mean()) if isinstance(value, Tensor) else value)
        if solver.callback is not None:
            solver.callback(iteration, x)
        if solver.tolerance is not None and bool((change < solver.tolerance).all()):
            return "tolerance"
        if solver.noise_level is not None:
            limit = (1.01 * solver.noise_level) ** 2 * self.pixels
            if bool((squared_residual <= limit).all()):
                return "noise_level"
        return None


def _check_finite(finite: Tensor, iterations: int, solver: IterativeSolver) -> None:
    bad = (~finite[:iterations]).nonzero()
    if len(bad):
        raise NonFiniteError(
            f"{type(solver).__name__}: the estimate became NaN or infinite in iteration {int(bad[0]) + 1} of "
            f"{solver.iterations}; look at the measurement's range, or take stronger penalties or a smaller step"
        )


def check_measurement(y: Tensor, physics: LinearOperator) -> None:
    """Raise InputError unless ``y`` fits the camera and is finite."""
    physics.check(y, physics.sensor_shape, "measurement")
    if not bool(torch.isfinite(y).all()):
        bad = int((~torch.isfinite(y)).sum())
        raise InputError(
            f"measurement: expected finite values, got {bad} NaN or infinite; set them to 0 and leave them out with "
            "ValidPixels"
        )


def believed(y: Tensor, physics: LinearOperator) -> tuple[Tensor, Tensor | int]:
    """The measurement with zeros at the pixels that the camera ignores, and how many each sample has left."""
    if not isinstance(physics, ValidPixels):
        return y, y[0].numel()
    mask = physics.mask.expand_as(y)
    return y * mask, mask.flatten(1).sum(1)


def per_sample(values: Tensor, ndim: int) -> Tensor:
    """(B,) as (B, 1, ..., 1) with ``ndim`` axes, to multiply a batch."""
    return values.reshape(-1, *[1] * (ndim - 1))


def data_scale(y: Tensor) -> Tensor:
    """Mean absolute value of each sample, (B,); 1 where a sample is all zeros."""
    scale = y.abs().flatten(1).mean(1)
    return torch.where(scale > 0, scale, torch.ones_like(scale))
