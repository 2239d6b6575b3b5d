"""Coded apertures from number theory: MURA, URA and maximum length sequences, one number a cell."""

import math

import torch
from scipy.signal import max_len_seq
from torch import Tensor

from lensless.errors import InputError


def mura(p: int) -> Tensor:
    """Modified uniformly redundant array: p x p cells for an odd prime p, (p^2 - 1) / 2 of them open.

    A(i, j) = 0 if i = 0;  1 if j = 0 and i != 0;  [c(i) c(j) = 1] otherwise,

    c(i) = 1 for a quadratic residue i modulo p and -1 for a non-residue. With the decoding array G of
    :func:`mura_decoding` the cyclic correlation A * G is exactly (p^2 - 1) / 2 at zero shift and 0 at every other,
    for every odd prime p. A * A itself is (p^2 - 1) / 4 - A(shift) off its peak: sidelobes of two levels one apart,
    exactly flat only through the decoding array (:func:`ura` is flat by itself). Float64 of 0 and 1.
    Raises InputError unless p is an odd prime.

    S. R. Gottesman and E. E. Fenimore, "New family of binary arrays for coded aperture imaging",
    Appl. Opt. 28, 1989.
    """
    _require_odd_prime("p", p)
    return _residue_array(p, p)


def mura_decoding(p: int) -> Tensor:
    """Decoding array of :func:`mura`: G = 2 A - 1, except G(0, 0) = 1; p x p of -1 and 1."""
    decoding = 2 * mura(p) - 1
    decoding[0, 0] = 1
    return decoding


def ura(p: int) -> Tensor:
    """Uniformly redundant array: v = (p + 2) p cells for twin primes, (v + 1) / 2 of them open.

    Cells as in :func:`mura`, with rows modulo p + 2 and columns modulo p. The cyclic autocorrelation is exactly
    (v + 1) / 2 at zero shift and (v + 1) / 4 at every other, so 2 A - 1 decodes it. Float64 of 0 and 1, (p + 2, p).
    Raises InputError unless p and p + 2 are both odd primes.

    E. E. Fenimore and T. M. Cannon, "Coded aperture imaging with uniformly redundant arrays",
    Appl. Opt. 17, 1978.
    """
    _require_odd_prime("p", p)
    _require_odd_prime("p + 2", p + 2)
    return _residue_array(p + 2, p)


def mls(order: int) -> Tensor:
    """Maximum length sequence of N = 2^order - 1 values 0 and 1, (N + 1) / 2 of them 1.

    s = 2 m - 1 has the cyclic autocorrelation N at zero shift and exactly -1 at every other. The taps are SciPy's
    (``scipy.signal.max_len_seq``). Float64 of shape (N,). Raises InputError unless 2 <= order <= 16.
    """
    if not 2 <= order <= 16:
        raise InputError(f"order: expected 2 to 16 (3 to 65535 cells), got {order}")
    return torch.from_numpy(max_len_seq(order)[0]).double()


def separable(rows: Tensor, columns: Tensor) -> Tensor:
    """Separable aperture A(i, j) = rows(i) columns(j) of two sequences of 0 and 1; a quarter open for two MLS.

    Its camera is Y = L X R^T exactly (:func:`convolution_matrix`). The aperture (1 + a b^T) / 2 of two sequences
    of -1 and 1 is separable only once the means of Y are taken off (Asif et al., "FlatCam", IEEE TCI 2017).
    """
    return torch.outer(rows, columns)


def convolution_matrix(kernel: Tensor, scene: int, sensor: int) -> Tensor:
    """Toeplitz matrix (sensor, scene) of y(i) = sum_j kernel(i - j) x(j), indices from each centre n // 2.

    With L and R made of the row and the column profile of a separable PSF, ``SeparableMask(L, right=R)`` is the
    ``LenslessConvolution`` with that PSF. kernel: (k,), one value a sensor pixel, zero outside. scene, sensor:
    sizes in pixels. Raises InputError unless the kernel is a sequence.
    """
    if kernel.ndim != 1:
        raise InputError(f"kernel: expected a sequence (k,), got {tuple(kernel.shape)}")
    shift = torch.arange(sensor)[:, None] - sensor // 2 - torch.arange(scene) + scene // 2 + len(kernel) // 2
    inside = (shift >= 0) & (shift < len(kernel))
    return torch.where(inside, kernel[shift.clamp(0, len(kernel) - 1)], kernel.new_zeros(()))


def _residue_array(rows: int, columns: int) -> Tensor:
    aperture = (torch.outer(_residues(rows), _residues(columns)) == 1).double()
    aperture[:, 0] = 1
    aperture[0, :] = 0
    return aperture


def _residues(p: int) -> Tensor:
    character = -torch.ones(p)
    character[torch.arange(1, p) ** 2 % p] = 1
    return character


def _require_odd_prime(name: str, p: int) -> None:
    if p < 3 or any(p % d == 0 for d in range(2, math.isqrt(p) + 1)):
        raise InputError(f"{name}: expected an odd prime (3, 5, 7, 11, 13, ...), got {p}")
