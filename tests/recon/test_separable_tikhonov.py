import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.separable import SeparableMask
from lensless.recon.separable_tikhonov import SeparableTikhonov


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MATRICES = {
    "more_pixels_than_scene": ((8, 5), (7, 6)),
    "fewer_pixels_than_scene": ((4, 7), (5, 9)),
    "channels": ((3, 8, 5), (5, 7)),
    "two_cameras": ((2, 1, 7, 5), (3, 4, 6)),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("k", [1e-4, 0.3])
def test_solves_the_normal_equations(name: str, k: float):
    left, right = (uniform(*shape, seed=seed) for seed, shape in enumerate(MATRICES[name]))
    camera = SeparableMask(left, right=right)
    y = uniform(2, *camera.sensor_shape, seed=2)
    x = SeparableTikhonov(k)(y, camera)
    lefts = left.expand(2, camera.scene_shape[0], *left.shape[-2:])
    rights = right.expand(2, camera.scene_shape[0], *right.shape[-2:])
    for sample in range(2):
        channels = [torch.kron(lf, rt) for lf, rt in zip(lefts[sample], rights[sample], strict=True)]
        norm_squared = max(torch.linalg.matrix_norm(a, 2).square() for a in channels)
        for a, measured, found in zip(channels, y[sample], x[sample], strict=True):
            normal = a.T @ a + k * norm_squared * torch.eye(a.shape[1], dtype=a.dtype)
            expected = torch.linalg.solve(normal, a.T @ measured.flatten()).reshape(found.shape)
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_is_an_inverse_when_hardly_regularised():
    camera = SeparableMask(uniform(9, 6), right=uniform(11, 7, seed=1))
    x = uniform(1, 1, 6, 7, seed=2)
    torch.testing.assert_close(SeparableTikhonov(1e-15)(camera(x), camera), x, rtol=0, atol=1e-8)


def test_scales_with_the_data_and_inversely_with_the_camera():
    left, right, y = uniform(6, 5), uniform(7, 4, seed=1), uniform(2, 1, 6, 7, seed=2)
    solve = SeparableTikhonov(1e-2)
    x = solve(y, SeparableMask(left, right=right))
    torch.testing.assert_close(solve(100 * y, SeparableMask(left, right=right)), 100 * x)
    torch.testing.assert_close(solve(y, SeparableMask(100 * left, right=right)), x / 100)


def test_differentiable_in_the_measurement():
    camera = SeparableMask(uniform(4, 3), right=uniform(3, 5, seed=1))
    y = uniform(1, 1, 4, 3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: SeparableTikhonov(0.1)(y, camera), y)


def test_refuses_other_cameras_and_strengths():
    with pytest.raises(InputError, match="physics: expected a SeparableMask, got LenslessConvolution"):
        SeparableTikhonov()(torch.ones(1, 1, 5, 6), LenslessConvolution(torch.ones(1, 5, 6)))
    with pytest.raises(InputError, match="k: expected a positive number, got 0"):
        SeparableTikhonov(0)
    with pytest.raises(InputError, match="measurement: expected finite values, got 1 NaN"):
        y = uniform(1, 1, 4, 3)
        y[0, 0, 1, 1] = torch.nan
        SeparableTikhonov()(y, SeparableMask(uniform(4, 3), right=uniform(3, 5)))
