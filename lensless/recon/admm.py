"""ADMM with total variation and non-negativity for the shift-invariant camera (Antipa et al., Optica 2018).

The problem, on the whole periodic grid of the convolution, with C the crop to the sensor and D the differences:

    min_x>=0  1/2 ||C H x - y||^2 + tau ||D x||_1

is split with v = Hx (mu1), u = Dx (mu2) and w = x (mu3). One iteration of the textbook form minimises over u, v and
w, then over x, then takes a dual step of length mu for every split. Written with the part that each prox removes,
q = mu (a - prox(a)) (Moreau's decomposition), the very same iterates need much less memory and arithmetic:

    x_new  = x - M^-1 (H* q1 + D* q2 + q3),       M = mu1 H*H + mu2 D*D + mu3, diagonal in the Fourier domain
    q1    <- (q1 + mu1 (H x_bar - y)) / (1 + mu1) on the sensor, 0 elsewhere     with x_bar = 2 x_new - x
    q2    <- clip(q2 + mu2 D x_bar, -tau, tau)
    q3    <- min(q3 + mu3 x_bar, 0)

x and Hx come from one spectrum, q1 lives on the sensor alone, and four real FFTs remain, two of which see only the
sensor's rows. :func:`step` is that iteration and nothing else; without ``scratch`` it is a pure, differentiable
function, with ``scratch`` it works in place and in blocks of rows that stay in the cache.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import COMPLEX, GridFFT, pad_centred
from lensless.physics.operator import LinearOperator
from lensless.physics.valid_pixels import ValidPixels
from lensless.recon.base import IterativeSolver, data_scale, per_sample
from lensless.recon.prox import TotalVariation, differences_spectrum

BLOCK_PIXELS = 2**18


class Penalties(NamedTuple):
    """mu1 (data split), mu2 (total variation), mu3 (non-negativity), and tau, the weight of total variation.

    Numbers, or tensors that broadcast against (B, C, P, Q).
    """

    data: float | Tensor
    variation: float | Tensor
    positivity: float | Tensor
    tau: float | Tensor


@dataclass
class State:
    """The iterate x on the grid, Hx on the sensor, the removed parts q1 (sensor), q2 and q3 (grid), and their sum.

    ``terms`` is D* q2 + q3, what the next x needs of the grid. A part that is not used is None.
    """

    x: Tensor
    hx: Tensor
    data: Tensor
    rows: Tensor | None
    columns: Tensor | None
    positivity: Tensor | None
    terms: Tensor

    def image(self, sample: int, channel: int) -> "State":
        """Views of one image, (1, 1, ...)."""
        values = (getattr(self, f.name) for f in fields(self))
        return State(*(None if value is None else one_image(value, sample, channel) for value in values))


class System(NamedTuple):
    """What stays the same: H, 1 / M (real), H* / M, the measurement, and the sensor's valid pixels (or 1)."""

    fft: GridFFT
    spectrum: Tensor
    inverse: Tensor
    back: Tensor
    measurement: Tensor
    valid: Tensor | float

    def image(self, sample: int, channel: int) -> "System":
        """Views for one image, (1, 1, ...)."""
        return System(self.fft, *(one_image(value, sample, channel) for value in self[1:]))


def one_image(value: Tensor | float, sample: int, channel: int) -> Tensor | float:
    """View (1, 1, ...) of (B or 1, C or 1, ...)."""
    if not isinstance(value, Tensor):
        return value
    return value[sample % len(value)][None, channel % value.shape[1]][None]


class Scratch:
    """Buffers for :func:`step` in place, for states like ``state``."""

    def __init__(self, state: State, fft: GridFFT):
        leading = state.x.shape[:2]
        self.first = state.x.new_empty(*leading, *fft.spectrum_shape, dtype=COMPLEX[state.x.dtype])
        self.second = torch.empty_like(self.first)
        self.change = torch.zeros_like(state.x)
        self.sensor_change = torch.zeros_like(state.hx)
        self.sensor = torch.empty_like(state.hx)


def make_system(
    spectrum: Tensor, fft: GridFFT, measurement: Tensor, valid: Tensor | float, penalties: Penalties
) -> System:
    """Invert M once: 1 / (mu1 |H|^2 + mu2 |D|^2 + mu3)."""
    power = spectrum.real.square() + spectrum.imag.square()
    variation = differences_spectrum(fft.shape, dtype=power.dtype, device=power.device)
    inverse = 1 / (penalties.data * power + penalties.variation * variation + penalties.positivity)
    return System(fft, spectrum, inverse, spectrum.conj() * inverse, measurement, valid)


def step(
    state: State,
    system: System,
    penalties: Penalties,
    following: Penalties | None = None,
    *,
    scratch: Scratch | None = None,
) -> State:
    """One iteration. ``following`` are the next iteration's penalties where they change (unrolled networks)."""
    fft = system.fft
    first, second, change, sensor_change = (
        (scratch.first, scratch.second, scratch.change, scratch.sensor_change) if scratch else (None,) * 4
    )
    terms = torch.mul(fft.forward(state.terms, out=first), system.inverse, out=first)
    data = torch.mul(fft.forward(state.data, out=second), system.back, out=second)
    spectrum = torch.add(terms, data, out=first)
    sensor_spectrum = torch.mul(spectrum, system.spectrum, out=second)
    change = fft.inverse(spectrum, fft.shape, out=change)
    sensor_change = fft.inverse(sensor_spectrum, state.hx.shape[-2:], out=sensor_change)
    return advance(state, change, sensor_change, system, penalties, following or penalties, scratch)


def advance(
    state: State,
    change: Tensor,
    sensor_change: Tensor,
    system: System,
    now: Penalties,
    following: Penalties,
    scratch: Scratch | None,
) -> State:
    """x - change, and the parts q that follow from it, in measures of the following penalties."""
    hx = torch.sub(state.hx, sensor_change, out=state.hx if scratch else None)
    buffer = scratch.sensor if scratch else None
    misfit = torch.mul(torch.sub(hx, system.measurement, out=buffer), following.data, out=buffer)
    misfit = _add_scaled(misfit, sensor_change, -now.data, out=buffer)
    data = torch.add(state.data, misfit, out=state.data if scratch else None)
    data = torch.mul(data, system.valid / (1 + following.data), out=state.data if scratch else None)

    height, width = state.x.shape[-2:]
    rows_per_block = max(1, BLOCK_PIXELS // width) if scratch and state.x.device.type == "cpu" else height
    above = None
    if state.rows is not None:
        last = state.x[..., -1:, :] - change[..., -1:, :]
        above = following.variation * last - now.variation * change[..., -1:, :]
    for start in range(0, height, rows_per_block):
        block = slice(start, min(height, start + rows_per_block))
        done, above = _advance_rows(
            _block(state, block), change[..., block, :], above, now, following, in_place=scratch is not None
        )
        if state.rows is not None and start:
            state.terms[..., start - 1 : block.stop - 1, :].sub_(done.rows)
        elif state.rows is not None:
            done.terms[..., : block.stop - 1, :].sub_(done.rows[..., 1:, :])
    result = state if scratch else done
    if result.rows is not None:
        result.terms[..., -1:, :].sub_(result.rows[..., :1, :])
    result.hx, result.data = hx, data
    return result


def _block(state: State, rows: slice) -> State:
    grid = {name: getattr(state, name) for name in ("x", "rows", "columns", "positivity", "terms")}
    return State(
        hx=state.hx,
        data=state.data,
        **{name: None if value is None else value[..., rows, :] for name, value in grid.items()},
    )


def _advance_rows(
    state: State,
    change: Tensor,
    above: Tensor | None,
    now: Penalties,
    following: Penalties,
    *,
    in_place: bool,
) -> tuple[State, Tensor | None]:
    """:func:`advance` for a block of rows, all but the part of ``terms`` that needs the row below.

    ``above`` is the row above the block of mu2 x_bar; the block's own last row is returned for the next one.
    """

    def into(target: Tensor | None) -> Tensor | None:
        return target if in_place else None

    x = torch.sub(state.x, change, out=into(state.x))
    rows = columns = positivity = last = None
    terms = state.terms if in_place else torch.zeros_like(x)
    if state.positivity is not None:
        positivity = _add_scaled(state.positivity, x, following.positivity, out=into(state.positivity))
        positivity = _add_scaled(positivity, change, -now.positivity, out=into(positivity))
        positivity = torch.clamp(positivity, max=0, out=into(positivity))
    if state.rows is not None:
        bar = torch.mul(change, -now.variation, out=into(change))
        bar = _add_scaled(bar, x, following.variation, out=into(bar))
        last = bar[..., -1:, :]
        rows = torch.add(state.rows, bar, out=into(state.rows))
        rows[..., 1:, :].sub_(bar[..., :-1, :])
        rows[..., :1, :].sub_(above)
        rows = torch.clamp(rows, -following.tau, following.tau, out=into(rows))
        columns = torch.add(state.columns, bar, out=into(state.columns))
        columns[..., 1:].sub_(bar[..., :-1])
        columns[..., :1].sub_(bar[..., -1:])
        columns = torch.clamp(columns, -following.tau, following.tau, out=into(columns))
        terms = torch.add(rows, columns, out=into(terms))
        terms[..., :-1].sub_(columns[..., 1:])
        terms[..., -1:].sub_(columns[..., :1])
        if positivity is not None:
            terms = torch.add(terms, positivity, out=into(terms))
    elif positivity is not None:
        terms = positivity.clone() if not in_place else terms.copy_(positivity)
    return State(x, state.hx, state.data, rows, columns, positivity, terms), last


def _add_scaled(a: Tensor, b: Tensor, factor: float | Tensor, *, out: Tensor | None) -> Tensor:
    """a + factor * b in one pass."""
    if isinstance(factor, Tensor):
        return torch.addcmul(a, b, factor, out=out)
    return torch.add(a, b, alpha=factor, out=out)


def initial_state(x: Tensor, hx: Tensor, *, variation: bool, positivity: bool) -> State:
    """The state whose next :func:`advance` by nothing gives the parts q of the first iteration."""

    def zeros(wanted: bool) -> Tensor | None:
        return torch.zeros_like(x) if wanted else None

    parts = zeros(variation), zeros(variation), zeros(positivity)
    return State(x, hx, torch.zeros_like(hx), *parts, torch.zeros_like(x))


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
        tau: float = 2e-4,
        nonnegative: bool = True,
        mu1: float = 0.03,
        mu2: float = 0.01,
        mu3: float = 0.001,
        tolerance: float | None = None,
        noise_level: float | None = None,
        record_every: int = 0,
        callback=None,
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
        self.nonnegative = nonnegative
        self.penalties = Penalties(mu1, mu2 if tau else 0.0, mu3, tau)

    def start(self, y: Tensor, physics: LinearOperator, init: Tensor | None) -> "_Problem":
        return _Problem(self, y, *split_valid(physics), init)

    def step(self, state: "_Problem") -> None:
        for part, system in state.groups:
            step(part, system, self.penalties, scratch=state.scratch)

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
            objective = objective + self.penalties.tau * TotalVariation(self.penalties.tau).value(
                state.whole.x
            )
        return objective * state.scale**2, squared * state.scale**2


class _Problem:
    """The scaled problem of one call, and the groups of images that share the scratch buffers."""

    def __init__(
        self, solver: ADMM, y: Tensor, camera: LenslessConvolution, valid: Tensor | None, init: Tensor | None
    ):
        self.camera = camera
        self.scale = data_scale(y)
        gain = camera.spectrum.abs().flatten(1).amax(1)
        self.unit = self.scale / gain
        spectrum = camera.spectrum / per_sample(gain, 4)
        measurement = y / per_sample(self.scale, 4)
        if valid is not None:
            measurement = measurement * valid
        self.system = make_system(
            spectrum, camera.fft, measurement, 1.0 if valid is None else valid, solver.penalties
        )
        if init is None:
            x, hx = y.new_zeros(*y.shape[:2], *camera.fft.shape), torch.zeros_like(y)
        else:
            x = pad_centred(init / per_sample(self.unit, 4), camera.fft.shape).contiguous()
            hx = camera(init) / per_sample(self.scale, 4)
        self.whole = initial_state(x, hx, variation=bool(solver.penalties.tau), positivity=solver.nonnegative)
        if y.device.type == "cpu" and x.numel() > BLOCK_PIXELS:
            images = [(sample, channel) for sample in range(y.shape[0]) for channel in range(y.shape[1])]
            self.groups = [(self.whole.image(*i), self.system.image(*i)) for i in images]
        else:
            self.groups = [(self.whole, self.system)]
        self.scratch = Scratch(self.groups[0][0], camera.fft)
        for part, system in self.groups:
            self.scratch.change.zero_()
            change = self.scratch.change, self.scratch.sensor_change
            advance(part, *change, system, solver.penalties, solver.penalties, self.scratch)


def split_valid(physics: LinearOperator) -> tuple[LenslessConvolution, Tensor | None]:
    """The convolution and the valid-pixel mask (or None) of a camera that ADMM can solve for."""
    camera, valid = (physics.operator, physics.mask) if isinstance(physics, ValidPixels) else (physics, None)
    if not isinstance(camera, LenslessConvolution):
        raise InputError(
            f"physics: ADMM needs a LenslessConvolution (or ValidPixels of one), got {type(camera).__name__}; "
            "use FISTA, which takes any operator"
        )
    return camera, valid
