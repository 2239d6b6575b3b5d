"""The light U-Net: small, the identity at the start, a DRUNet on squares."""

import pytest
import torch

from lensless.errors import InputError
from lensless.models.unet import LightUNet


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_under_three_hundred_thousand_parameters():
    assert sum(parameter.numel() for parameter in LightUNet().parameters()) == 264_128


@pytest.mark.parametrize(("in_channels", "out_channels"), [(4, 3), (6, 3), (3, 3), (2, 1)])
def test_starts_as_the_identity_and_learns(in_channels, out_channels):
    network = LightUNet(in_channels, out_channels=out_channels)
    x = random(2, in_channels, 8, 24)
    torch.testing.assert_close(network(x), x[:, :out_channels], rtol=0, atol=0)
    target = random(2, out_channels, 8, 24, seed=1)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = (network(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_works_on_squares_of_pixels():
    """What it adds at pixel (2 i + a, 2 j + b) of channel c is channel 4 c + 2 a + b of the network at (i, j)."""
    network = LightUNet(1, out_channels=1, widths=(3, 4), blocks=1)
    torch.nn.init.normal_(network.body.m_tail.weight)
    x = random(1, 1, 8, 12)
    squares = torch.stack([x[0, 0, a::2, b::2] for a in (0, 1) for b in (0, 1)])[None]
    corrected = network.body(squares)
    for index, (a, b) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        torch.testing.assert_close(network(x)[0, 0, a::2, b::2], corrected[0, index])
    assert not torch.allclose(network(x), x)


def test_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="multiples of 8"):
        LightUNet()(random(1, 4, 8, 12))
    with pytest.raises(InputError, match=r"\(B, 4, H, W\)"):
        LightUNet()(random(1, 3, 8, 8))
    with pytest.raises(InputError, match="in_channels: expected at least 3, got 2"):
        LightUNet(2)
