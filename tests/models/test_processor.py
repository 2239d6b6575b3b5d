"""Networks as processors: any size, any exposure, with a noise level, a background or features besides."""

import inspect
from pathlib import Path

import hydra
import pytest
import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.models.drunet import DRUNet
from lensless.models.padding import pad_to_multiple
from lensless.models.processor import Processor
from lensless.models.restormer import Restormer
from lensless.models.unet import LightUNet
from lensless.physics.system import get_system
from lensless.recon.wiener import Wiener
from lensless.resources import resource_dir

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CHOICES = {
    "drunet_8m": 8_161_248,
    "drunet_4m": 4_051_168,
    "drunet_2m": 2_040_816,
    "drunet_128k": 127_740,
    "restormer": 4_044_848,
    "light_unet": 264_128,
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def restormer(in_channels: int) -> Restormer:
    return Restormer(in_channels, dim=4, blocks=(1, 1, 1, 1), refinement_blocks=1, heads=(1, 1, 2, 2))


def drunet(in_channels: int) -> DRUNet:
    return DRUNet(in_channels, widths=(4, 5, 6), blocks=1)


def light(in_channels: int) -> LightUNet:
    network = LightUNet(in_channels, widths=(4, 6), blocks=1)
    nn.init.normal_(network.body.m_tail.weight, std=0.1)
    return network


NETWORKS = {"drunet": drunet, "restormer": restormer, "light": light}


def processor(kind: str, in_channels: int = 4, seed: int = 0, **arguments: bool) -> Processor:
    torch.manual_seed(seed)
    return Processor(NETWORKS[kind](in_channels), **arguments)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (5, 13), (16, 24), (17, 8)])
@pytest.mark.parametrize("in_channels", [3, 4])
def test_any_size_comes_back(kind, size, in_channels):
    x = random(2, 3, *size)
    out = processor(kind, in_channels, nonnegative=False)(x)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("factor", [2.0, 2.0**-12])
def test_doubling_the_exposure_doubles_the_output_to_the_last_bit(kind, factor):
    step, x, background = processor(kind, 6, background=True), random(2, 3, 7, 11), random(2, 3, 7, 11, seed=1)
    bright = step(factor * x, background=factor * background)
    torch.testing.assert_close(bright, factor * step(x, background=background), rtol=0, atol=0)
    step = processor(kind)
    torch.testing.assert_close(step(factor * x), factor * step(x), rtol=0, atol=0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_any_other_exposure_scales_to_rounding(kind):
    step, x = processor(kind).double(), random(2, 3, 9, 10).double()
    torch.testing.assert_close(step(1234.5 * x), 1234.5 * step(x), rtol=1e-12, atol=1e-12)


def test_samples_of_a_batch_know_nothing_of_each_other():
    step, x = processor("drunet").double(), random(3, 3, 9, 10).double()
    x[1] = 0
    x[2] *= 1000
    together = step(x)
    torch.testing.assert_close(together[:1], step(x[:1]))
    torch.testing.assert_close(together[2:], step(x[2:]))
    assert not together[1].any()


def test_the_network_sees_the_unit_image_and_the_noise_level():
    seen = []

    class Spy(nn.Module):
        in_channels, out_channels, multiple = 3, 2, 4

        def forward(self, planes: Tensor) -> Tensor:
            seen.append(planes)
            return -planes[:, :2]

    step = Processor(Spy(), nonnegative=False)
    x = torch.tensor([[0.5, -4.0, 1.0]]).expand(1, 2, 5, 3)
    with torch.no_grad():
        step.noise_level.fill_(0.25)
    torch.testing.assert_close(step(x), -x)
    expected = torch.tensor([0.125, -1.0, 0.25, 0.25]).expand(1, 2, 8, 4)
    torch.testing.assert_close(seen[0], torch.cat([expected, torch.full((1, 1, 8, 4), 0.25)], 1))
    assert not Processor(Spy())(x.abs()).any()


def test_padding_repeats_the_border():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    expected = torch.tensor([[0.0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]])
    torch.testing.assert_close(pad_to_multiple(x, 4)[0, 0], expected)


def test_features_reach_the_coarsest_scale():
    network = DRUNet(4, widths=(3, 4, 5), blocks=1, features=2)
    x, features = random(1, 3, 9, 10), random(1, 2, 3, 3)
    out = Processor(network, nonnegative=False)(x, features=features)
    scale = x.amax()
    planes = torch.cat([pad_to_multiple(x, 4) / scale, torch.full((1, 1, 12, 12), 0.02)], 1)
    torch.testing.assert_close(out, scale * network(planes, features)[..., :9, :10])


@pytest.mark.parametrize("in_channels", [4, 6])
def test_gradients_are_those_of_the_function(in_channels):
    torch.manual_seed(0)
    background = in_channels == 6
    network = DRUNet(in_channels, widths=(2, 3), blocks=1)
    step = Processor(network, background=background, nonnegative=False).double()
    x = random(1, 3, 3, 5).double().requires_grad_()
    extra = random(1, 3, 3, 5, seed=1).double().requires_grad_() if background else None
    inputs = (x, extra) if background else (x,)
    assert torch.autograd.gradcheck(lambda *images: step(images[0], background=dict(enumerate(images)).get(1)), inputs)


@pytest.mark.parametrize("kind", NETWORKS)
def test_learns_to_clean_up_after_a_wiener_filter(kind):
    """A few steps of Adam on a simulated camera of odd size, with falling loss and finite gradients."""
    physics = get_system("tape", size="tiny").physics
    scene = random(1, *physics.scene_shape)
    blurred = Wiener()(physics(scene), physics).clamp(min=0)
    scene, blurred = scene[..., 3:, 1:], blurred[..., 3:, 1:]
    step = processor(kind)
    optimizer = torch.optim.Adam(step.parameters(), 3e-3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = (step(blurred) - scene).square().mean()
        loss.backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in step.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_bfloat16_agrees_where_autocast_uses_it(kind):
    step, x = processor(kind, nonnegative=False), random(2, 3, 9, 14)
    with torch.no_grad():
        exact = step(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = step(x)
    assert rough.dtype == torch.float32
    assert float((rough - exact).norm() / exact.norm()) < 0.03


@pytest.mark.parametrize("kind", ["drunet", "restormer"])
def test_compiles_without_a_break(kind):
    step, x = processor(kind), random(2, 3, 9, 14)
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), step(x))


@GPU
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_on_a_gpu(kind):
    step, x = processor(kind).double(), random(2, 3, 9, 14).double()
    expected = step(x)
    torch.testing.assert_close(step.cuda()(x.cuda()).cpu(), expected)


def test_refuses_networks_of_other_channels():
    with pytest.raises(InputError, match="expected 3 or 4 input channels"):
        Processor(drunet(5))
    with pytest.raises(InputError, match="expected 6 input channels"):
        Processor(drunet(4), background=True)


def test_refuses_what_it_cannot_take():
    x = random(2, 3, 5, 6)
    with pytest.raises(InputError, match=r"x: expected \(B, 3, H, W\).*got \(2, 1, 5, 6\)"):
        processor("drunet")(x[:, :1])
    with pytest.raises(InputError, match="background=False, got one"):
        processor("drunet")(x, background=x)
    with pytest.raises(InputError, match="background=True, got none"):
        processor("drunet", 6, background=True)(x)
    with pytest.raises(InputError, match=r"background: expected \(2, 3, 5, 6\) like x"):
        processor("drunet", 6, background=True)(x, background=x[..., :5])


def configuration(choice: str) -> DictConfig:
    with hydra.initialize_config_dir(str(resource_dir("configs")), version_base="1.3"):
        return hydra.compose(f"processor/{choice}").processor


def test_the_choices_are_known():
    files = Path(resource_dir("configs"), "processor").glob("*.yaml")
    assert {file.stem for file in files} == set(CHOICES)


@pytest.mark.parametrize(("choice", "count"), CHOICES.items())
def test_a_choice_is_made_of_its_configuration(choice, count):
    with torch.device("meta"):
        made = hydra.utils.instantiate(configuration(choice), _convert_="all")
    assert isinstance(made, Processor)
    assert sum(parameter.numel() for parameter in made.network.parameters()) == count


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_has_every_argument_at_its_default(choice):
    node = OmegaConf.to_container(configuration(choice))
    network = node.pop("network")
    for section, chosen in ((node, set()), (network, {"widths", "residual"})):
        parameters = dict(inspect.signature(get_class(section.pop("_target_"))).parameters)
        parameters.pop("network", None)
        assert set(section) == set(parameters)
        for name in set(section) - chosen:
            default = parameters[name].default
            assert section[name] == (list(default) if isinstance(default, tuple) else default), name
