"""Compiled and in bfloat16: the same result, and the transforms stay in single precision."""

import shutil
import warnings

import pytest
import torch

from lensless.models.modular import ModularReconstruction
from lensless.models.processor import Processor
from lensless.models.unet import LightUNet
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.unrolled import UnrolledADMM


def problem() -> tuple[ModularReconstruction, torch.Tensor, LenslessConvolution]:
    torch.manual_seed(0)
    post = Processor(LightUNet(widths=(4, 8), blocks=1))
    with torch.no_grad():  # before training it would hand its input on
        for parameter in post.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    model = ModularReconstruction(UnrolledADMM(3), post=post)
    return model, torch.rand(2, 3, 21, 35), LenslessConvolution(torch.rand(3, 21, 35))


def gradients(model: ModularReconstruction, image: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    image.float().square().mean().backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).detach().norm() / expected.detach().norm())


def test_bfloat16_autocast_agrees_to_its_eight_bits():
    model, y, physics = problem()
    expected = model(y, physics)
    expected_gradients = gradients(model, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stages = model.stages(y, physics)
    assert stages["inversion"].dtype == torch.float32
    assert relative_error(stages["image"], expected) < 2**-6
    assert relative_error(gradients(model, stages["image"]), expected_gradients) < 2**-4


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_model_agrees():
    model, y, physics = problem()
    expected = model(y, physics)
    expected_gradients = gradients(model, expected)
    torch.compiler.reset()  # what other tests compiled would make sizes dynamic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the FFTs stay outside the compiled graphs
        found = torch.compile(model, dynamic=False)(y, physics)
    assert relative_error(found, expected) < 1e-5
    assert relative_error(gradients(model, found), expected_gradients) < 1e-5
