"""An image times a transfer function, fast and differentiable: y = crop(irfft2(H . rfft2(pad(x))))."""

import torch
from torch import Tensor

from lensless.physics.fft import GridFFT

# up to so many a batch is transformed at once, beyond an image at a time, which stays in the cache
GROUP_FREQUENCIES = 2**20


def filter_images(
    x: Tensor, spectrum: Tensor, fft: GridFFT, size: tuple[int, int], *, out: Tensor | None = None
) -> Tensor:
    """Central ``size`` of the images x (B, C, h, w) convolved on the periodic grid of ``fft``.

    spectrum: H, a half spectrum of real filters, (B or 1, C or 1, P, Q // 2 + 1). The gradient with respect to x is
    the convolution with conj(H); to H it is  w / (P Q) rfft2(pad(g)) . conj(rfft2(pad(x))),  w = 1 in the columns of
    frequency 0 and Q / 2 and 2 between them. Written into ``out`` where given.
    """
    if torch.is_grad_enabled() and (x.requires_grad or spectrum.requires_grad):
        filtered = _Filter.apply(x, spectrum, fft, size)
        return filtered if out is None else out.copy_(filtered)
    return _filter(x, spectrum, fft, size, out)


def _filter(x: Tensor, spectrum: Tensor, fft: GridFFT, size: tuple[int, int], out: Tensor | None) -> Tensor:
    if x.device.type != "cpu":
        return fft.inverse(fft.forward(x).mul_(spectrum), size, out=out)
    if out is None:
        out = x.new_empty(*x.shape[:-2], *size)
    if x.shape[:2].numel() * fft.spectrum_shape[0] * fft.spectrum_shape[1] <= GROUP_FREQUENCIES:
        product = fft.forward(x, out=fft.buffer(x.shape[:2], x.dtype)).mul_(spectrum)
        return fft.inverse(product, size, out=out)
    for sample in range(x.shape[0]):
        for channel in range(x.shape[1]):
            product = fft.forward(x[sample, channel], out=fft.buffer((), x.dtype))
            product.mul_(spectrum[sample % len(spectrum), channel % spectrum.shape[1]])
            fft.inverse(product, size, out=out[sample, channel])
    return out


def full_weights(fft: GridFFT, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """How often each column of a half spectrum occurs in the full one, (Q // 2 + 1,): 1, 2, ..., 2, 1."""
    weights = torch.full((fft.spectrum_shape[1],), 2.0, dtype=dtype, device=device)
    weights[0] = weights[-1] = 1
    return weights


class _Filter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, spectrum: Tensor, fft: GridFFT, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, spectrum)
        ctx.fft, ctx.size = fft, size
        return _filter(x.detach(), spectrum.detach(), fft, size, None)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, spectrum = ctx.saved_tensors
        fft = ctx.fft
        gradient = gradient.contiguous()
        of_x = of_spectrum = None
        if ctx.needs_input_grad[0]:
            of_x = filter_images(gradient, spectrum.conj().resolve_conj(), fft, tuple(x.shape[-2:]))
        if ctx.needs_input_grad[1]:
            correlation = fft.forward(gradient) * fft.forward(x).conj()
            weights = full_weights(fft, dtype=x.dtype, device=x.device) / (fft.shape[0] * fft.shape[1])
            of_spectrum = (correlation * weights).sum_to_size(spectrum.shape)
        return of_x, of_spectrum, None, None
