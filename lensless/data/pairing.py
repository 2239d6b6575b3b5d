"""Whether measurements and scenes belong together: what a measurement shows, against the scenes around it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lensless.calibration.registration import local_contrast
from lensless.errors import require

# rows by which a table may have slipped
REACH = 3
# in correlation, by which another scene has to match better than a sample's own
MARGIN = 0.05


@dataclass(frozen=True)
class Pairing:
    """How well estimates and scenes match.

    correlations: (N, N), of estimate i with scene j. shift: the d for which scene i + d matches estimate i best, 0
    where they are paired. strangers: places of samples that another scene matches better than their own.
    """

    correlations: np.ndarray
    shift: int
    strangers: list[int]

    @property
    def own(self) -> float:
        """Median correlation of the estimates with their own scenes."""
        return float(np.median(np.diag(self.correlations)))


def check_pairing(estimates: Sequence[Tensor], scenes: Sequence[Tensor]) -> Pairing:
    """Compare the local contrast of reconstructions with that of scenes, all (C, H, W), on the scenes' pixels.

    They are of samples that follow each other in the data set. Raises InputError unless there are two or more of both.
    """
    count = len(estimates)
    require(len(scenes) == count > 1, f"scenes: expected one for each of two or more estimates, got {len(scenes)}")
    a, b = (np.stack([_features(image) for image in images]) for images in (estimates, scenes))
    correlations = a @ b.T
    shifts = range(-min(REACH, count - 1), min(REACH, count - 1) + 1)
    means = {shift: float(np.mean(np.diagonal(correlations, shift))) for shift in shifts}
    best = max(means, key=means.__getitem__)
    shift = best if means[best] > means[0] + MARGIN else 0
    strangers = [i for i in range(count) if correlations[i].max() > correlations[i, i] + MARGIN]
    return Pairing(correlations, shift, strangers)


def _features(image: Tensor) -> np.ndarray:
    contrast = local_contrast(image.float().mean(0).numpy()).ravel()
    contrast = contrast - contrast.mean()
    return contrast / max(float(np.linalg.norm(contrast)), 1e-12)
