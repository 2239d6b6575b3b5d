"""The phase mask that makes a wanted pattern of light."""

import math

import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.propagation import Grid, angular_spectrum


def retrieve_phase(target: Tensor, grid: Grid, *, wavelength: float, distance: float, iterations: int) -> Tensor:
    """Phase of a thin mask that turns a plane wave into the intensity ``target`` at ``distance`` behind.

    Gerchberg-Saxton between the two planes, P_z the free-space propagation over z = distance:

        phi <- arg P_-z [ sqrt(target) u / |u| ],    u = P_z exp(i phi),    started with u = 1

    The flat start keeps the mask smooth: a random one fits the target closer on this grid and at this wavelength,
    and worse on a finer grid and at every other. target: (H, W) on ``grid``, >= 0, of any scale. wavelength,
    distance: metres. iterations: rounds, 0 leaves the start. Returns (H, W) in (-pi, pi].
    Raises InputError for a target without light, and where the propagation does not fit the grid.

    R. W. Gerchberg and W. O. Saxton, Optik 35, 1972; near field: Boominathan et al., IEEE TPAMI 42, 2020.
    """
    if target.shape != grid.shape or bool((target < 0).any()) or not bool(target.any()):
        raise InputError(f"target: expected some light and none negative on {grid.shape}, got {tuple(target.shape)}")
    amplitude = target.sqrt()

    def back(sensor: Tensor) -> Tensor:
        return angular_spectrum(sensor, grid, wavelength=wavelength, distance=-distance).angle()

    phase = back(torch.complex(amplitude, torch.zeros_like(amplitude)))
    for _ in range(iterations):
        field = torch.polar(torch.ones_like(phase), phase)
        sensor = angular_spectrum(field, grid, wavelength=wavelength, distance=distance)
        phase = back(torch.polar(amplitude, sensor.angle()))
    return phase


def phase_to_height(phase: Tensor, *, wavelength: float, index: float) -> Tensor:
    """Height map h = (phase mod 2 pi) / (2 pi) lambda / (n - 1): the thinnest, below one wave; metres."""
    return torch.remainder(phase, 2 * math.pi) / (2 * math.pi) * wavelength / (index - 1)
