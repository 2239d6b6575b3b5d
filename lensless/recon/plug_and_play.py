"""Plug-and-play: a denoiser in the place of a prox, in ADMM, half-quadratic splitting and FISTA, for any camera.

ADMM and half-quadratic splitting need the prox of the data,

    argmin_x 1/2 ||Ax - y||^2 + alpha ||A||^2 / 2 ||x - v||^2,

which conjugate gradients approach from the last iterate. A denoiser expects pictures whose white is 1, so it is given
the scene in units of ``white``: the 99.9th percentile of a regularised least-squares start, fixed for each sample.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.fft import pad_centred
from lensless.physics.operator import LinearOperator
from lensless.recon.base import IterativeSolver, per_sample
from lensless.recon.denoisers import Denoiser

START_ALPHA, START_ITERATIONS = 0.01, 15


@dataclass
class PlugAndPlayState:
    """Clean scene z, data-consistent scene x, dual or previous scene u, and the constants of the problem."""

    z: Tensor
    x: Tensor
    u: Tensor
    camera: LinearOperator
    physics: LinearOperator
    y: Tensor
    back_projection: Tensor
    norm: Tensor
    white: Tensor
    iteration: int = 0
    t: float = 1.0


class PlugAndPlay(IterativeSolver):
    """What the three methods share.

    denoiser: any ``denoise(x, sigma) -> x``. sigma: noise level given to it, in units of white, falling
    geometrically from ``sigma_start`` (default: constant) to ``sigma`` over the iterations. alpha: weight of the
    prior in units of ||A||^2. The other arguments are those of IterativeSolver.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        iterations: int = 30,
        sigma: float = 0.02,
        sigma_start: float | None = None,
        alpha: float = 0.003,
        conjugate_gradients: int = 5,
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
        if not callable(denoiser):
            raise InputError(f"denoiser: expected a callable denoise(x, sigma), got {type(denoiser).__name__}")
        numbers = {
            "sigma": sigma,
            "sigma_start": sigma if sigma_start is None else sigma_start,
            "alpha": alpha,
        }
        for name, value in numbers.items():
            if not value > 0:
                raise InputError(f"{name}: expected a positive number, got {value}")
        if conjugate_gradients < 1:
            raise InputError(f"conjugate_gradients: expected at least 1, got {conjugate_gradients}")
        self.denoiser = denoiser
        self.sigma = sigma
        self.sigma_start = numbers["sigma_start"]
        self.alpha = alpha
        self.conjugate_gradients = conjugate_gradients

    def start(self, y: Tensor, physics: LinearOperator, init: Tensor | None) -> PlugAndPlayState:
        camera = physics.whole_field()
        norm = per_sample((1.01 * camera.norm_squared()).expand(y.shape[0]), len(camera.scene_shape) + 1)
        back_projection = camera.adjoint(y)
        zeros = torch.zeros_like(back_projection)
        x = regularised_least_squares(camera, back_projection, zeros, START_ALPHA * norm, zeros, START_ITERATIONS)
        view = physics.to_field_of_view(x).flatten(1)
        white = view.kthvalue(max(1, round(0.999 * view.shape[1])), dim=1).values.abs()
        white = torch.where(white > 0, white, torch.ones_like(white))
        if init is not None:
            x = pad_centred(init, back_projection.shape[-2:])
        return PlugAndPlayState(
            z=x,
            x=x,
            u=zeros,
            camera=camera,
            physics=physics,
            y=y,
            back_projection=back_projection,
            norm=norm,
            white=per_sample(white, x.ndim),
        )

    def step(self, state: PlugAndPlayState) -> None:
        progress = state.iteration / max(1, self.iterations - 1)
        sigma = self.sigma_start * (self.sigma / self.sigma_start) ** progress
        self.update(state, sigma)
        state.iteration += 1

    @abstractmethod
    def update(self, state: PlugAndPlayState, sigma: float) -> None:
        """One iteration with the denoiser at noise level ``sigma``."""

    def denoise(self, state: PlugAndPlayState, x: Tensor, sigma: float) -> Tensor:
        """The denoiser on planes of (B, C, H, W) in units of white."""
        planes = (x / state.white).flatten(0, -4)
        return self.denoiser(planes, sigma).reshape(x.shape) * state.white

    def data_prox(self, state: PlugAndPlayState, v: Tensor, alpha: float) -> Tensor:
        """argmin_x 1/2 ||Ax - y||^2 + alpha ||A||^2 / 2 ||x - v||^2, approached from the last x."""
        return regularised_least_squares(
            state.camera, state.back_projection, v, alpha * state.norm, state.x, self.conjugate_gradients
        )

    def estimate(self, state: PlugAndPlayState) -> Tensor:
        return state.physics.to_field_of_view(state.z)

    def probe(self, state: PlugAndPlayState) -> Tensor:
        return state.z.sum((-2, -1))

    def diagnose(self, state: PlugAndPlayState) -> tuple[Tensor, Tensor]:
        """The prior of a denoiser has no value: the objective is that of the data."""
        squared = (state.camera(state.z) - state.y).square().flatten(1).sum(1)
        return squared / 2, squared


class PlugAndPlayADMM(PlugAndPlay):
    """x = data_prox(z - u), z = denoise(x + u), u <- u + x - z (Venkatakrishnan, Bouman & Wohlberg 2013)."""

    def update(self, state: PlugAndPlayState, sigma: float) -> None:
        state.x = self.data_prox(state, state.z - state.u, self.alpha)
        state.z = self.denoise(state, state.x + state.u, sigma)
        state.u = state.u + state.x - state.z


class PlugAndPlayHQS(PlugAndPlay):
    """x = data_prox(z), z = denoise(x), alpha_k = alpha (sigma / sigma_k)^2 (DPIR: Zhang et al., IEEE TPAMI 2021)."""

    def update(self, state: PlugAndPlayState, sigma: float) -> None:
        state.x = self.data_prox(state, state.z, self.alpha * (self.sigma / sigma) ** 2)
        state.z = self.denoise(state, state.x, sigma)


class PlugAndPlayFISTA(PlugAndPlay):
    """z = denoise(x - A*(Ax - y) / ||A||^2), x = z + (t - 1) / t_next (z - z_previous) (Kamilov et al. 2017)."""

    def update(self, state: PlugAndPlayState, sigma: float) -> None:
        gradient = state.camera.adjoint(state.camera(state.x) - state.y)
        clean = self.denoise(state, state.x - gradient / state.norm, sigma)
        t_next = (1 + (1 + 4 * state.t**2) ** 0.5) / 2
        state.x = clean + (state.t - 1) / t_next * (clean - state.z)
        state.z, state.t = clean, t_next


def regularised_least_squares(
    camera: LinearOperator, back_projection: Tensor, v: Tensor, alpha: Tensor, x: Tensor, iterations: int
) -> Tensor:
    """Conjugate gradients on (A*A + alpha) x = A*y + alpha v from ``x``; back_projection is A*y, alpha (B, 1, ...)."""

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return per_sample((a * b).flatten(1).sum(1), a.ndim)

    tiny = torch.finfo(x.dtype).tiny
    residual = back_projection + alpha * (v - x) - camera.adjoint(camera(x))
    direction, energy = residual, dot(residual, residual)
    for _ in range(iterations):
        product = camera.adjoint(camera(direction)) + alpha * direction
        length = energy / dot(direction, product).clamp_min(tiny)
        x = x + length * direction
        residual = residual - length * product
        energy, previous = dot(residual, residual), energy
        direction = residual + energy / previous.clamp_min(tiny) * direction
    return x
