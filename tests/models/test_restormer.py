"""Restormer: its size, and each of its blocks against the paper's equations."""

import pytest
import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.models.restormer import ChannelAttention, GatedFeedForward, PixelNorm, Restormer


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.3


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


SMALL = {"dim": 4, "blocks": (1, 1, 1, 1), "refinement_blocks": 1, "heads": (1, 2, 2, 4)}


def test_parameters_of_the_published_size():
    with torch.device("meta"):
        assert parameters(Restormer(3, dim=24, blocks=(2, 2, 4, 4), refinement_blocks=4)) == 4_044_848


def test_the_norm_divides_by_the_spread_over_channels():
    x = torch.tensor([1.0, 3.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    norm = PixelNorm(2).double()
    norm.body["weight"].data[:] = torch.tensor([2.0, 1.0])
    # variance of (1, 3) is 1
    expected = torch.tensor([2.0, 3.0], dtype=torch.float64).reshape(1, 2, 1, 1) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(norm(x), expected)


def test_attention_is_over_channels():
    """Head by head and channel by channel in plain loops."""
    attention = ChannelAttention(4, heads=2).double()
    attention.temperature.data[:, 0, 0] = torch.tensor([0.7, 2.5])
    x = random(1, 4, 3, 5)
    q, k, v = attention.qkv_dwconv(attention.qkv(x)).reshape(3, 4, 15)
    mixed = torch.zeros(4, 15, dtype=torch.float64)
    for head in range(2):
        mine = range(2 * head, 2 * head + 2)
        for i in mine:
            scores = torch.stack([q[i] @ k[j] / (q[i].norm() * k[j].norm()) for j in mine])
            weights = (attention.temperature[head, 0, 0] * scores).exp()
            mixed[i] = sum(w * v[j] for w, j in zip(weights / weights.sum(), mine, strict=True))
    torch.testing.assert_close(attention(x), attention.project_out(mixed.reshape(1, 4, 3, 5)))


def test_the_gate_is_a_gelu():
    gate = GatedFeedForward(3, expansion=2.66).double()
    assert gate.project_out.in_channels == 7
    x = random(1, 3, 4, 5)
    both = gate.dwconv(gate.project_in(x))
    a, b = both[:, :7], both[:, 7:]
    gelu = a * 0.5 * (1 + torch.erf(a / 2**0.5))
    torch.testing.assert_close(gate(x), gate.project_out(gelu * b))


def test_corrects_the_image_among_its_inputs():
    network = Restormer(4, **SMALL).double()
    nn.init.zeros_(network.output.weight)
    x = random(2, 4, 8, 16)
    torch.testing.assert_close(network(x), x[:, :3])


def test_halving_and_doubling_keep_the_pixels_in_place():
    """A change of the last pixels reaches what is near them and, without attention, nothing else."""
    network = Restormer(3, **SMALL).double()
    for name, parameter in network.named_parameters():
        if name.endswith("attn.project_out.weight"):
            nn.init.zeros_(parameter)
    x = random(1, 3, 8, 256)
    changed = x.clone()
    changed[..., -1] += 1
    difference = (network(changed) - network(x)).abs().amax((0, 1, 2))
    assert difference[-1] > 0
    assert difference[:64].max() == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"blocks": (1, 1, 1)}, "blocks"),
        ({"heads": (1, 2, 4, 8, 8)}, "heads"),
        ({"heads": (1, 2, 5, 8)}, "heads"),
        ({"in_channels": 2}, "in_channels"),
    ],
)
def test_refuses_what_is_no_network(arguments, word):
    with pytest.raises(InputError, match=word):
        Restormer(**arguments)


def test_refuses_what_does_not_fit():
    network = Restormer(**SMALL)
    with pytest.raises(InputError, match=r"x: expected \(B, 3, H, W\)"):
        network(torch.zeros(1, 4, 8, 8))
    with pytest.raises(InputError, match="multiples of 8"):
        network(torch.zeros(1, 3, 12, 8))
