"""One iteration of ADMM with total variation and non-negativity (Antipa et al., Optica 2018), in place.

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
sensor's rows. Where the penalties change from one iteration to the next, as in unrolled networks, mu x_bar becomes
mu_next x_new - mu (x - x_new). Everything is written in place, on the CPU in blocks of rows that stay in the cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from lensless.physics.fft import COMPLEX, GridFFT
from lensless.recon.prox import differences_spectrum

BLOCK_PIXELS, GROUP_PIXELS = 2**18, 2**21


class Penalties(NamedTuple):
    """mu1 (data split), mu2 (total variation), mu3 (non-negativity), and tau, the weight of total variation.

    mu2 > 0 wherever total variation is used.
    """

    data: float
    variation: float
    positivity: float
    tau: float


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
    """What an iteration does not change: H, conj(H), 1 / M (real), the measurement, the valid pixels (or 1)."""

    fft: GridFFT
    spectrum: Tensor
    conjugate: Tensor
    inverse: Tensor
    measurement: Tensor
    valid: Tensor | float

    def image(self, sample: int, channel: int) -> "System":
        """Views for one image, (1, 1, ...)."""
        return System(self.fft, *(one_image(value, sample, channel) for value in self[1:]))


class Scratch:
    """Buffers for :func:`step` on states like ``state``."""

    def __init__(self, state: State, fft: GridFFT):
        leading = state.x.shape[:2]
        self.first = state.x.new_empty(*leading, *fft.spectrum_shape, dtype=COMPLEX[state.x.dtype])
        self.second = torch.empty_like(self.first)
        self.sensor_change = torch.zeros_like(state.hx)
        self.sensor = torch.empty_like(state.hx)


def one_image(value: Tensor | float, sample: int, channel: int) -> Tensor | float:
    """View (1, 1, ...) of (B or 1, C or 1, ...)."""
    if not isinstance(value, Tensor):
        return value
    return value[sample % len(value)][None, channel % value.shape[1]][None]


def images_apart(x: Tensor) -> list[tuple[int, int]]:
    """(sample, channel) of the images to work on one after the other, so that each stays in a CPU's cache.

    Empty where the batch is better worked on at once: it is small, or on a GPU.
    """
    if x.device.type != "cpu" or x.numel() <= GROUP_PIXELS:
        return []
    return [(sample, channel) for sample in range(x.shape[0]) for channel in range(x.shape[1])]


def invert(spectrum: Tensor, fft: GridFFT, penalties: Penalties) -> Tensor:
    """1 / M = 1 / (mu1 |H|^2 + mu2 |D|^2 + mu3), real, of the shape of H."""
    power = spectrum.real.square() + spectrum.imag.square()
    variation = differences_spectrum(fft.shape, dtype=power.dtype, device=power.device)
    return 1 / (penalties.data * power + penalties.variation * variation + penalties.positivity)


def initial_state(x: Tensor, hx: Tensor, *, variation: bool, positivity: bool) -> State:
    """The state whose :func:`advance` by nothing gives the parts q of the first iteration."""

    def zeros(wanted: bool) -> Tensor | None:
        return torch.zeros_like(x) if wanted else None

    parts = zeros(variation), zeros(variation), zeros(positivity)
    return State(x, hx, torch.zeros_like(hx), *parts, torch.zeros_like(x))


def step(state: State, system: System, now: Penalties, following: Penalties, scratch: Scratch) -> None:
    """One iteration under the penalties ``now``, to a state for the ``following`` ones."""
    solve(system, scratch, terms=state.terms, data=state.data)
    # the next terms take the place of the last, row by row, as the change has been used
    change = system.fft.inverse(scratch.first, system.fft.shape, out=state.terms)
    system.fft.inverse(scratch.second, state.hx.shape[-2:], out=scratch.sensor_change)
    advance(state, change, system, now, following, scratch)


def solve(system: System, scratch: Scratch, *, terms: Tensor | None, data: Tensor | None) -> None:
    """scratch.first = M^-1 (F terms + H* F data) and scratch.second = H times it; None stands for zeros.

    terms lies on the grid, data on the sensor. The matrix is its own adjoint, so this serves backward passes too.
    """
    if terms is not None:
        system.fft.forward(terms, out=scratch.first)
    if data is not None:
        system.fft.forward(data, out=scratch.second)
    for rows in _row_blocks(scratch.first):
        first, second, spectrum, conjugate, inverse = (
            value[..., rows, :]
            for value in (scratch.first, scratch.second, system.spectrum, system.conjugate, system.inverse)
        )
        if terms is None:
            torch.mul(second, conjugate, out=first)
        elif data is not None:
            first.add_(second.mul_(conjugate))
        first.mul_(inverse)
        torch.mul(first, spectrum, out=second)


def _row_blocks(image: Tensor) -> Iterator[slice]:
    """Rows that fit a CPU's cache; all at once on a GPU."""
    height = image.shape[-2]
    block = max(1, BLOCK_PIXELS * height // image.numel()) if image.device.type == "cpu" else height
    for start in range(0, height, block):
        yield slice(start, min(height, start + block))


def advance(
    state: State, change: Tensor, system: System, now: Penalties, following: Penalties, scratch: Scratch
) -> None:
    """x - change, and the parts q that follow from it under the following penalties.

    ``change`` is the memory of ``state.terms``; scratch.sensor_change is H change on the sensor.
    """
    state.hx.sub_(scratch.sensor_change)
    misfit = torch.sub(state.hx, system.measurement, out=scratch.sensor).mul_(following.data)
    misfit.sub_(scratch.sensor_change, alpha=now.data)
    state.data.add_(misfit).mul_(system.valid / (1 + following.data))

    above = None
    if state.rows is not None:
        last = change[..., -1:, :]
        above = (state.x[..., -1:, :] - last).sub_(last, alpha=now.variation / following.variation)
    for rows in _row_blocks(state.x):
        above = _advance_rows(state, change, rows, above, now, following)
    if state.rows is not None:
        state.terms[..., -1, :].sub_(state.rows[..., 0, :])


def _advance_rows(
    state: State, change: Tensor, rows: slice, above: Tensor | None, now: Penalties, following: Penalties
) -> Tensor | None:
    """:func:`advance` for a block of rows of the grid, but for the part of ``terms`` that needs the row below.

    ``above`` is the row of x_bar above the block; the block's own last row is returned for the next one.
    """
    grid = (state.x, change, state.rows, state.columns, state.positivity)
    x, change, vertical, horizontal, positivity = (None if value is None else value[..., rows, :] for value in grid)
    x.sub_(change)
    if positivity is not None:
        positivity.add_(x, alpha=following.positivity).sub_(change, alpha=now.positivity).clamp_(max=0)
    if vertical is None:
        change.zero_() if positivity is None else change.copy_(positivity)
        return None
    weight, tau = following.variation, following.tau
    bar = torch.sub(x, change, alpha=now.variation / weight, out=change)
    below = bar[..., -1:, :].clone()
    vertical.add_(bar, alpha=weight)
    vertical[..., 1:, :].sub_(bar[..., :-1, :], alpha=weight)
    vertical[..., :1, :].sub_(above, alpha=weight)
    vertical.clamp_(-tau, tau)
    horizontal.add_(bar, alpha=weight)
    horizontal[..., 1:].sub_(bar[..., :-1], alpha=weight)
    horizontal[..., :1].sub_(bar[..., -1:], alpha=weight)
    horizontal.clamp_(-tau, tau)
    terms = torch.add(vertical, horizontal, out=change)
    terms[..., :-1].sub_(horizontal[..., 1:])
    terms[..., -1:].sub_(horizontal[..., :1])
    if positivity is not None:
        terms.add_(positivity)
    terms[..., :-1, :].sub_(vertical[..., 1:, :])
    if rows.start:
        state.terms[..., rows.start - 1, :].sub_(vertical[..., 0, :])
    return below
