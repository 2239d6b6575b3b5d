"""A fixed number of ADMM iterations as one differentiable function, with its backward pass written by hand.

Iteration k solves with the penalties p_k and then forms the parts q for p_(k+1); see
:mod:`lensless.recon.admm_iteration`. With c = x - x_new the backward pass of one iteration is

    m1 = valid / (1 + mu1') g_q1,   m2 = g_q2 where nothing was clipped,   m3 = g_q3 where nothing was cut
    g_x <- g_x + mu2' D* m2 + mu3' m3,      g_Hx <- g_Hx + mu1' m1
    a = M^-1 (-(g_x + mu2 D* m2 + mu3 m3) - H* (g_Hx + mu1 m1))
    g_q1 <- m1 + H a,     g_q2 <- m2 + D a,     g_q3 <- m3 + a

with p' the following penalties: again one solve and four real FFTs. What it needs of the forward pass is kept, per
iteration and pixel of the grid 4 bytes for x, 4 for the spectrum of c and 3 for what was clipped, a third or less of
what automatic differentiation keeps, and nothing is computed again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lensless.physics.fft import GridFFT, crop_centred, pad_centred
from lensless.physics.filtering import full_weights
from lensless.recon.admm_iteration import (
    Penalties,
    Scratch,
    State,
    System,
    advance,
    images_apart,
    initial_state,
    invert,
    one_image,
    solve,
)
from lensless.recon.prox import differences_spectrum


def unrolled_admm(
    measurement: Tensor,
    spectrum: Tensor,
    penalties: Tensor,
    *,
    fft: GridFFT,
    size: tuple[int, int],
    valid: Tensor | float = 1.0,
    every: bool = False,
) -> list[Tensor]:
    """[x_K], or x_1 ... x_K where ``every``, from zeros; each is the central ``size`` of the grid, of any sign.

    measurement: y (B, C, h, w). spectrum: H, (B or 1, C, P, Q // 2 + 1). penalties: (K, 4), a row mu1, mu2, mu3, tau
    for every iteration, positive. valid: 1 at the sensor's pixels to believe, else 0. Nothing is scaled.
    Differentiable once in the measurement, the spectrum and the penalties.
    """
    inputs = (measurement, spectrum, penalties)
    tracked = torch.is_grad_enabled() and any(value.requires_grad for value in inputs)
    return list(_Unrolled.apply(*inputs, fft, size, valid, every, tracked))


class _Unrolled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, measurement, spectrum, penalties, fft, size, valid, every, tracked):
        run = _Run(measurement.contiguous(), spectrum, penalties, fft, valid)
        iterations = len(penalties)
        shown = range(iterations) if every else [iterations - 1]
        images = {k: measurement.new_empty(*measurement.shape[:2], *size) for k in shown}
        ctx.run, ctx.shown, ctx.size, ctx.traces = run, shown, size, []
        ctx.set_materialize_grads(False)
        for part in run.parts():
            trace = _Trace(part, iterations, fft) if tracked else None
            _forward(part, run, images, trace)
            ctx.traces.append(trace)
        return tuple(images.values())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *gradients):
        run = ctx.run
        of_images = {
            k: gradient.contiguous() for k, gradient in zip(ctx.shown, gradients, strict=True) if gradient is not None
        }
        total = _Gradients(run, of_spectrum=ctx.needs_input_grad[1])
        with torch.autocast(total.measurement.device.type, enabled=False):
            for part, trace in zip(run.parts(), ctx.traces, strict=True):
                _backward(part, run, of_images, trace, total)
        weights = full_weights(run.fft, dtype=total.penalties.dtype, device=total.penalties.device)
        of_spectrum = None
        if total.spectrum is not None:
            of_spectrum = total.spectrum.mul_(weights / (run.fft.shape[0] * run.fft.shape[1]))
        return total.measurement, of_spectrum, total.penalties, None, None, None, None, None


@dataclass
class _Part:
    """What is worked on at once: one image, or the whole batch (``image`` is None)."""

    image: tuple[int, int] | None
    system: System
    inverses: list[Tensor]
    state: State
    scratch: Scratch

    def of(self, batch: Tensor) -> Tensor:
        """The view of a (B or 1, C, ...) tensor that belongs to this part."""
        return batch if self.image is None else one_image(batch, *self.image)


class _Run:
    """The problem of one call: the camera, the penalties as numbers, and 1 / M for every iteration."""

    def __init__(self, measurement: Tensor, spectrum: Tensor, penalties: Tensor, fft: GridFFT, valid: Tensor | float):
        self.fft = fft
        self.penalties = [Penalties(*row) for row in penalties.tolist()]
        self.inverses = [invert(spectrum, fft, row) for row in self.penalties]
        self.system = System(fft, spectrum, spectrum.conj().resolve_conj(), self.inverses[0], measurement, valid)

    def parts(self) -> Iterator["_Part"]:
        """The images one after the other, or all at once; the state and the buffers are shared."""
        y = self.system.measurement
        grid = y.new_empty(()).expand(*y.shape[:2], *self.fft.shape)
        images = images_apart(grid) or [None]
        state = scratch = None
        for image in images:
            part = _Part(image, self.system if image is None else self.system.image(*image), [], state, scratch)
            part.inverses = [part.of(inverse) for inverse in self.inverses]
            if state is None:
                x = torch.zeros_like(part.of(grid))
                hx = torch.zeros_like(part.system.measurement)
                part.state = state = initial_state(x, hx, variation=True, positivity=True)
                part.scratch = scratch = Scratch(state, self.fft)
            yield part


class _Trace:
    """What the backward pass needs of one part: after iteration k+1 x, Hx and what was clipped; before it q1 and c."""

    def __init__(self, part: _Part, iterations: int, fft: GridFFT):
        x, hx = part.state.x, part.state.hx
        self.x = x.new_zeros(iterations + 1, *x.shape)
        self.hx = hx.new_zeros(iterations, *hx.shape)
        self.data = hx.new_empty(iterations, *hx.shape)
        self.change = part.scratch.first.new_empty(iterations, *part.scratch.first.shape)
        self.rows, self.columns, self.positivity = (
            torch.empty(iterations, *x.shape, dtype=torch.int8, device=x.device) for _ in range(3)
        )

    def add(self, k: int, state: State, tau: float) -> None:
        """Keep the state after iteration k, whose parts q were clipped at ``tau``."""
        self.x[k + 1], self.hx[k + 1], self.data[k + 1] = state.x, state.hx, state.data
        for clipped, part in ((self.rows, state.rows), (self.columns, state.columns)):
            torch.sub((part >= tau).view(torch.int8), (part <= -tau).view(torch.int8), out=clipped[k])
        torch.lt(state.positivity, 0, out=self.positivity[k].view(torch.bool))


def _forward(part: _Part, run: _Run, images: dict[int, Tensor], trace: _Trace | None) -> None:
    state, scratch, fft = part.state, part.scratch, run.fft
    for value in (state.x, state.hx, state.rows, state.columns, state.positivity):
        value.zero_()
    first, last = run.penalties[0], len(run.penalties) - 1
    torch.mul(part.system.measurement, part.system.valid * (-first.data / (1 + first.data)), out=state.data)
    if trace:
        trace.data[0] = state.data
    for k, now in enumerate(run.penalties):
        system = part.system._replace(inverse=part.inverses[k])
        solve(system, scratch, terms=state.terms if k else None, data=state.data)
        if trace:
            trace.change[k] = scratch.first
        change = fft.inverse(scratch.first, fft.shape, out=state.terms)
        if k < last:
            following = run.penalties[k + 1]
            fft.inverse(scratch.second, state.hx.shape[-2:], out=scratch.sensor_change)
            advance(state, change, system, now, following, scratch)
            if trace:
                trace.add(k, state, following.tau)
        else:
            state.x.sub_(change)
            if trace:
                trace.x[k + 1] = state.x
        if k in images:
            part.of(images[k]).copy_(crop_centred(state.x, images[k].shape[-2:]))


class _Gradients:
    """What the backward passes of all parts add up to."""

    def __init__(self, run: _Run, *, of_spectrum: bool):
        system = run.system
        self.measurement = torch.zeros_like(system.measurement)
        self.penalties = system.measurement.new_zeros(len(run.penalties), 4)
        self.spectrum = torch.zeros_like(system.spectrum) if of_spectrum else None


def _backward(part: _Part, run: _Run, of_images: dict[int, Tensor], trace: _Trace, total: _Gradients) -> None:
    """Add the gradients of one part; the state's buffers hold the cotangents of the state."""
    state, scratch, fft, valid = part.state, part.scratch, run.fft, part.system.valid
    gx, ghx, g1, rows, columns, g3 = state.x, state.hx, state.data, state.rows, state.columns, state.positivity
    for value in (gx, ghx, g1, rows, columns, g3):
        value.zero_()
    y, of_y = part.system.measurement, part.of(total.measurement)
    maps = _penalty_maps(part, fft)
    sums = total.penalties
    for k in reversed(range(len(run.penalties))):
        now, last = run.penalties[k], k == len(run.penalties) - 1
        if k in of_images:
            gx.add_(pad_centred(part.of(of_images[k]), fft.shape))
        pull, on_sensor = state.terms, None
        if last:
            torch.neg(gx, out=pull)
        else:
            following = run.penalties[k + 1]
            on_sensor = scratch.sensor_change
            g1.mul_(valid / (1 + following.data))
            misfit = torch.sub(trace.hx[k + 1], y, out=scratch.sensor).sub_(trace.data[k + 1])
            sums[k + 1, 0] += _dot(g1, misfit)
            sums[k, 0] += _dot(g1, trace.hx[k + 1]) - _dot(g1, trace.hx[k])
            ghx.add_(g1, alpha=following.data)
            of_y.sub_(g1, alpha=following.data)
            torch.add(ghx, g1, alpha=now.data, out=on_sensor).neg_()

            g3.mul_(trace.positivity[k])
            sums[k + 1, 3] += _unclip(rows, trace.rows[k], pull) + _unclip(columns, trace.columns[k], pull)
            _adjoint_differences(rows, columns, out=pull)
            for split, removed in ((1, pull), (2, g3)):
                along_new, along_old = _dot(removed, trace.x[k + 1]), _dot(removed, trace.x[k])
                sums[k + 1, split] += along_new
                sums[k, split] += along_new - along_old
            gx.add_(pull, alpha=following.variation).add_(g3, alpha=following.positivity)
            pull.mul_(now.variation).add_(g3, alpha=now.positivity).add_(gx).neg_()
        solve(part.system._replace(inverse=part.inverses[k]), scratch, terms=pull, data=on_sensor)
        sums[k, :3] -= _products(scratch.first, trace.change[k], maps)
        if total.spectrum is not None:
            _add_of_spectrum(part, run, on_sensor, trace, k, part.of(total.spectrum))
        fft.inverse(scratch.second, y.shape[-2:], out=scratch.sensor)
        g1.add_(scratch.sensor)
        if k:
            change = fft.inverse(scratch.first, fft.shape, out=pull)
            g3.add_(change)
            _add_differences(change, rows, columns)
    first = run.penalties[0].data
    torch.mul(g1, valid * (-1 / (1 + first)), out=scratch.sensor)
    of_y.add_(scratch.sensor, alpha=first)
    sums[0, 0] += _dot(scratch.sensor, y) / (1 + first)


def _unclip(gradient: Tensor, clipped: Tensor, buffer: Tensor) -> Tensor:
    """Zero the gradient where q was clipped; returns the sum of what is lost, with the sign of the clipped value."""
    torch.mul(gradient, clipped, out=buffer)
    lost = buffer.sum()
    gradient.sub_(buffer.mul_(clipped))
    return lost


def _adjoint_differences(rows: Tensor, columns: Tensor, *, out: Tensor) -> None:
    """out = D* (rows, columns), periodic."""
    torch.add(rows, columns, out=out)
    out[..., :-1, :].sub_(rows[..., 1:, :])
    out[..., -1:, :].sub_(rows[..., :1, :])
    out[..., :-1].sub_(columns[..., 1:])
    out[..., -1:].sub_(columns[..., :1])


def _add_differences(x: Tensor, rows: Tensor, columns: Tensor) -> None:
    """(rows, columns) += D x, periodic."""
    rows.add_(x)
    rows[..., 1:, :].sub_(x[..., :-1, :])
    rows[..., :1, :].sub_(x[..., -1:, :])
    columns.add_(x)
    columns[..., 1:].sub_(x[..., :-1])
    columns[..., :1].sub_(x[..., -1:])


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a.flatten(), b.flatten())


def _penalty_maps(part: _Part, fft: GridFFT) -> Tensor:
    """|H|^2, |D|^2 and 1 as weights of a scalar product of spectra, (3, B, C, P, Q // 2 + 1): what M is made of."""
    spectrum = part.system.spectrum
    power = spectrum.real.square() + spectrum.imag.square()
    variation = differences_spectrum(fft.shape, dtype=power.dtype, device=power.device).expand_as(power)
    weights = full_weights(fft, dtype=power.dtype, device=power.device) / (fft.shape[0] * fft.shape[1])
    maps = torch.stack([power, variation, torch.ones_like(power)]).mul_(weights)
    return maps.expand(3, *part.scratch.first.shape)


def _products(a: Tensor, b: Tensor, maps: Tensor) -> Tensor:
    """sum maps Re(conj(a) b), a number for each map."""
    product = torch.linalg.vecdot(torch.view_as_real(a), torch.view_as_real(b))
    return maps.reshape(3, -1) @ product.flatten()


def _add_of_spectrum(
    part: _Part, run: _Run, on_sensor: Tensor | None, trace: _Trace, k: int, total: Tensor
) -> None:
    """total += F s . conj(c) + conj(a) . F q1 - 2 mu1 Re(conj(a) c) H, with s (on_sensor) the cotangent of H c.

    These come from H, from H* and from M^-1 in iteration k.
    """
    a, c = part.scratch.first, trace.change[k]
    term = a.conj() * run.fft.forward(trace.data[k])
    if on_sensor is not None:
        term += run.fft.forward(on_sensor) * c.conj()
    term -= (2 * run.penalties[k].data) * (a.conj() * c).real * part.system.spectrum
    total += term.sum_to_size(total.shape)
