"""What training makes small: how a reconstruction differs from its scene, and what its parts should do besides."""

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import structural_similarity_index_measure

from lensless.data.sample import Batch
from lensless.errors import InputError, check_name, require
from lensless.evaluation.lpips import LPIPS
from lensless.evaluation.metrics import SSIM_WINDOW
from lensless.images.gamma import linear_to_srgb
from lensless.physics.operator import LinearOperator
from lensless.recon.base import per_sample


class Loss:
    """The weighted sum of terms between the estimate x and the scene t, both on the scene's pixels.

        mse  mean (x - t)^2       l1  mean |x - t|       ssim  1 - SSIM(x, t) (Wang et al. 2004)
        log_mse  log10 mean (x - t)^2 of each image, -PSNR / 10: a decibel is as much in a clean image as in a noisy one
        lpips  LPIPS(srgb(x), srgb(t))      inversion  mean (v - t)^2 of v, what comes out of the inversion
        consistency  mean (p - A x)^2 / mean y^2 of p, what comes out of the pre-processor

    Where the data set's card says that brightness is "absolute", x is compared as it is; where it is "relative", after
    the gain a = <x, t> / <x, x> of each image; v likewise. Nothing is ever divided by the scene's own maximum.

    weights: of the terms; those left out are 0. brightness: as above. lpips: the network, "alex" or "vgg"
    (:class:`LPIPS`). Raises InputError on unknown terms or words, and on weights that are negative or all 0.
    """

    TERMS = ("mse", "log_mse", "l1", "ssim", "lpips", "inversion", "consistency")

    def __init__(self, weights: dict[str, float], *, brightness: str, lpips: str = "vgg"):
        for name, weight in weights.items():
            check_name("weights", name, list(self.TERMS))
            require(weight >= 0, f"weights.{name}: expected a weight >= 0, got {weight}")
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        require(bool(self.weights), "weights: expected at least one above 0")
        check_name("brightness", brightness, ["absolute", "relative"])
        self.brightness = brightness
        self.lpips = LPIPS(lpips) if "lpips" in self.weights else None

    def __call__(self, stages: dict[str, Tensor], batch: Batch, physics: LinearOperator) -> dict[str, Tensor]:
        """Each term, a mean over the batch, and "loss", their weighted sum.

        stages: of `ModularReconstruction.stages`. Raises InputError where a term needs a part that the model has not.
        """
        terms = {name: getattr(self, f"_{name}")(stages, batch, physics) for name in self.weights}
        total = sum(self.weights[name] * term for name, term in terms.items())
        return {"loss": total} | terms

    def estimate(self, x: Tensor, batch: Batch) -> Tensor:
        """A reconstruction (B, C, H, W) on the scene's pixels and scale."""
        x = batch.aligned(x.float())
        return x if self.brightness == "absolute" else match_gain(x, batch.scene)

    def _mse(self, stages: dict[str, Tensor], batch: Batch, _: LinearOperator) -> Tensor:
        return functional.mse_loss(self.estimate(stages["image"], batch), batch.scene)

    def _log_mse(self, stages: dict[str, Tensor], batch: Batch, _: LinearOperator) -> Tensor:
        return -psnr(self.estimate(stages["image"], batch), batch.scene).mean() / 10

    def _l1(self, stages: dict[str, Tensor], batch: Batch, _: LinearOperator) -> Tensor:
        return functional.l1_loss(self.estimate(stages["image"], batch), batch.scene)

    def _ssim(self, stages: dict[str, Tensor], batch: Batch, _: LinearOperator) -> Tensor:
        return 1 - ssim(self.estimate(stages["image"], batch), batch.scene).mean()

    def _lpips(self, stages: dict[str, Tensor], batch: Batch, _: LinearOperator) -> Tensor:
        x = self.estimate(stages["image"], batch)
        self.lpips.to(x.device)
        return self.lpips(*(linear_to_srgb(picture.clamp(0, 1)) for picture in (x, batch.scene))).mean()

    def _inversion(self, stages: dict[str, Tensor], batch: Batch, _: LinearOperator) -> Tensor:
        return functional.mse_loss(self.estimate(stages["inversion"], batch), batch.scene)

    def _consistency(self, stages: dict[str, Tensor], batch: Batch, physics: LinearOperator) -> Tensor:
        if "pre" not in stages:
            raise InputError("weights.consistency: expected a model with a pre-processor, this one has none")
        expected = physics(stages["image"].float())
        return functional.mse_loss(stages["pre"].float(), expected) / batch.measurement.square().mean()


def match_gain(x: Tensor, truth: Tensor) -> Tensor:
    """a x with the a of each image that minimises ||a x - truth||^2; x of zeros stays."""
    energy = x.square().flatten(1).sum(1)
    gain = (x * truth).flatten(1).sum(1) / energy.clamp_min(torch.finfo(x.dtype).tiny)
    return per_sample(gain, x.ndim) * x


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """-10 log10 mean (x - truth)^2 of each image, dB relative to white at 1, (B,)."""
    return -10 * (x - truth).square().flatten(1).mean(1).log10()


def ssim(x: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each image, (B,): :func:`lensless.evaluation.metrics.ssim`, differentiable."""
    _, everywhere = structural_similarity_index_measure(
        x, truth, data_range=1.0, reduction="none", return_full_image=True
    )
    border = SSIM_WINDOW // 2  # where the window would look beyond the image
    return everywhere[..., border:-border, border:-border].flatten(1).mean(1)
