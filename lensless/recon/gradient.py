"""Projected and proximal gradient methods for any camera: gradient descent, Nesterov and FISTA.

    x_new = prox_(R / L)(z - A*(Az - y) / L),     z = x_new + beta (x_new - x)

They minimise 1/2 ||Ax - y||^2 + R(x) and differ in beta alone. L is ||A||^2 from the operator's power iteration, with
one percent to spare, because a power iteration approaches the norm from below.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.fft import pad_centred
from lensless.physics.operator import LinearOperator
from lensless.recon.base import IterativeSolver, data_scale, per_sample
from lensless.recon.prox import NonNegative, Regulariser

BLOCK_PIXELS = 2**18


@dataclass
class GradientState:
    """Iterate x, extrapolated point z, momentum counter t, the constants of the problem, and two buffers."""

    x: Tensor
    z: Tensor
    t: Tensor
    camera: LinearOperator
    physics: LinearOperator
    y: Tensor
    step: Tensor
    weight: Tensor
    gradient: Tensor
    residual: Tensor


class ProximalGradient(IterativeSolver):
    """What the three methods share; a subclass chooses the momentum.

    regulariser: R with its prox, default non-negativity; its weight is relative to ||A|| times the data's mean
    absolute value. step_size: in units of 1 / ||A||^2. The other arguments are those of IterativeSolver.
    Raises InputError for a step size outside (0, 2).
    """

    def __init__(
        self,
        iterations: int = 100,
        *,
        regulariser: Regulariser | None = None,
        step_size: float = 1.0,
        tolerance: float | None = None,
        noise_level: float | None = None,
        record_every: int = 0,
        callback: Callable[[int, Tensor], None] | None = None,
        progress: bool = False,
    ):
        super().__init__(
            iterations,
            tolerance=tolerance,
            noise_level=noise_level,
            record_every=record_every,
            callback=callback,
            progress=progress,
        )
        if not 0 < step_size < 2:
            raise InputError(f"step_size: expected a number between 0 and 2, in units of 1 / ||A||^2, got {step_size}")
        self.regulariser = NonNegative() if regulariser is None else regulariser
        self.step_size = step_size

    @abstractmethod
    def momentum(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(beta, next t) from the counter t, each (B,)."""

    def start(self, y: Tensor, physics: LinearOperator, init: Tensor | None) -> GradientState:
        camera = physics.whole_field()
        x = y.new_zeros(y.shape[0], *camera.scene_shape)
        if init is not None:
            x.copy_(pad_centred(init, x.shape[-2:]))
        norm = (1.01 * camera.norm_squared()).expand(y.shape[0])
        return GradientState(
            x=x,
            z=x.clone(),
            t=torch.ones(x.shape[0], dtype=x.dtype, device=x.device),
            camera=camera,
            physics=physics,
            y=y,
            step=per_sample(self.step_size / norm, 2),
            weight=per_sample(self.regulariser.weight * data_scale(y) * norm.sqrt(), 2),
            gradient=torch.empty_like(x),
            residual=torch.empty_like(y),
        )

    def step(self, state: GradientState) -> None:
        s = state
        torch.sub(s.camera(s.z, out=s.residual), s.y, out=s.residual)
        s.camera.adjoint(s.residual, out=s.gradient)
        beta, s.t = self.momentum(s.t)
        overshoot = torch.zeros_like(s.t)
        for block in _blocks(s.x, self.regulariser.separable):
            samples, _ = block
            x, z, new = (v.flatten(1)[block] for v in (s.x, s.z, s.gradient))
            torch.addcmul(z, new, s.step[samples], value=-1, out=new)
            threshold = s.weight[samples] * s.step[samples]
            if self.regulariser.separable:
                new.copy_(self.regulariser.prox(new, threshold))
            else:
                image = new.view(-1, *s.x.shape[1:])
                new.copy_(self.regulariser.prox(image, per_sample(threshold, s.x.ndim)).flatten(1))
            move = torch.sub(new, x, out=x)
            torch.sub(z, new, out=z)
            overshoot[samples] += torch.linalg.vecdot(z, move)
            torch.addcmul(new, move, beta[samples, None], out=z)
        s.x, s.gradient = s.gradient, s.x
        self.after_step(s, overshoot)

    def after_step(self, state: GradientState, overshoot: Tensor) -> None:
        """Look at <z - x_new, x_new - x>, which is positive where the momentum points uphill."""

    def estimate(self, state: GradientState) -> Tensor:
        return state.physics.to_field_of_view(state.x)

    def probe(self, state: GradientState) -> Tensor:
        return state.x[..., 0, 0]

    def diagnose(self, state: GradientState) -> tuple[Tensor, Tensor]:
        squared = torch.sub(state.camera(state.x), state.y).square_().flatten(1).sum(1)
        return squared / 2 + state.weight[:, 0] * self.regulariser.value(state.x), squared


class GradientDescent(ProximalGradient):
    """x_new = prox(x - step A*(Ax - y)): no momentum, beta = 0."""

    def momentum(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), t


class Nesterov(ProximalGradient):
    """Constant momentum beta = ``inertia`` (Nesterov 1983; 0.9 is the customary value)."""

    inertia = 0.9

    def momentum(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(t, self.inertia), t


class FISTA(ProximalGradient):
    """beta = (t - 1) / t_next, t_next = (1 + sqrt(1 + 4 t^2)) / 2 (Beck & Teboulle, SIAM J. Imaging Sci. 2009).

    restart: set t = 1 for the next iteration after a step that went against the momentum, the gradient scheme of
    O'Donoghue & Candes (2015), which keeps the objective from rippling. The other arguments are those of
    ProximalGradient.
    """

    def __init__(
        self,
        iterations: int = 100,
        *,
        restart: bool = True,
        regulariser: Regulariser | None = None,
        step_size: float = 1.0,
        tolerance: float | None = None,
        noise_level: float | None = None,
        record_every: int = 0,
        callback: Callable[[int, Tensor], None] | None = None,
        progress: bool = False,
    ):
        super().__init__(
            iterations,
            regulariser=regulariser,
            step_size=step_size,
            tolerance=tolerance,
            noise_level=noise_level,
            record_every=record_every,
            callback=callback,
            progress=progress,
        )
        self.restart = restart

    def momentum(self, t: Tensor) -> tuple[Tensor, Tensor]:
        t_next = (1 + (1 + 4 * t.square()).sqrt()) / 2
        return (t - 1) / t_next, t_next

    def after_step(self, state: GradientState, overshoot: Tensor) -> None:
        if self.restart:
            state.t = torch.where(overshoot > 0, torch.ones_like(state.t), state.t)


def _blocks(x: Tensor, separable: bool) -> Iterator[tuple[slice, slice]]:
    """(samples, pixels) of the flattened scene: pieces that stay in a CPU's cache, or everything at once."""
    pixels = x[0].numel()
    if not separable or x.device.type != "cpu":
        yield slice(None), slice(None)
        return
    for sample in range(x.shape[0]):
        for first in range(0, pixels, BLOCK_PIXELS):
            yield slice(sample, sample + 1), slice(first, first + BLOCK_PIXELS)
