"""A PSF improved by ordinary measurements, without a point source, and whether it really is better.

What makes the comparison of two PSFs fair (figures of `examples/psf_refinement.py`):

- The error is that of pixels which the scene was not made from. ||A x - y|| on all pixels is smallest for a PSF of one
  point, whose x is y itself and which is worth nothing; of the pixels left out that PSF predicts none. They are left
  out in blocks, for single pixels are predicted by their neighbours, whatever the PSF.
- The measurements had no part in the improvement, nor in the choice of when to stop it.
- Both PSFs have the same budget of iterations, and each stops at the number that suits it best: a blurred or hazy PSF
  would otherwise win where the budget is too large, because it resists noise.
- Even the true PSF can be "improved" a little, by fitting it to the bias of the reconstruction: by 0.6 and 2.9 %, and
  reconstructions get worse by it. So the error has to fall by 4 %, and in three of four measurements.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lensless.errors import require
from lensless.physics.convolution import LenslessConvolution, check_psf
from lensless.physics.random import sample_generator

# Blocks of pixels that are left out: their number along the shorter side, and the share that is left out.
BLOCKS, LEFT_OUT = 6, 0.2
# Iterations that a PSF may choose from in the comparison, and how often it may stop.
BUDGET, EVERY = 80, 10
# What is asked of a better PSF: relative fall of the error, and the share of measurements in which it falls.
LEAST_GAIN, LEAST_SHARE = 0.04, 0.75
# Of four measurements in a row, two improve the PSF, one chooses when to stop, and one judges: four judges at least.
FEWEST = 16


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """What became of a PSF.

    psf: (C, h, w), the improved one if accepted, else the old one. candidate: the improved one in any case. before,
    after: (K,) errors of both on the K measurements that judge. step: after how many steps it was best. history: the
    error on the measurements that choose, every ten steps from 0 on.
    """

    psf: Tensor
    candidate: Tensor
    accepted: bool
    before: Tensor
    after: Tensor
    step: int
    history: list[float]

    @property
    def gain(self) -> float:
        """Relative fall of the mean error."""
        return 1 - float(self.after.mean() / self.before.mean())


def refine_psf(
    psf: Tensor,
    measurements: Tensor,
    *,
    scenes: Tensor | None = None,
    steps: int = 60,
    batch: int = 8,
    iterations: int = 30,
    rate: float = 0.03,
    pull: float = 0.01,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Refinement:
    """Alternately reconstruct with the present PSF, and move it down the gradient of

        |m (A_p x - y)|^2 / |m y|^2 + pull |p - p_0|^2 / |p_0|^2,     p >= 0, one factor making the mean of its sums 1

    with m the pixels of y that are left out, new ones at every step, and x = x(p) some iterations of FISTA for
    |(1 - m) (A_p x - y)|^2, x >= 0, through which the gradient goes as well. Where ``scenes`` are known, x is the
    scene times the gain of each channel that explains y best, and no pixel is left out. Adam (Kingma & Ba 2015) with
    steps of ``rate`` times the PSF's mean.

    psf: (C, h, w), the start p_0. measurements: (N, C, h, w), at least 16 of different scenes, without background.
    scenes: (N, C, H, W), any size that holds what the sensor sees. pull: how much a relative change of the PSF costs.
    progress: called every ten steps with their number and the error. Raises InputError on other shapes or fewer
    measurements.
    """
    check_psf(psf, 3, "(C, h, w)")
    count = len(measurements)
    require(count >= FEWEST, f"measurements: expected at least {FEWEST} to improve, choose and judge by, got {count}")
    expected = tuple(psf.shape)
    require(
        tuple(measurements.shape[1:]) == expected,
        f"measurements: expected (N, {', '.join(map(str, expected))}) like the PSF, got {tuple(measurements.shape)}",
    )
    train, choose, judge = ([k for k in range(count) if k % 4 in part] for part in ((0, 1), (2,), (3,)))
    start = _normalised(psf.detach())
    change = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=rate * float(start.mean()))
    generator = sample_generator(seed, 0)
    best = (float(predictive_errors(start, measurements[choose], seed=seed).mean()), 0, start)
    history = [best[0]]
    for step in range(1, steps + 1):
        chosen = torch.randperm(len(train), generator=generator)[:batch].tolist()
        present = _normalised((start + change).clamp_min(0))
        leaf = present.detach().requires_grad_()
        length = _step_length(leaf)
        for k in (train[place] for place in chosen):
            y = measurements[k : k + 1]
            if scenes is None:
                out = left_out(y.shape[-2:], seed=seed, index=step * count + k)
                misfit = _misfit(leaf, y, out, iterations, length)
            else:
                misfit = _paired_misfit(leaf, y, scenes[k : k + 1])
            (misfit / len(chosen)).backward()  # one at a time: the memory of one
        cost = pull * (present - start).square().sum() / start.square().sum()
        optimiser.zero_grad()
        ((present * leaf.grad).sum() + cost).backward()
        optimiser.step()
        if step % EVERY == 0 or step == steps:
            with torch.no_grad():
                candidate = _normalised((start + change).clamp_min(0))
            error = float(predictive_errors(candidate, measurements[choose], seed=seed).mean())
            history.append(error)
            best = min(best, (error, step, candidate), key=lambda entry: entry[0])
            if progress is not None:
                progress(step, error)
    _, step, candidate = best
    before, after = (predictive_errors(one, measurements[judge], seed=seed + 1) for one in (start, candidate))
    fell = float((after < before).float().mean())
    accepted = step > 0 and float(after.mean()) <= (1 - LEAST_GAIN) * float(before.mean()) and fell >= LEAST_SHARE
    return Refinement(
        psf=candidate if accepted else start,
        candidate=candidate,
        accepted=accepted,
        before=before,
        after=after,
        step=step,
        history=history,
    )


@torch.no_grad()
def predictive_errors(psf: Tensor, measurements: Tensor, *, seed: int) -> Tensor:
    """|m (A x - y)| / |m y| of every measurement (N,), x made from the pixels outside m, at its best iteration.

    psf: (C, h, w). measurements: (N, C, h, w). seed: of the blocks m that are left out, each measurement its own.
    """
    camera, length = LenslessConvolution(psf).whole_field(), _step_length(psf)
    errors = []
    for index, y in enumerate(measurements):
        y = y[None]
        out = left_out(y.shape[-2:], seed=seed, index=index)
        path = _fista(camera, y * ~out, (~out).to(y), BUDGET, length)
        kept = [x for k, x in enumerate(path, 1) if k % EVERY == 0]
        errors.append(min(float(((camera(x) - y) * out).norm()) for x in kept) / float((y * out).norm()))
    return torch.tensor(errors)


def left_out(shape: Sequence[int], *, seed: int, index: int) -> Tensor:
    """A fifth of the blocks of pixels at random, bool (h, w): a function of (seed, index)."""
    side = max(min(shape) // BLOCKS, 1)
    rows, columns = (-(-n // side) for n in shape)
    order = torch.randperm(rows * columns, generator=sample_generator(seed, index))
    blocks = (order < max(round(LEFT_OUT * rows * columns), 1)).reshape(rows, columns)
    return blocks.repeat_interleave(side, 0).repeat_interleave(side, 1)[: shape[0], : shape[1]]


def _misfit(psf: Tensor, y: Tensor, out: Tensor, iterations: int, length: float) -> Tensor:
    camera = LenslessConvolution(psf).whole_field()
    *_, x = _fista(camera, y * ~out, (~out).to(y), iterations, length)
    return ((camera(x) - y) * out).square().sum() / (y * out).square().sum()


def _paired_misfit(psf: Tensor, y: Tensor, scene: Tensor) -> Tensor:
    seen = LenslessConvolution(psf, scene_shape=tuple(scene.shape[-2:]))(scene)
    gain = ((seen * y).sum((-2, -1)) / seen.square().sum((-2, -1))).detach()[..., None, None]
    return (gain * seen - y).square().sum() / y.square().sum()


def _fista(
    camera: LenslessConvolution, y: Tensor, believed: Tensor, iterations: int, length: float
) -> Iterator[Tensor]:
    """The iterates of FISTA for |believed (A x - y)|^2, x >= 0 (Beck & Teboulle 2009), differentiable in the camera."""
    x = z = y.new_zeros(len(y), *camera.scene_shape)
    t = 1.0
    for _ in range(iterations):
        new = (z - length * camera.adjoint(believed * (camera(z) - y))).clamp_min(0)
        t_new = (1 + (1 + 4 * t**2) ** 0.5) / 2
        x, z, t = new, new + (t - 1) / t_new * (new - x), t_new
        yield x


@torch.no_grad()
def _step_length(psf: Tensor) -> float:
    """1 / ||A||^2, one percent to spare."""
    return 1 / (1.01 * float(LenslessConvolution(psf).whole_field().norm_squared()))


def _normalised(psf: Tensor) -> Tensor:
    return psf / psf.sum((-2, -1)).mean()
