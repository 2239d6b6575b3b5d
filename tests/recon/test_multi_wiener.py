"""The multi-Wiener network: its deconvolution by other means, its geometry, its size."""

import numpy as np
import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.multi_wiener import MultiWiener, extend
from lensless.recon.wiener import Wiener, fade_to_grid


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small(**options) -> MultiWiener:
    torch.manual_seed(0)
    return MultiWiener((4, 6, 8, 10, 12), **options).double().eval()


def test_size_is_the_published_one_less_two_numbers_without_effect():
    assert sum(parameter.numel() for parameter in MultiWiener().parameters()) == 8_106_693 - 2


@pytest.mark.parametrize("level", [0, 2])
def test_features_are_deconvolved_as_wiener_does(level: int):
    """Each channel of the features through a camera whose PSF is a channel of the PSF's features, of unit sum."""
    network, features, pattern = small(k=0.05), uniform(2, 4, 9, 14), uniform(1, 4, 9, 14, seed=1) ** 4
    network.log_factor.data[level] = np.log(0.1)
    found = network.deconvolve(features, pattern, level)
    camera = LenslessConvolution(pattern / pattern.sum((-2, -1), keepdim=True))
    torch.testing.assert_close(found, Wiener(0.005)(features, camera), rtol=0, atol=1e-11)


def test_features_are_deconvolved_by_the_sum_over_an_impulse_response():
    """d(i) = sum_j w(i - j) f(j), w being what a point gives on the grid, over the extended features."""
    network, features, pattern = small(), uniform(1, 1, 4, 5), uniform(1, 1, 4, 5, seed=1)
    p, q = 8, 10
    extended = fade_to_grid(features, (p, q))[0, 0].numpy()
    spectrum = np.fft.fft2(np.roll(np.pad(pattern[0, 0] / pattern.sum(), ((2, 2), (3, 2))), (-p // 2, -q // 2), (0, 1)))
    response = np.fft.ifft2(spectrum.conj() / (np.abs(spectrum) ** 2 + 1e-3)).real
    expected = [
        [sum(response[i - m, j - n] * extended[m, n] for m in range(p) for n in range(q)) for j in range(3, 8)]
        for i in range(2, 6)
    ]
    found = network.deconvolve(features, pattern, 0)[0, 0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_nothing_comes_round_from_the_other_side():
    """A PSF that is one point five columns from its centre: features move back by five, and darkness follows."""
    pattern, features = torch.zeros(1, 1, 9, 15).double(), uniform(1, 1, 9, 15)
    pattern[..., 4, 7 + 5] = 1
    features[..., -1] = 0
    expected = torch.zeros_like(features)
    expected[..., :10] = features[..., 5:]
    torch.testing.assert_close(small(k=1e-12).deconvolve(features, pattern, 0), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sensor", "scene"), [((16, 32), (16, 32)), ((17, 31), (17, 31)), ((7, 20), (11, 15))])
def test_any_size(sensor: tuple[int, int], scene: tuple[int, int]):
    camera = LenslessConvolution(uniform(3, *sensor), scene_shape=scene)
    assert small()(uniform(2, 3, *sensor), camera).shape == (2, 3, *scene)


def test_a_size_of_whole_scales_is_neither_extended_nor_cropped():
    network, psf, y = small(psf_channels=3), uniform(3, 32, 48) ** 4, uniform(1, 3, 32, 48, seed=1)
    light = psf.sum() / 3
    expected = network.network(y / y.mean(), psf[None] / light * 32 * 48) * y.mean() / light
    torch.testing.assert_close(network(y, LenslessConvolution(psf)), expected, rtol=1e-9, atol=1e-12)


def test_extends_by_the_border_with_the_centre_kept():
    y = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert extend(y, (2, 6)).tolist() == [[[[1.0, 1.0, 1.0, 2.0, 3.0, 3.0]] * 2]]


def test_one_psf_channel_is_the_mean():
    network, psf, y = small(), uniform(3, 16, 16), uniform(1, 3, 16, 16, seed=1)
    mean = psf.mean(0, keepdim=True).expand(3, 16, 16)
    torch.testing.assert_close(network(y, LenslessConvolution(psf)), network(y, LenslessConvolution(mean.contiguous())))


def test_bfloat16_convolutions_come_close_and_transforms_stay_in_full_precision():
    network = small().float()
    camera, y = LenslessConvolution(uniform(3, 17, 31).float() ** 6), uniform(2, 3, 17, 31, seed=1).float()
    seen = []
    network.decoder[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    with torch.no_grad():
        expected = network(y, camera)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(y, camera)
    assert seen == [torch.float32, torch.float32]
    assert float((found - expected).norm() / expected.norm()) < 0.05


def test_refuses_sizes_that_make_no_network():
    with pytest.raises(InputError, match=r"widths: expected at least two, got \(4,\)"):
        MultiWiener((4,))
    with pytest.raises(InputError, match="psf_channels: expected 1 or 3, got 2"):
        MultiWiener(psf_channels=2)
