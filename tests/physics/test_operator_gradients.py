"""Gradients with respect to what defines a camera: its PSFs, its response, its matrices."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lensless.physics.convolution import LenslessConvolution
from lensless.physics.multi_psf import MultiPSF, bilinear_weights
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.stack import DepthStack, SpectralStack
from lensless.physics.valid_pixels import ValidPixels

DIFFERENTIABLE: dict[str, tuple[Callable[..., LinearOperator], list[tuple[int, ...]]]] = {
    "convolution": (LenslessConvolution, [(2, 2, 3, 2)]),
    "depths": (DepthStack, [(2, 1, 3, 2)]),
    "bands": (lambda psf, response: SpectralStack(psf, response=response), [(3, 2, 3), (2, 3)]),
    "regions": (
        lambda psf: MultiPSF(psf, weights=bilinear_weights((2, 3), rows=[0.5], columns=[0, 2])),
        [(2, 1, 2, 3)],
    ),
    "separable": (lambda left, right: SeparableMask(left, right=right), [(2, 3, 2), (4, 3)]),
    "valid": (lambda psf: ValidPixels(LenslessConvolution(psf), mask=torch.eye(3, 4)), [(1, 3, 4)]),
}


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_differentiable_in_what_defines_the_camera(name: str):
    make, shapes = DIFFERENTIABLE[name]
    tensors = [uniform(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    camera = make(*tensors)
    x, y = uniform(2, *camera.scene_shape, seed=2), uniform(2, *camera.sensor_shape, seed=3)
    assert torch.autograd.gradcheck(lambda *t: make(*t)(x), tensors)
    assert torch.autograd.gradcheck(lambda *t: make(*t).adjoint(y), tensors)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_work_without_gradient_leaves_the_gradient_whole(name: str):
    make, shapes = DIFFERENTIABLE[name]
    tensors = [uniform(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    y = uniform(2, *make(*tensors).sensor_shape, seed=3)
    expected = torch.autograd.grad(make(*tensors).adjoint(y).square().sum(), tensors)
    used = make(*tensors)
    used.norm_squared()
    for after, before in zip(
        torch.autograd.grad(used.adjoint(y).square().sum(), tensors), expected, strict=True
    ):
        torch.testing.assert_close(after, before)
