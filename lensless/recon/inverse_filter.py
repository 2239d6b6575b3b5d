"""What the learned deconvolutions share: the regularised inverse of a transfer function, and their common checks."""

import torch
from torch import Tensor

from lensless.errors import InputError, require
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.operator import LinearOperator
from lensless.recon.base import check_measurement, per_sample


def inverse_filter(spectrum: Tensor, k: Tensor | float) -> Tensor:
    """conj(H) / (|H|^2 + k), Wiener's filter, for a half spectrum H (..., P, Q // 2 + 1) and k in units of |H|^2."""
    return spectrum.conj() / (power(spectrum) + k)


def power(spectrum: Tensor) -> Tensor:
    """|H|^2."""
    return spectrum.real.square() + spectrum.imag.square()


def largest_power(camera: LenslessConvolution) -> Tensor:
    """max |H|^2 over frequencies and channels of each of the camera's PSFs, (batch, 1, 1, 1)."""
    return per_sample(power(camera.spectrum).flatten(1).amax(1), 4)


def convolution_camera(y: Tensor, physics: LinearOperator, *, channels: int, needed_by: str) -> LenslessConvolution:
    """``physics``, once it is known to be a LenslessConvolution of so many channels that could have measured ``y``.

    Raises InputError otherwise, naming the reconstruction ``needed_by``.
    """
    if not isinstance(physics, LenslessConvolution):
        raise InputError(f"physics: {needed_by} needs a LenslessConvolution, got {type(physics).__name__}")
    check_measurement(y, physics)
    require(
        y.shape[1] == channels,
        f"physics: this {needed_by} was made for cameras with {channels} channels, got one with {y.shape[1]}",
    )
    return physics


def check_k(k: float) -> None:
    """Raise InputError unless ``k`` is a positive number."""
    require(0 < k < torch.inf, f"k: expected a positive number, got {k}")
