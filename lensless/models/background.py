"""Light that reached the sensor without the scene, taken off the measurement."""

from torch import Tensor, nn

from lensless.errors import require
from lensless.models.processor import Processor


class BackgroundSubtraction(nn.Module):
    """y - b. Not clipped at zero: where the background is dark the noise must keep its mean."""

    def forward(self, y: Tensor, background: Tensor) -> Tensor:
        """y (B, C, h, w), background (B or 1, C, h, w) to (B, C, h, w). Raises InputError on other shapes."""
        _check(y, background)
        return y - background


class LearnedBackgroundSubtraction(nn.Module):
    """y - N(b): a network makes the measured background into the one to take off.

    Bezzam, Perron & Vetterli, "Towards robust and generalizable lensless imaging with modular learned reconstruction",
    IEEE Trans. Computational Imaging 2025. Doubling y and b doubles the result; N(b) is not negative.

    network: N, wrapped in a :class:`~lensless.models.processor.Processor`. Raises InputError as Processor does.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.processor = Processor(network)

    @property
    def network(self) -> nn.Module:
        return self.processor.network

    def forward(self, y: Tensor, background: Tensor) -> Tensor:
        """y (B, C, h, w), background (B or 1, C, h, w) to (B, C, h, w). Raises InputError on other shapes."""
        _check(y, background)
        return y - self.processor(background)


def _check(y: Tensor, background: Tensor) -> None:
    require(
        background.shape[1:] == y.shape[1:] and background.shape[0] in (1, y.shape[0]),
        f"background: expected {tuple(y.shape)} like the measurement, or one for all, got {tuple(background.shape)}",
    )
