"""How good a camera a PSF makes: numbers and curves of one PSF (h, w), to compare masks by.

Every function raises InputError on a PSF that is not finite, floating point and lit somewhere.
"""

import math

import torch
from scipy.signal import fftconvolve
from torch import Tensor

from lensless.physics.convolution import check_psf, psf_spectrum
from lensless.physics.fft import GridFFT, fast_shape
from lensless.physics.propagation import Grid


def autocorrelation(psf: Tensor) -> Tensor:
    """R(s) = sum_r p(r) p(r + s) / sum_r p(r)^2 at every shift, (2 h - 1, 2 w - 1) with R(0) = 1 in the middle."""
    check_psf(psf[None], 3, "(h, w)")
    values = psf.detach().double().cpu().numpy()
    values = values / values.max()
    correlation = torch.from_numpy(fftconvolve(values, values[::-1, ::-1]))
    return correlation / correlation[psf.shape[0] - 1, psf.shape[1] - 1]


def peak_to_sidelobe(psf: Tensor) -> float:
    """1 / max_(|s| >= s_0) R(s): how clearly the autocorrelation's peak stands out, infinite without sidelobes.

    s_0 is the edge of the main lobe: where the maximum of R over the ring |s| = k pixels stops falling with k.
    """
    correlation = autocorrelation(psf)
    y, x = Grid(tuple(correlation.shape), (1.0, 1.0)).coordinates()
    ring = torch.hypot(y, x).round().long().flatten()
    highest = torch.zeros(int(ring.max()) + 1, dtype=torch.float64)
    highest.scatter_reduce_(0, ring, correlation.flatten(), "amax")
    rises = (highest.diff() >= -1e-12).nonzero()
    if not len(rises):
        return math.inf
    sidelobe = float(highest[int(rises[0]) :].max())
    return 1 / sidelobe if sidelobe > 1e-12 else math.inf


def mtf(psf: Tensor, pitch: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Frequency f and modulation transfer |P(f)| / P(0), averaged over rings of f up to the lower Nyquist frequency.

    pitch: (dy, dx) of the PSF's pixels, metres. Returns f in cycles per metre and the MTF, both (K,): the rings are
    one over the PSF's shorter side wide.
    """
    fft, magnitude, count = _singular_values(psf)
    y, x = Grid(fft.shape, pitch).frequencies(psf.device)
    frequency = torch.hypot(y, x[:, : magnitude.shape[1]])
    width = 1 / min(n * p for n, p in zip(psf.shape, pitch, strict=True))
    ring = (frequency / width).round().long().flatten()
    rings = int(0.5 / max(pitch) / width) + 1

    def ring_sum(values: Tensor) -> Tensor:
        return torch.bincount(ring, weights=(values * count).flatten())[:rings]

    entries = ring_sum(torch.ones_like(frequency))
    return ring_sum(frequency) / entries, ring_sum(magnitude) / entries / magnitude[0, 0]


def effective_rank(psf: Tensor) -> float:
    """Share of the image's dimensions that the camera tells apart: exp(-sum_k q_k ln q_k) / N, in (0, 1].

    q_k = s_k / sum s, with the singular values s_k = |P(f_k)| of the cyclic convolution with the PSF on N pixels:
    1 for a pinhole of one pixel, 1 / N for an even blur. O. Roy and M. Vetterli, "The effective rank", EUSIPCO 2007.
    """
    fft, magnitude, count = _singular_values(psf)
    share = magnitude / (magnitude * count).sum()
    return float(torch.exp(-(torch.xlogy(share, share) * count).sum())) / math.prod(fft.shape)


def condition(psf: Tensor) -> float:
    """Condition number max |P(f)| / min |P(f)| of the cyclic convolution with the PSF: 1 at best."""
    _, magnitude, _ = _singular_values(psf)
    return float(magnitude.max() / magnitude.min())


def _singular_values(psf: Tensor) -> tuple[GridFFT, Tensor, Tensor]:
    """The FFT of the PSF's grid, |P| on its half spectrum, and how often each column stands in the whole one."""
    check_psf(psf[None], 3, "(h, w)")
    fft = GridFFT(fast_shape(tuple(psf.shape)))
    magnitude = psf_spectrum(psf.detach().double(), fft).abs()
    count = magnitude.new_full(magnitude.shape[1:], 2.0)
    count[[0, -1]] = 1
    return fft, magnitude, count
