"""DRUNet: its size, its layers' names, a hand-computed pass, DPIR's files."""

import pytest
import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.models.drunet import DRUNet, load_dpir


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("widths", "blocks", "count"),
    [
        ((32, 64, 128, 256), 4, 8_161_248),
        ((32, 64, 116, 128), 4, 4_051_168),
        ((16, 32, 64, 128), 4, 2_040_816),
        ((4, 8, 16, 32), 4, 127_740),
        ((64, 128, 256, 512), 2, 17_010_624),
    ],
)
def test_parameters_of_the_published_sizes(widths, blocks, count):
    with torch.device("meta"):
        assert parameters(DRUNet(widths=widths, blocks=blocks)) == count


def test_parameters_follow_the_formula():
    a, b, blocks, extra = 5, 7, 3, 4
    convolutions = 9 * (6 * a + 2 * a) + 2 * 4 * a * b + 2 * blocks * 9 * (2 * a * a + b * b)
    assert parameters(DRUNet(6, out_channels=2, widths=(a, b), blocks=blocks)) == convolutions
    merge = 9 * (b + extra) * b
    assert parameters(DRUNet(6, out_channels=2, widths=(a, b), blocks=blocks, features=extra)) == convolutions + merge


def test_the_skips_add_up():
    """With blocks that do nothing and sampling by one pixel of four, out = tail(x + up(body + down))."""
    network = DRUNet(1, out_channels=1, widths=(1, 1), blocks=1)
    for name, weight in network.named_parameters():
        nn.init.zeros_(weight)
        if "res" not in name:
            centre = (1, 1) if weight.shape[-1] == 3 else (0, 0)
            weight.data[0, 0, centre[0], centre[1]] = 1
    x = random(1, 1, 4, 6)
    sampled = torch.zeros_like(x)
    sampled[..., ::2, ::2] = 2 * x[..., ::2, ::2]
    torch.testing.assert_close(network(x), x + sampled)


def test_a_residual_block_is_a_residual_block():
    network = DRUNet(1, out_channels=1, widths=(2, 2), blocks=1)
    block, x = network.m_body[0], random(1, 2, 5, 7) - 0.5
    first, second = (block.res[i].weight for i in (0, 2))
    pad = nn.functional.pad
    hidden = nn.functional.conv2d(pad(x, (1, 1, 1, 1)), first).clamp(min=0)
    torch.testing.assert_close(block(x), x + nn.functional.conv2d(pad(hidden, (1, 1, 1, 1)), second))


def test_homogeneous_also_in_its_features():
    network = DRUNet(2, out_channels=1, widths=(3, 4, 5), blocks=1, features=2)
    x, features = random(2, 2, 12, 8), random(2, 2, 3, 2, seed=1)
    torch.testing.assert_close(network(2 * x, 2 * features), 2 * network(x, features), rtol=0, atol=0)
    assert not torch.allclose(network(x, 2 * features), network(x, features))


def test_a_residual_network_starts_as_the_identity_and_learns():
    network = DRUNet(4, widths=(4, 6), blocks=1, residual=True)
    x = random(2, 4, 6, 10)
    torch.testing.assert_close(network(x), x[:, :3], rtol=0, atol=0)
    network(x).square().sum().backward()
    assert network.m_tail.weight.grad.abs().max() > 0


def test_the_seed_is_the_network():
    torch.manual_seed(3)
    first = DRUNet(widths=(4, 6), blocks=1)
    torch.manual_seed(3)
    second = DRUNet(widths=(4, 6), blocks=1)
    x = random(1, 4, 4, 6)
    torch.testing.assert_close(first(x), second(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"widths": (8,)}, "widths"),
        ({"widths": (8, 0)}, "widths"),
        ({"blocks": 0}, "blocks"),
        ({"features": -1}, "features"),
        ({"in_channels": 2, "residual": True}, "in_channels"),
    ],
)
def test_refuses_what_is_no_network(arguments, word):
    with pytest.raises(InputError, match=word):
        DRUNet(**arguments)


def test_refuses_what_does_not_fit():
    network = DRUNet(widths=(2, 3, 4), blocks=1, features=5)
    with pytest.raises(InputError, match=r"x: expected \(B, 4, H, W\)"):
        network(random(1, 3, 8, 8))
    with pytest.raises(InputError, match="multiples of 4"):
        network(random(1, 4, 8, 6))
    with pytest.raises(InputError, match=r"features: expected \(1, 5, 2, 3\), got none"):
        network(random(1, 4, 8, 12))
    with pytest.raises(InputError, match=r"features: expected \(1, 5, 2, 3\), got \(1, 5, 2, 2\)"):
        network(random(1, 4, 8, 12), random(1, 5, 2, 2))
    with pytest.raises(InputError, match="takes none"):
        DRUNet(widths=(2, 3), blocks=1)(random(1, 4, 8, 12), random(1, 5, 4, 6))


def dpir_names(blocks: int) -> set[str]:
    """As the published files list them, for three halvings."""
    single, pairs = ["m_head", "m_tail"], [f"m_body.{block}" for block in range(blocks)]
    for scale in (1, 2, 3):
        single += [f"m_down{scale}.{blocks}", f"m_up{scale}.0"]
        pairs += [f"m_down{scale}.{block}" for block in range(blocks)]
        pairs += [f"m_up{scale}.{block + 1}" for block in range(blocks)]
    return {f"{name}.weight" for name in single} | {f"{name}.res.{layer}.weight" for name in pairs for layer in (0, 2)}


@pytest.mark.parametrize(("in_channels", "out_channels", "blocks"), [(4, 3, 4), (2, 1, 2)])
def test_a_file_of_dpir_loads_whatever_its_size(tmp_path, in_channels, out_channels, blocks):
    source = DRUNet(in_channels, out_channels=out_channels, widths=(4, 5, 6, 7), blocks=blocks)
    assert set(source.state_dict()) == dpir_names(blocks)
    torch.save(source.state_dict(), tmp_path / "drunet_color.pth")
    loaded = load_dpir(tmp_path / "drunet_color.pth")
    x = random(1, in_channels, 8, 16)
    torch.testing.assert_close(loaded(x), source(x), rtol=0, atol=0)
    assert (loaded.widths, loaded.blocks, loaded.training) == ((4, 5, 6, 7), blocks, False)


def test_a_file_with_other_names_is_refused_with_the_names(tmp_path):
    state = DRUNet(widths=(4, 5, 6, 7), blocks=1).state_dict()
    state["m_extra.weight"] = state.pop("m_up2.0.weight")
    state["m_down1.0.res.0.weight"] = torch.zeros(3, 3, 3, 3)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError) as caught:
        load_dpir(tmp_path / "other.pth")
    message = str(caught.value)
    assert "1 missing there: m_up2.0.weight" in message
    assert "1 unknown here: m_extra.weight" in message
    assert "m_down1.0.res.0.weight (3, 3, 3, 3) instead of (4, 4, 3, 3)" in message
    torch.save({"model.0.weight": torch.zeros(1)}, tmp_path / "ffdnet.pth")
    with pytest.raises(InputError, match=r"m_head.*got model\.0\.weight"):
        load_dpir(tmp_path / "ffdnet.pth")
