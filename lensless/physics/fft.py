"""Real 2-D Fourier transforms of centred images: the only file that calls an FFT on images.

An image of size (h, w) lies on a grid of size (P, Q) with its centre pixel (h // 2, w // 2) on the grid's centre
pixel (P // 2, Q // 2). :class:`GridFFT` transforms between such images and half spectra of shape (P, Q // 2 + 1),
skipping the rows that are known to be zero or are not wanted.

On the CPU and outside autograd the transforms run on ducc0 where it is installed (extra ``fast``: about twice
as fast as torch's, and in place); everywhere else on torch.fft. Both give the same numbers to rounding.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    import ducc0
except ImportError:
    ducc0 = None

from lensless.errors import InputError

COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


@functools.cache
def fast_size(n: int) -> int:
    """Smallest even 5-smooth number >= n: a size that every FFT library handles fast."""
    if n < 1:
        raise InputError(f"n: expected a size of at least 1, got {n}")
    size = n + n % 2
    while not _is_5_smooth(size):
        size += 2
    return size


def fast_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Smallest fast grid (P, Q) that holds ``shape``.

    A row length that is a multiple of 1024 puts all rows of a single-precision image into the same cache sets; an
    inverse transform then takes about twice as long (`benchmarks/fft_sizes.py`), so those are skipped.
    """
    height, width = fast_size(shape[0]), fast_size(shape[1])
    while width % 1024 == 0:
        width = fast_size(width + 2)
    return height, width


def _is_5_smooth(n: int) -> bool:
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n == 1


def centred_slice(outer: int, inner: int) -> slice:
    """Where ``inner`` samples lie in ``outer`` when both centre samples (size // 2) coincide."""
    start = outer // 2 - inner // 2
    return slice(start, start + inner)


def pad_centred(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Zero-pad (..., h, w) to (..., *shape), centre on centre."""
    rows, columns = centred_slice(shape[0], x.shape[-2]), centred_slice(shape[1], x.shape[-1])
    return F.pad(x, (columns.start, shape[1] - columns.stop, rows.start, shape[0] - rows.stop))


def crop_centred(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """View of the central (..., *shape) of (..., P, Q), centre on centre."""
    return x[..., centred_slice(x.shape[-2], shape[0]), centred_slice(x.shape[-1], shape[1])]


class GridFFT:
    """Real FFTs between centred images and the half spectra of one grid.

    forward:  X = rfft2(pad(x))        x (..., h, w) real, X (..., P, Q // 2 + 1) complex
    inverse:  x = crop(irfft2(X))      default norm: 1 forward, 1 / (P Q) backward

    ``backend`` is "auto" (ducc0 on the CPU if installed, else torch), "ducc" or "torch".
    One object serves one thread: it keeps buffers between calls.
    """

    def __init__(self, shape: tuple[int, int], *, backend: str = "auto"):
        if backend not in ("auto", "ducc", "torch"):
            raise InputError(f"backend: expected 'auto', 'ducc' or 'torch', got {backend!r}")
        if backend == "ducc" and ducc0 is None:
            raise InputError("backend: 'ducc' needs the package ducc0; pip install 'lensless-torch[fast]'")
        if min(shape) < 2 or shape[1] % 2:
            raise InputError(f"shape: expected at least 2 x 2 with an even width, got {tuple(shape)}")
        self.shape = (int(shape[0]), int(shape[1]))
        self.backend = backend
        self._rows: Tensor | None = None
        self._spectrum: Tensor | None = None

    @property
    def spectrum_shape(self) -> tuple[int, int]:
        """(P, Q // 2 + 1)."""
        return self.shape[0], self.shape[1] // 2 + 1

    def forward(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Half spectrum of ``x`` zero-padded to the grid; written into ``out`` where given (no gradient then)."""
        if not self._on_ducc(x):
            return torch.fft.rfft2(pad_centred(x, self.shape), out=out)
        rows = centred_slice(self.shape[0], x.shape[-2])
        if x.shape[-1] != self.shape[1]:
            columns = centred_slice(self.shape[1], x.shape[-1])
            padded = self._row_buffer(x.shape[:-1], x.dtype)
            padded[..., : columns.start] = 0
            padded[..., columns.stop :] = 0
            padded[..., columns] = x
            x = padded
        if out is None:
            out = x.new_empty(*x.shape[:-2], *self.spectrum_shape, dtype=COMPLEX[x.dtype])
        out[..., : rows.start, :] = 0
        out[..., rows.stop :, :] = 0
        threads, spectrum = torch.get_num_threads(), out.numpy()
        ducc0.fft.r2c(x.detach().numpy(), axes=(-1,), out=spectrum[..., rows, :], nthreads=threads)
        ducc0.fft.c2c(spectrum, axes=(-2,), out=spectrum, nthreads=threads)
        return out

    def inverse(self, spectrum: Tensor, size: tuple[int, int], *, out: Tensor | None = None) -> Tensor:
        """Central ``size`` of the inverse transform.

        With ``out`` (shape (..., *size)) nothing is allocated, ``spectrum`` is destroyed and no gradient flows.
        """
        if not self._on_ducc(spectrum):
            image = crop_centred(torch.fft.irfft2(spectrum, s=self.shape), size)
            return image if out is None else out.copy_(image)
        spectrum = spectrum.detach().resolve_conj()
        values = spectrum.numpy() if out is not None else spectrum.clone().numpy()
        threads = torch.get_num_threads()
        ducc0.fft.c2c(values, axes=(-2,), forward=False, inorm=2, out=values, nthreads=threads)
        if out is not None and size[1] == self.shape[1]:
            rows = out
        else:
            rows = self._row_buffer((*spectrum.shape[:-2], size[0]), spectrum.real.dtype)
        kept = centred_slice(self.shape[0], size[0])
        ducc0.fft.c2r(
            values[..., kept, :],
            axes=(-1,),
            lastsize=self.shape[1],
            forward=False,
            inorm=2,
            out=rows.numpy(),
            nthreads=threads,
        )
        if rows is out:
            return out
        image = rows[..., centred_slice(self.shape[1], size[1])]
        return image.clone() if out is None else out.copy_(image)

    def buffer(self, leading: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A half spectrum on the CPU to work in, kept until another shape is asked for; ``dtype`` is the image's."""
        shape = (*leading, *self.spectrum_shape)
        if self._spectrum is None or self._spectrum.shape != shape or self._spectrum.dtype != COMPLEX[dtype]:
            self._spectrum = torch.empty(shape, dtype=COMPLEX[dtype])
        return self._spectrum

    def _on_ducc(self, x: Tensor) -> bool:
        if self.backend == "torch" or ducc0 is None or x.device.type != "cpu":
            return False
        return not (torch.is_grad_enabled() and x.requires_grad)

    def _row_buffer(self, leading: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        shape = (*leading, self.shape[1])
        if self._rows is None or self._rows.shape != shape or self._rows.dtype != dtype:
            self._rows = torch.empty(shape, dtype=dtype)
        return self._rows


def complex_fft2(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Spectrum (..., P, Q) of a complex image (..., h, w) zero-padded centre on centre to ``shape``."""
    rows = torch.fft.fft(pad_centred(x, (x.shape[-2], shape[1])), dim=-1)
    return torch.fft.fft(pad_centred(rows, shape), dim=-2)


def complex_ifft2(spectrum: Tensor, size: tuple[int, int]) -> Tensor:
    """Central (..., *size) of the inverse transform of a complex spectrum (..., P, Q); undoes ``complex_fft2``."""
    columns = crop_centred(torch.fft.ifft(spectrum, dim=-2), (size[0], spectrum.shape[-1]))
    return crop_centred(torch.fft.ifft(columns, dim=-1), size)
