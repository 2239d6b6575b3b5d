"""Unrolled solvers: a few iterations whose parameters are learned, one set for each iteration."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.physics.noise import noise_level
from lensless.physics.operator import LinearOperator
from lensless.recon.admm import split_valid
from lensless.recon.base import check_measurement, data_scale, per_sample
from lensless.recon.unrolled_admm import unrolled_admm

# noise relative to the mean of a measurement: where the slopes of NoiseAwareADMM turn, and the least that it believes
REFERENCE_NOISE, LEAST_NOISE = 0.1, 1e-3


class Unrolled(nn.Module, ABC):
    """x_K of K learned iterations, from measurements (B, C, h, w) to scenes (B, *scene_shape), non-negative.

    Doubling y doubles x; a batch may hold a different PSF for every sample. Raises InputError on a measurement
    that does not fit the camera and on a number of iterations that there is not.
    """

    def __init__(self, iterations: int):
        super().__init__()
        if iterations < 1:
            raise InputError(f"iterations: expected at least 1, got {iterations}")
        self.iterations = iterations

    def forward(self, y: Tensor, physics: LinearOperator, *, iterations: int | None = None) -> Tensor:
        """The scene after all iterations, or after the first ``iterations`` of them (early exit)."""
        return self._run(y, physics, iterations, every=False)[-1]

    def iterates(self, y: Tensor, physics: LinearOperator, *, iterations: int | None = None) -> list[Tensor]:
        """The scene after every iteration; the last one is what ``forward`` returns."""
        return self._run(y, physics, iterations, every=True)

    def _run(self, y: Tensor, physics: LinearOperator, iterations: int | None, *, every: bool) -> list[Tensor]:
        if iterations is None:
            iterations = self.iterations
        if not 1 <= iterations <= self.iterations:
            raise InputError(f"iterations: expected 1 to {self.iterations}, got {iterations}")
        check_measurement(y, physics)
        return self.unroll(y, physics, iterations, every=every)

    @abstractmethod
    def unroll(self, y: Tensor, physics: LinearOperator, iterations: int, *, every: bool) -> list[Tensor]:
        """The last scene, or all, of so many iterations."""


class UnrolledADMM(Unrolled):
    """ADMM with penalties mu1, mu2, mu3 and tau of their own in every iteration (Monakhova et al., Opt. Express 2019).

    At initialisation it is :class:`lensless.recon.admm.ADMM` of the same arguments, which are relative: H scaled to
    a largest |H| of 1, y to a mean absolute value of 1. Positive by construction, penalty = exp(log_penalties), with
    ``log_penalties`` (K, 4). For LenslessConvolution, with or without ValidPixels.

    Gradients flow to the penalties, the measurement and the PSF. Raises InputError on penalties that are not positive.
    """

    def __init__(
        self, iterations: int = 5, *, tau: float = 4e-4, mu1: float = 0.03, mu2: float = 0.01, mu3: float = 0.001
    ):
        super().__init__(iterations)
        start = {"mu1": mu1, "mu2": mu2, "mu3": mu3, "tau": tau}
        for name, value in start.items():
            if not value > 0:
                raise InputError(f"{name}: expected a positive number, got {value}")
        logarithms = torch.tensor([math.log(value) for value in start.values()])
        self.log_penalties = nn.Parameter(logarithms.repeat(iterations, 1))

    def unroll(self, y: Tensor, physics: LinearOperator, iterations: int, *, every: bool) -> list[Tensor]:
        camera, valid = split_valid(physics)
        gain = camera.spectrum.abs().flatten(1).amax(1)
        scale = data_scale(y if valid is None else y * valid)
        scenes = self._solve(
            y / per_sample(scale, 4),
            camera.spectrum / per_sample(gain, 4),
            iterations,
            fft=camera.fft,
            size=camera.scene_shape[1:],
            valid=1.0 if valid is None else valid,
            every=every,
        )
        unit = per_sample(scale / gain, 4)
        if torch.is_grad_enabled():
            return [x.clamp(min=0) * unit for x in scenes]
        return [x.clamp_(min=0).mul_(unit) for x in scenes]

    def _solve(
        self, y: Tensor, spectrum: Tensor, iterations: int, *, valid: Tensor | float, **problem: Any
    ) -> list[Tensor]:
        """:func:`unrolled_admm` of the scaled measurement and camera with the first penalties."""
        return unrolled_admm(y, spectrum, self.log_penalties[:iterations].exp(), valid=valid, **problem)


class NoiseAwareADMM(UnrolledADMM):
    """UnrolledADMM whose penalties follow the noise that each measurement shows, s, estimated by :func:`noise_level`:

        log p_k = log_penalties_k + slopes_k log(s / s_0),      s relative to the measurement's mean absolute value

    with s_0 = 0.1, about 20 dB, and (K, 4) learned slopes, which start at 0 but for tau's 1: in theory the weight of a
    prior grows with the noise, and one set of penalties is right for one exposure only. Each sample is solved alone.
    """

    def __init__(
        self, iterations: int = 20, *, tau: float = 3e-3, mu1: float = 0.02, mu2: float = 0.02, mu3: float = 3e-4
    ):
        super().__init__(iterations, tau=tau, mu1=mu1, mu2=mu2, mu3=mu3)
        self.slopes = nn.Parameter(torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(iterations, 1))

    def _solve(
        self, y: Tensor, spectrum: Tensor, iterations: int, *, valid: Tensor | float, **problem: Any
    ) -> list[Tensor]:
        """As for UnrolledADMM, with the penalties of each sample."""
        levels = noise_level(y, valid).clamp_min(LEAST_NOISE)
        change = self.slopes[:iterations] * (levels / REFERENCE_NOISE).log()[:, None, None]
        samples = [
            unrolled_admm(
                y[n : n + 1],
                spectrum[n % len(spectrum)][None],
                penalties,
                valid=valid[n % len(valid)][None] if isinstance(valid, Tensor) else valid,
                **problem,
            )
            for n, penalties in enumerate((self.log_penalties[:iterations] + change).exp())
        ]
        return [torch.cat(scenes) for scenes in zip(*samples, strict=True)]


class UnrolledFISTA(Unrolled):
    """x_k = max(z - step_k / max|H|^2 A*(Az - y), 0), z = x_k + momentum_k (x_k - x_(k-1)), from zeros.

    The learned version of FISTA (Beck & Teboulle 2009; the idea of learning it is LISTA's, Gregor & LeCun, ICML
    2010) on the camera's whole field. Parameters: ``log_step`` (K,), the logarithm of step_k, and ``momentum`` (K,),
    which start from ``step_size`` and FISTA's own sequence. For LenslessConvolution, with or without ValidPixels.
    Raises InputError for a step size that is not positive.
    """

    def __init__(self, iterations: int = 5, *, step_size: float = 1.0):
        super().__init__(iterations)
        if not step_size > 0:
            raise InputError(f"step_size: expected a positive number, in units of 1 / max|H|^2, got {step_size}")
        self.log_step = nn.Parameter(torch.full((iterations,), math.log(step_size)))
        momentum, t = [], 1.0
        for _ in range(iterations):
            t_next = (1 + math.sqrt(1 + 4 * t**2)) / 2
            momentum.append((t - 1) / t_next)
            t = t_next
        self.momentum = nn.Parameter(torch.tensor(momentum))

    def unroll(self, y: Tensor, physics: LinearOperator, iterations: int, *, every: bool) -> list[Tensor]:
        power = split_valid(physics)[0].spectrum.abs().square().flatten(1).amax(1)
        camera = physics.whole_field()
        steps = self.log_step[:iterations].exp()
        x = z = y.new_zeros(y.shape[0], *camera.scene_shape)
        scenes = []
        for step, momentum in zip(steps, self.momentum[:iterations], strict=True):
            residual = camera(z) - y if scenes else -y
            new = (z - per_sample(step / power, 4) * camera.adjoint(residual)).clamp(min=0)
            x, z = new, new + momentum * (new - x)
            scenes.append(physics.to_field_of_view(x))
        return scenes if every else scenes[-1:]
