"""A denoising network in the place of a prox."""

import torch
from torch import Tensor, nn

from lensless.errors import InputError, require
from lensless.models.padding import pad_to_multiple


class NetworkDenoiser(nn.Module):
    """D(x, sigma) = N(x, sigma map): the Denoiser of plug-and-play, for images of any size and number of channels.

    An image of another number of channels than the network's is denoised plane by plane: each plane is repeated
    over the network's channels and their mean returned.

    network: takes the image and, as one more channel, the standard deviation of its noise (white is 1), such as
    ``load_dpir(path)`` or a trained DRUNet, Restormer or LightUNet with in_channels = out_channels + 1.
    Raises InputError for a network of other channels.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        wanted = network.out_channels + 1
        require(
            network.in_channels == wanted,
            f"network: expected {wanted} input channels, the image's and the noise level, got {network.in_channels}",
        )
        self.network = network

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        """(B, C, H, W) with white at 1 and noise of standard deviation ``sigma`` to the clean image."""
        if x.ndim != 4:
            raise InputError(f"x: expected (B, C, H, W), got {tuple(x.shape)}")
        self.to(x)  # its device and precision
        channels = self.network.out_channels
        if x.shape[1] == channels:
            return self._denoise(x, sigma)
        planes = x.reshape(-1, 1, *x.shape[-2:]).expand(-1, channels, -1, -1)
        return self._denoise(planes, sigma).mean(1).reshape(x.shape)

    def _denoise(self, x: Tensor, sigma: float) -> Tensor:
        level = torch.full_like(x[:, :1], sigma)
        padded = pad_to_multiple(torch.cat([x, level], 1), self.network.multiple)
        return self.network(padded)[..., : x.shape[-2], : x.shape[-1]]
