"""ADMM with total variation and non-negativity for the shift-invariant camera (Antipa et al., Optica 2018)."""

from collections.abc import Callable

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import pad_centred
from lensless.physics.operator import LinearOperator
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.admm_iteration import (
    Penalties,
    Scratch,
    System,
    advance,
    images_apart,
    initial_state,
    invert,
    step,
)
from lensless.recon.base import IterativeSolver, data_scale, per_sample
from lensless.recon.prox import TotalVariation


class ADMM(IterativeSolver):
    """min_x>=0 1/2 ||Ax - y||^2 + tau ||D x||_1 by ADMM, for LenslessConvolution, with or without ValidPixels.

    Antipa et al., "DiffuserCam: lensless single-exposure 3D imaging", Optica 5(1), 2018; the scene is the whole
    grid, so light from outside the field of view is explained, and the field of view is returned.

    tau: weight of the anisotropic total variation D, 0 for none. nonnegative: keep x >= 0. mu1, mu2, mu3:
    penalties of the splits, which set the speed and not the limit. All are relative: with A scaled to a largest
    |H| of 1 and y to a mean absolute value of 1. The other arguments are those of IterativeSolver.
    Raises InputError for an operator of another kind (use FISTA) and for penalties that are not positive.
    """

    def __init__(
        self,
        iterations: int = 100,
        *,
        tau: float = 4e-4,
        nonnegative: bool = True,
        mu1: float = 0.03,
        mu2: float = 0.01,
        mu3: float = 0.001,
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
        for name, value in (("mu1", mu1), ("mu2", mu2), ("mu3", mu3)):
            if not value > 0:
                raise InputError(f"{name}: expected a positive number, got {value}")
        if not tau >= 0:
            raise InputError(f"tau: expected a number of at least 0, got {tau}")
        self.tau, self.nonnegative, self.mu1, self.mu2, self.mu3 = tau, nonnegative, mu1, mu2, mu3
        self.penalties = Penalties(mu1, mu2 if tau else 0.0, mu3, tau)

    def start(self, y: Tensor, physics: LinearOperator, init: Tensor | None) -> "_Problem":
        return _Problem(self, y, *split_valid(physics), init)

    def step(self, state: "_Problem") -> None:
        for part, system in state.groups:
            step(part, system, self.penalties, self.penalties, state.scratch)

    def estimate(self, state: "_Problem") -> Tensor:
        x = state.camera.to_field_of_view(state.whole.x) * per_sample(state.unit, 4)
        return x.clamp_(min=0) if self.nonnegative else x

    def probe(self, state: "_Problem") -> Tensor:
        return state.whole.x[..., 0, 0]

    def diagnose(self, state: "_Problem") -> tuple[Tensor, Tensor]:
        misfit = (state.whole.hx - state.system.measurement) * state.system.valid
        squared = misfit.square().flatten(1).sum(1)
        objective = squared / 2
        if self.penalties.tau:
            objective = objective + self.penalties.tau * TotalVariation(self.penalties.tau).value(state.whole.x)
        return objective * state.scale**2, squared * state.scale**2


class _Problem:
    """The scaled problem of one call, and the groups of images that share the scratch buffers."""

    def __init__(self, solver: ADMM, y: Tensor, camera: LenslessConvolution, valid: Tensor | None, init: Tensor | None):
        self.camera = camera
        self.scale = data_scale(y)
        gain = camera.spectrum.abs().flatten(1).amax(1)
        self.unit = self.scale / gain
        spectrum = camera.spectrum / per_sample(gain, 4)
        measurement = y / per_sample(self.scale, 4)
        self.system = System(
            camera.fft,
            spectrum,
            spectrum.conj().resolve_conj(),
            invert(spectrum, camera.fft, solver.penalties),
            measurement,
            1.0 if valid is None else valid,
        )
        field = camera.whole_field().scene_shape
        if init is None:
            x, hx = y.new_zeros(y.shape[0], *field), torch.zeros_like(y)
        else:
            x = pad_centred(init / per_sample(self.unit, 4), field[1:]).contiguous()
            hx = camera(init) / per_sample(self.scale, 4)
        self.whole = initial_state(x, hx, variation=bool(solver.penalties.tau), positivity=solver.nonnegative)
        images = images_apart(x)
        self.groups = [(self.whole.image(*i), self.system.image(*i)) for i in images] or [(self.whole, self.system)]
        self.scratch = Scratch(self.groups[0][0], camera.fft)
        for part, system in self.groups:
            advance(part, part.terms, system, solver.penalties, solver.penalties, self.scratch)


def split_valid(physics: LinearOperator) -> tuple[LenslessConvolution, Tensor | None]:
    """The convolution and the valid-pixel mask (or None) of a camera that ADMM can solve for."""
    camera, valid = (physics.operator, physics.mask) if isinstance(physics, ValidPixels) else (physics, None)
    if not isinstance(camera, LenslessConvolution):
        raise InputError(
            f"physics: ADMM needs a LenslessConvolution (or ValidPixels of one), got {type(camera).__name__}; "
            "use FISTA, which takes any operator"
        )
    return camera, valid
