"""Background subtraction, plain and learned."""

import pytest
import torch
from torch.nn.functional import mse_loss

from lensless.errors import InputError
from lensless.models.background import BackgroundSubtraction, LearnedBackgroundSubtraction
from lensless.models.drunet import DRUNet


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def learned(residual: bool = True) -> LearnedBackgroundSubtraction:
    torch.manual_seed(0)
    return LearnedBackgroundSubtraction(DRUNet(4, widths=(8, 12), blocks=1, residual=residual))


def test_subtracts_and_does_not_clip():
    y = torch.tensor([[[[0.5, 0.2]]], [[[0.1, 0.9]]]])
    background = torch.tensor([[[[0.3, 0.4]]]])
    torch.testing.assert_close(BackgroundSubtraction()(y, background).flatten(), torch.tensor([0.2, -0.2, -0.2, 0.5]))


@pytest.mark.parametrize("batch", [1, 2])
def test_a_network_that_starts_as_the_identity_subtracts_plainly(batch: int):
    y, background = uniform(2, 3, 7, 11), uniform(batch, 3, 7, 11, seed=1)
    torch.testing.assert_close(learned()(y, background), y - background)


def test_doubling_the_exposure_doubles_the_result():
    y, background, subtract = uniform(2, 3, 7, 11), uniform(2, 3, 7, 11, seed=1), learned(residual=False)
    torch.testing.assert_close(subtract(2 * y, 2 * background), 2 * subtract(y, background), rtol=0, atol=0)
    torch.testing.assert_close(subtract(y, 0 * background), y, rtol=0, atol=0)


def test_learns_what_part_of_the_background_to_take_off():
    """Measured before the light changed: of every other column only half remains."""
    scene, background = uniform(4, 3, 9, 15), uniform(4, 3, 9, 15, seed=1)
    share = torch.ones(15)
    share[::2] = 0.5
    y, subtract = scene + share * background.mean(-1, keepdim=True), learned()
    optimiser = torch.optim.Adam(subtract.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = mse_loss(subtract(y, background), scene)
        optimiser.zero_grad()
        loss.backward()
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in subtract.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("subtract", [BackgroundSubtraction(), learned()], ids=["plain", "learned"])
@pytest.mark.parametrize("shape", [(3, 3, 7, 11), (2, 1, 7, 11), (2, 3, 7, 12), (3, 7, 11)])
def test_refuses_a_background_that_does_not_fit(subtract: torch.nn.Module, shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"background: expected \(2, 3, 7, 11\) like the measurement, or one for all"):
        subtract(uniform(2, 3, 7, 11), uniform(*shape))
