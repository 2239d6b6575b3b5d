"""Wiener / Tikhonov deconvolution: one division a frequency."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import centred_slice
from lensless.physics.filtering import filter_images
from lensless.physics.operator import LinearOperator
from lensless.recon.base import Reconstructor, check_measurement, per_sample
from lensless.recon.inverse_filter import inverse_filter, power

CANDIDATES = torch.logspace(-7, 0, 57, dtype=torch.float64).tolist()


class Wiener(Reconstructor):
    """X = conj(H) Y / (|H|^2 + k max|H|^2): the minimiser of ||h * x - y||^2 + k max|H|^2 ||x||^2.

    k: noise-to-signal ratio relative to the largest |H|^2, a positive number; None chooses it for every sample
    without ground truth by generalised cross-validation, :func:`cross_validate`. Y is the spectrum of the
    measurement extended to the camera's periodic grid by :func:`fade_to_grid`.
    Raises InputError for k <= 0 and for an operator that is not a LenslessConvolution.
    """

    def __init__(self, k: float | None = 3e-3):
        if k is not None and not k > 0:
            raise InputError(f"k: expected a positive number, or None for cross-validation, got {k}")
        self.k = k

    def __call__(self, y: Tensor, physics: LinearOperator) -> Tensor:
        if not isinstance(physics, LenslessConvolution):
            raise InputError(
                f"physics: Wiener needs a LenslessConvolution, got {type(physics).__name__}; use FISTA or ADMM"
            )
        check_measurement(y, physics)
        fft, squared = physics.fft, power(physics.spectrum)
        extended = fade_to_grid(y, fft.shape)
        largest = squared.flatten(1).amax(1)
        k = self.k * largest if self.k else cross_validate(fft.forward(extended), squared, largest)
        inverse = inverse_filter(physics.spectrum, per_sample(k, 4))
        return filter_images(extended, inverse, fft, physics.scene_shape[1:])


def fade_to_grid(y: Tensor, shape: tuple[int, int]) -> Tensor:
    """Extend (B, C, h, w) to the grid by its border pixels, faded out by sin^2 towards the grid's edge.

    A measurement cut off sharply at the sensor's border is no periodic convolution; the step would ring through the
    whole picture (Reeves, IEEE TIP 2005, compares such extensions).
    """
    rows, columns = centred_slice(shape[0], y.shape[-2]), centred_slice(shape[1], y.shape[-1])
    margins = (columns.start, shape[1] - columns.stop, rows.start, shape[0] - rows.stop)
    fade = [_fade(n, kept).to(y) for n, kept in zip(shape, (rows, columns), strict=True)]
    return F.pad(y, margins, mode="replicate") * fade[0][:, None] * fade[1]


def _fade(n: int, kept: slice) -> Tensor:
    """1 on ``kept``, falling to 0 one sample beyond both ends of a line of ``n``."""
    i = torch.arange(n, dtype=torch.float64)
    rising = (i + 1) / (kept.start + 1)
    falling = (n - i) / (n - kept.stop + 1)
    return torch.sin(torch.pi / 2 * torch.minimum(rising, falling).clamp(max=1)).square()


@torch.no_grad()
def cross_validate(data: Tensor, power: Tensor, largest: Tensor) -> Tensor:
    """The k of each sample that minimises  V(k) = sum |r Y|^2 / (sum r)^2  with  r = k / (|H|^2 + k).

    Golub, Heath & Wahba, Technometrics 1979; sums run over all channels and the whole spectrum, of which ``data``
    Y and ``power`` |H|^2 hold the half; candidates lie between 1e-7 and 1 times ``largest``, eight a decade.
    """
    twice = torch.full((power.shape[-1],), 2.0, dtype=power.dtype, device=power.device)
    twice[0] = twice[-1] = 1
    energy = (data.real.square() + data.imag.square()) * twice
    best = torch.full(data.shape[:1], torch.inf, dtype=power.dtype, device=power.device)
    chosen = torch.zeros_like(best)
    for candidate in CANDIDATES:
        k = candidate * largest
        r = 1 / (power / per_sample(k, 4) + 1)
        score = (r.square() * energy).flatten(1).sum(1) / (r * twice).flatten(1).sum(1).square()
        better = score < best
        best = torch.where(better, score, best)
        chosen = torch.where(better, k.expand_as(chosen), chosen)
    return chosen
