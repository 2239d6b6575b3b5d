"""Networks as denoisers of plug-and-play: noise level, channels, sizes, and a reconstruction with one."""

import pytest
import torch
from torch import Tensor, nn

from lensless.errors import InputError
from lensless.models.denoiser import NetworkDenoiser
from lensless.models.drunet import DRUNet, load_dpir
from lensless.models.restormer import Restormer
from lensless.models.unet import LightUNet
from lensless.physics.system import get_system
from lensless.recon.plug_and_play import PlugAndPlayHQS


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def drunet(out_channels: int = 3) -> DRUNet:
    torch.manual_seed(0)
    return DRUNet(out_channels + 1, out_channels=out_channels, widths=(4, 5, 6), blocks=1).eval()


class MinusSigma(nn.Module):
    """The image minus its noise level."""

    in_channels, out_channels, multiple = 4, 3, 4

    def forward(self, planes: Tensor) -> Tensor:
        assert planes.shape[-2] % 4 == planes.shape[-1] % 4 == 0
        return planes[:, :3] - planes[:, 3:]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_the_network_is_told_the_noise_level(channels):
    x = random(2, channels, 5, 7)
    torch.testing.assert_close(NetworkDenoiser(MinusSigma())(x, 0.25), x - 0.25)


def test_an_image_of_the_networks_channels_is_denoised_whole():
    network, x = drunet(), random(2, 3, 8, 12)
    expected = network(torch.cat([x, torch.full((2, 1, 8, 12), 0.1)], 1))
    torch.testing.assert_close(NetworkDenoiser(network)(x, 0.1), expected)


@pytest.mark.parametrize("out_channels", [1, 3])
def test_other_images_are_denoised_plane_by_plane(out_channels):
    denoise, x = NetworkDenoiser(drunet(out_channels)), random(2, 2, 6, 9)
    together = denoise(x, 0.1)
    for sample in range(2):
        for plane in range(2):
            alone = x[sample, plane].expand(1, out_channels, -1, -1)
            torch.testing.assert_close(together[sample, plane], denoise(alone, 0.1)[0].mean(0))


@pytest.mark.parametrize("network", [drunet(), LightUNet(widths=(4, 6), blocks=1), Restormer(4, dim=8)])
def test_any_size_comes_back(network):
    x = random(1, 3, 5, 19)
    with torch.no_grad():
        assert NetworkDenoiser(network)(x, 0.05).shape == x.shape


def test_reconstructs_with_a_file_of_weights(tmp_path):
    """Weights that return the image unchanged: every iteration then only fits the data."""
    source = DRUNet(4, widths=(4, 5, 6, 7), blocks=1)
    for name, weight in source.named_parameters():
        nn.init.zeros_(weight)
        if name in ("m_head.weight", "m_tail.weight"):
            for channel in range(3):
                weight.data[channel, channel, 1, 1] = 1
    torch.save(source.state_dict(), tmp_path / "drunet_color.pth")
    physics = get_system("tape", size="tiny").physics
    y = physics(random(1, *physics.scene_shape))
    solution = PlugAndPlayHQS(NetworkDenoiser(load_dpir(tmp_path / "drunet_color.pth")), iterations=3)
    untouched = PlugAndPlayHQS(lambda x, sigma: x, iterations=3)
    expected = untouched(y, physics)
    assert physics.scene_shape[0] == 3
    torch.testing.assert_close(solution(y, physics), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_doubles_with_the_exposure_in_plug_and_play():
    physics = get_system("tape", size="tiny").physics
    y = physics(random(1, *physics.scene_shape))
    solve = PlugAndPlayHQS(NetworkDenoiser(drunet()), iterations=2)
    torch.testing.assert_close(solve(2 * y, physics), 2 * solve(y, physics), rtol=1e-4, atol=1e-6)


def test_learns_to_denoise():
    denoise = NetworkDenoiser(LightUNet(widths=(8, 12), blocks=1))
    clean = torch.ones(4, 3, 15, 22) * random(4, 3, 1, 1)
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(denoise.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = (denoise(noisy, 0.2) - clean).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_refuses_what_it_cannot_take():
    with pytest.raises(InputError, match="expected 4 input channels"):
        NetworkDenoiser(DRUNet(3, widths=(4, 5), blocks=1))
    with pytest.raises(InputError, match=r"x: expected \(B, C, H, W\)"):
        NetworkDenoiser(drunet())(random(3, 8, 8), 0.1)
