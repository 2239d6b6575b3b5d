"""Cameras as operators of pyxu (https://pyxu-org.github.io), and pyxu's solver as a reconstruction.

Everything here needs the extra ``pyxu`` and imports it on first use, because that takes seconds.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.fft import pad_centred
from lensless.physics.operator import LinearOperator
from lensless.recon.base import IterativeSolver, data_scale, per_sample

if TYPE_CHECKING:
    import pyxu.abc
    import pyxu.opt.solver


def to_linop(physics: LinearOperator) -> "pyxu.abc.LinOp":
    """The camera y = A x as a pyxu LinOp on NumPy arrays.

    apply: (..., *scene_shape) to (..., *sensor_shape), adjoint the way back, for any leading axes. A camera
    that holds B > 1 PSFs has (B, *scene_shape) as its domain, each sample seen through its own PSF. It
    computes on the camera's device in the camera's precision and returns the precision it was given.
    ``lipschitz`` is ||A||, from ``norm_squared`` with one percent to spare, computed here once.
    Raises InputError where pyxu is not installed, and on arrays of another shape.
    """
    cameras = (physics.batch,) if physics.batch > 1 else ()
    return _linop(physics, cameras, float(_squared_norms(physics).max().sqrt()))


def _linop(physics: LinearOperator, batch: tuple[int, ...], lipschitz: float) -> "pyxu.abc.LinOp":
    pyxu = _import_pyxu()
    operator = pyxu.operator.interop.from_source(
        pyxu.abc.LinOp,
        dim_shape=(*batch, *physics.scene_shape),
        codim_shape=(*batch, *physics.sensor_shape),
        apply=_method(physics, physics, batch, physics.scene_shape),
        adjoint=_method(physics, physics.adjoint, batch, physics.sensor_shape),
    )
    operator.lipschitz = lipschitz
    return operator


def _method(
    physics: LinearOperator,
    transform: Callable[[Tensor], Tensor],
    batch: tuple[int, ...],
    image: tuple[int, ...],
) -> Callable[[object, np.ndarray], np.ndarray]:
    """``transform`` as a pyxu operator's method on (..., *batch, *image), one call for each of "..."."""

    def method(_, arr: np.ndarray) -> np.ndarray:
        axes = len(batch) + len(image)
        if arr.shape[-axes:] != (*batch, *image):
            raise InputError(f"arr: expected (..., {', '.join(map(str, batch + image))}), got {arr.shape}")
        samples = torch.tensor(np.ascontiguousarray(arr), dtype=physics.dtype, device=physics.device)
        with torch.no_grad():
            results = [transform(sample) for sample in samples.reshape(-1, math.prod(batch), *image)]
        stacked = torch.cat(results).cpu().numpy().astype(arr.dtype, copy=False)
        return stacked.reshape(*arr.shape[:-axes], *batch, *stacked.shape[1:])

    return method


@dataclass
class _Problem:
    """pyxu's solver for the problem in relative units, and what leads back to those of the scene."""

    solver: "pyxu.opt.solver.PGD"
    y: Tensor
    physics: LinearOperator
    camera: LinearOperator
    unit: Tensor
    weight: Tensor

    def scene(self) -> Tensor:
        """The iterate on the whole field, in the scene's units."""
        return torch.from_numpy(self.solver.solution()).to(self.y) * self.unit


class APGD(IterativeSolver):
    """min_x>=0 1/2 ||Ax - y||^2 + lambda ||x||_1 by pyxu's accelerated proximal gradient, for any camera.

        x_(k+1) = prox(z - A*(Az - y) / ||A||^2),     z = x_k + k / (k + 4) (x_k - x_(k-1))

    Chambolle & Dossal, "On the convergence of the iterates of FISTA", J. Optim. Theory Appl. 166, 2015, with
    d = 3 (pyxu's default, 75, starts slowly). The scene is the camera's whole field; the field of view is returned.

    nonnegative: keep x >= 0. l1: lambda in units of the measurement's mean absolute value times ||A||. The
    other arguments are those of IterativeSolver.
    Raises InputError for a negative l1 and, when called, without pyxu.
    """

    def __init__(
        self,
        iterations: int = 100,
        *,
        nonnegative: bool = True,
        l1: float = 0.0,
        tolerance: float | None = None,
        noise_level: float | None = None,
        record_every: int = 0,
        callback: Callable[[int, Tensor], None] | None = None,
        progress: bool = False,
    ):
        super().__init__(
            iterations, tolerance=tolerance, noise_level=noise_level, record_every=record_every,
            callback=callback, progress=progress,
        )
        if not l1 >= 0:
            raise InputError(f"l1: expected a number of at least 0, got {l1}")
        self.nonnegative = nonnegative
        self.l1 = l1

    def start(self, y: Tensor, physics: LinearOperator, init: Tensor | None) -> _Problem:
        pyxu = _import_pyxu()
        camera = physics.whole_field()
        gain, scale = _squared_norms(camera).sqrt().expand(len(y)), data_scale(y)
        linop = _linop(camera, (len(y),), float(gain.max()))
        inverse_gain, target = _array(per_sample(1 / gain, y.ndim)), _array(y / per_sample(scale, y.ndim))
        normalised = pyxu.operator.DiagonalOp(inverse_gain, dim_shape=linop.codim_shape) * linop
        misfit = 0.5 * pyxu.operator.SquaredL2Norm(linop.codim_shape).argshift(-target) * normalised
        penalty = self._penalty(linop.dim_shape)
        with tempfile.TemporaryDirectory() as folder:  # pyxu wants one for logs; m_step writes none
            solver = pyxu.opt.solver.PGD(misfit, penalty, folder=folder, exist_ok=True)
        unit = per_sample(scale / gain, len(linop.dim_shape))
        if init is None:
            x = y.new_zeros(linop.dim_shape)
        else:
            x = pad_centred(init, linop.dim_shape[-2:]) / unit
        solver.m_init(_array(x), tau=1.0, d=3)  # tau: every sample's operator has norm 1
        return _Problem(solver, y, physics, camera, unit, self.l1 * scale * gain)

    def _penalty(self, shape: tuple[int, ...]) -> "pyxu.abc.ProxFunc":
        pyxu = _import_pyxu()
        if not self.nonnegative:
            return self.l1 * pyxu.operator.L1Norm(shape)
        if self.l1 == 0:
            return pyxu.operator.PositiveOrthant(shape)
        return self.l1 * pyxu.operator.PositiveL1Norm(shape)

    def step(self, state: _Problem) -> None:
        state.solver.m_step()

    def estimate(self, state: _Problem) -> Tensor:
        return state.physics.to_field_of_view(state.scene())

    def probe(self, state: _Problem) -> Tensor:
        return torch.from_numpy(state.solver.solution()[..., 0, 0])

    def diagnose(self, state: _Problem) -> tuple[Tensor, Tensor]:
        x = state.scene()
        squared = (state.camera(x) - state.y).square().flatten(1).sum(1)
        return squared / 2 + state.weight * x.abs().flatten(1).sum(1), squared


def _squared_norms(physics: LinearOperator) -> Tensor:
    """||A||^2 with one percent to spare, because a power iteration approaches it from below."""
    return 1.01 * physics.norm_squared()


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


def _import_pyxu():
    """The package with every part that is used here. Raises InputError naming the extra."""
    try:
        import pyxu.abc
        import pyxu.operator.interop
        import pyxu.opt.solver
    except ImportError as error:
        raise InputError("pyxu is not installed; pip install 'lensless-torch[pyxu]'") from error
    return pyxu
