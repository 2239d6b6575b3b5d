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

from collections.abc import Callable, Iterator
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

BLOCK_PIXELS, GROUP_PIXELS = 2**18, 2**21


class Penalties(NamedTuple):
    """mu1 (data split), mu2 (total variation), mu3 (non-negativity), and tau, the weight of total variation.

    Numbers, or tensors that broadcast against (B, C, P, Q); mu2 > 0 wherever total variation is used.
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
    fft, sensor = system.fft, state.hx.shape[-2:]
    first = fft.forward(state.terms, out=scratch.first if scratch else None)
    second = fft.forward(state.data, out=scratch.second if scratch else None)
    for rows in _row_blocks(first, scratch):
        change, on_sensor = _solve_rows(system, first, second, rows, in_place=scratch is not None)
    if scratch:
        change, on_sensor = first, second
    # the next terms will take the place of the last, row by row, as the change has been used
    change = fft.inverse(change, fft.shape, out=state.terms if scratch else None)
    on_sensor = fft.inverse(on_sensor, sensor, out=scratch.sensor_change if scratch else None)
    return advance(state, change, on_sensor, system, penalties, following or penalties, scratch)


def _row_blocks(image: Tensor, scratch: Scratch | None) -> Iterator[slice]:
    """Rows that fit a CPU's cache; all at once on a GPU, and where new tensors are made."""
    height = image.shape[-2]
    block = max(1, BLOCK_PIXELS * height // image.numel()) if scratch and image.device.type == "cpu" else height
    for start in range(0, height, block):
        yield slice(start, min(height, start + block))


def _solve_rows(system: System, terms: Tensor, data: Tensor, rows: slice, *, in_place: bool) -> tuple[Tensor, Tensor]:
    """Some rows of the spectra of x - x_new and of H (x - x_new)."""
    terms, data = terms[..., rows, :], data[..., rows, :]
    first, second = (terms, data) if in_place else (None, None)
    terms = torch.mul(terms, system.inverse[..., rows, :], out=first)
    data = torch.mul(data, system.back[..., rows, :], out=second)
    change = torch.add(terms, data, out=first)
    return change, torch.mul(change, system.spectrum[..., rows, :], out=second)


def advance(
    state: State,
    change: Tensor,
    sensor_change: Tensor,
    system: System,
    now: Penalties,
    following: Penalties,
    scratch: Scratch | None,
) -> State:
    """x - change, and the parts q that follow from it under the following penalties.

    With ``scratch``, ``change`` is the memory of ``state.terms``.
    """
    hx = torch.sub(state.hx, sensor_change, out=state.hx if scratch else None)
    buffer = scratch.sensor if scratch else None
    misfit = torch.mul(torch.sub(hx, system.measurement, out=buffer), following.data, out=buffer)
    misfit = _add_scaled(misfit, sensor_change, -now.data, out=buffer)
    data = torch.add(state.data, misfit, out=state.data if scratch else None)
    data = torch.mul(data, system.valid / (1 + following.data), out=state.data if scratch else None)

    above = None
    if state.rows is not None:
        last = change[..., -1:, :]
        above = _add_scaled(state.x[..., -1:, :] - last, last, -now.variation / following.variation)
    for rows in _row_blocks(state.x, scratch):
        grid = _advance_rows(state, change, rows, above, now, following, in_place=scratch is not None)
        x, vertical, horizontal, positivity, terms, above = grid
        if vertical is not None:
            terms[..., :-1, :].sub_(vertical[..., 1:, :])
            if rows.start:
                state.terms[..., rows.start - 1, :].sub_(vertical[..., 0, :])
    if scratch:
        x, vertical, horizontal, positivity, terms = (state.x, state.rows, state.columns, state.positivity, state.terms)
    if vertical is not None:
        terms[..., -1, :].sub_(vertical[..., 0, :])
    return State(x, hx, data, vertical, horizontal, positivity, terms)


def _advance_rows(
    state: State,
    change: Tensor,
    rows: slice,
    above: Tensor | None,
    now: Penalties,
    following: Penalties,
    *,
    in_place: bool,
) -> tuple[Tensor | None, ...]:
    """:func:`advance` for a block of rows of the grid, all but the part of ``terms`` that needs the row below.

    ``above`` is the row of x_bar above the block; the block's own last row is returned for the next one.
    """

    def into(target: Tensor) -> Tensor | None:
        return target if in_place else None

    grid = (state.x, change, state.rows, state.columns, state.positivity)
    x, change, vertical, horizontal, positivity = (None if v is None else v[..., rows, :] for v in grid)
    x = torch.sub(x, change, out=into(x))
    if positivity is not None:
        positivity = _add_scaled(positivity, x, following.positivity, out=into(positivity))
        positivity = _add_scaled(positivity, change, -now.positivity, out=into(positivity))
        positivity = torch.clamp(positivity, max=0, out=into(positivity))
    if vertical is None:
        removed = torch.zeros_like(x) if positivity is None else positivity
        return x, None, None, positivity, torch.mul(removed, 1, out=into(change)), None
    bar = _add_scaled(x, change, -now.variation / following.variation, out=into(change))
    below = bar[..., -1:, :].clone()
    vertical = _add_scaled(vertical, bar, following.variation, out=into(vertical))
    _accumulate(vertical[..., 1:, :], bar[..., :-1, :], -following.variation)
    _accumulate(vertical[..., :1, :], above, -following.variation)
    vertical = torch.clamp(vertical, -following.tau, following.tau, out=into(vertical))
    horizontal = _add_scaled(horizontal, bar, following.variation, out=into(horizontal))
    _accumulate(horizontal[..., 1:], bar[..., :-1], -following.variation)
    _accumulate(horizontal[..., :1], bar[..., -1:], -following.variation)
    horizontal = torch.clamp(horizontal, -following.tau, following.tau, out=into(horizontal))
    terms = torch.add(vertical, horizontal, out=into(change))
    terms[..., :-1].sub_(horizontal[..., 1:])
    terms[..., -1:].sub_(horizontal[..., :1])
    if positivity is not None:
        terms.add_(positivity)
    return x, vertical, horizontal, positivity, terms, below


def _add_scaled(a: Tensor, b: Tensor, factor: float | Tensor, *, out: Tensor | None = None) -> Tensor:
    """a + factor * b in one pass."""
    if isinstance(factor, Tensor):
        return torch.addcmul(a, b, factor, out=out)
    return torch.add(a, b, alpha=factor, out=out)


def _accumulate(a: Tensor, b: Tensor, factor: float | Tensor) -> None:
    """a += factor * b, which autograd follows."""
    if isinstance(factor, Tensor):
        a.addcmul_(b, factor)
    else:
        a.add_(b, alpha=factor)


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
        self.system = make_system(spectrum, camera.fft, measurement, 1.0 if valid is None else valid, solver.penalties)
        field = camera.whole_field().scene_shape
        if init is None:
            x, hx = y.new_zeros(y.shape[0], *field), torch.zeros_like(y)
        else:
            x = pad_centred(init / per_sample(self.unit, 4), field[1:]).contiguous()
            hx = camera(init) / per_sample(self.scale, 4)
        self.whole = initial_state(x, hx, variation=bool(solver.penalties.tau), positivity=solver.nonnegative)
        if y.device.type == "cpu" and x.numel() > GROUP_PIXELS:
            images = [(sample, channel) for sample in range(y.shape[0]) for channel in range(y.shape[1])]
            self.groups = [(self.whole.image(*i), self.system.image(*i)) for i in images]
        else:
            self.groups = [(self.whole, self.system)]
        self.scratch = Scratch(self.groups[0][0], camera.fft)
        for part, system in self.groups:
            nothing = part.terms, self.scratch.sensor_change.zero_()
            advance(part, *nothing, system, solver.penalties, solver.penalties, self.scratch)


def split_valid(physics: LinearOperator) -> tuple[LenslessConvolution, Tensor | None]:
    """The convolution and the valid-pixel mask (or None) of a camera that ADMM can solve for."""
    camera, valid = (physics.operator, physics.mask) if isinstance(physics, ValidPixels) else (physics, None)
    if not isinstance(camera, LenslessConvolution):
        raise InputError(
            f"physics: ADMM needs a LenslessConvolution (or ValidPixels of one), got {type(camera).__name__}; "
            "use FISTA, which takes any operator"
        )
    return camera, valid
