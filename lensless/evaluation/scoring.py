"""How good a reconstruction is, by every measure that the benchmark reports."""

import torch
from torch import Tensor

from lensless.errors import check_name, require
from lensless.evaluation.lpips import LPIPS, NETWORKS
from lensless.evaluation.metrics import affine_fit, psnr, ssim
from lensless.images.gamma import linear_to_srgb
from lensless.physics.operator import LinearOperator

# how an estimate is brought to the scene's brightness before it is compared
FORMS = ("strict", "affine")


class Scorer:
    """Scores of reconstructions x of a batch of scenes t, as dictionaries of numbers, one an image.

        mse, psnr, ssim     of the linear images, white at 1
        lpips_alex, ...     LPIPS of the same as sRGB in [0, 1]
        reprojection        ||A x - y|| / ||y||, A the camera as the reconstruction knows it, y what it was given

    All but the last come twice, as "strict/..." of x as it is and as "affine/..." of a x + b, with the one gain a and
    offset b of an image that bring it closest to t (:func:`lensless.evaluation.metrics.affine_fit`), which uses t.

    scenes: (B, C, h, w), 1 or 3 channels. lpips: networks of :class:`LPIPS`, perhaps none.
    """

    def __init__(self, scenes: Tensor, *, lpips: dict[str, LPIPS]):
        self.scenes, self.lpips = scenes, lpips
        shown = linear_to_srgb(scenes.clamp(0, 1))
        with torch.no_grad():
            self.features = {name: network.features(shown) for name, network in lpips.items()}

    @torch.no_grad()
    def __call__(self, estimates: Tensor) -> list[dict[str, float]]:
        """estimates: (B, C, h, w), on the scenes' pixels. Raises InputError on other shapes and on NaN."""
        require(
            estimates.shape == self.scenes.shape,
            f"estimates: expected {tuple(self.scenes.shape)} like the scenes, got {tuple(estimates.shape)}",
        )
        found: list[dict[str, float]] = [{} for _ in estimates]
        for form, images in zip(FORMS, (estimates, _fitted(estimates, self.scenes)), strict=True):
            for scores, image, scene in zip(found, images, self.scenes, strict=True):
                scores[f"{form}/mse"] = float((image.double() - scene.double()).square().mean())
                scores[f"{form}/psnr"] = psnr(image, scene)
                scores[f"{form}/ssim"] = ssim(image, scene)
            shown = linear_to_srgb(images.clamp(0, 1))
            for name, network in self.lpips.items():
                distances = network.distance(network.features(shown), self.features[name])
                for scores, distance in zip(found, distances.tolist(), strict=True):
                    scores[f"{form}/lpips_{name}"] = distance
        return found


def perceptual(names: list[str]) -> dict[str, LPIPS]:
    """The LPIPS networks of these names. Raises InputError on an unknown one, and where their weights are missing."""
    for name in names:
        check_name("lpips", name, list(NETWORKS))
    return {name: LPIPS(name) for name in names}


@torch.no_grad()
def reprojection(x: Tensor, y: Tensor, physics: LinearOperator) -> list[float]:
    """||A x - y|| / ||y|| of each sample; x (B, *physics.scene_shape), y (B, *physics.sensor_shape)."""
    misfit = torch.linalg.vector_norm((physics(x) - y).flatten(1), dim=1)
    return (misfit / torch.linalg.vector_norm(y.flatten(1), dim=1)).tolist()


def _fitted(estimates: Tensor, scenes: Tensor) -> Tensor:
    lines = [affine_fit(image, scene) for image, scene in zip(estimates, scenes, strict=True)]
    return torch.stack([gain * image + offset for (gain, offset), image in zip(lines, estimates, strict=True)])
