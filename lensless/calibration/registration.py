"""The geometry between lensed pictures and lensless reconstructions, found from pairs of them.

A lensless reconstruction shows its scene with streaks, halos and a brightness of its own, so no single feature is to be
trusted. The local contrast of whole images is compared instead: first roughly, of all pairs together, for every
mirroring and size; then, pair by pair, to parts of a pixel by maximising the correlation (Evangelidis & Psarakis,
"Parametric image alignment using enhanced correlation coefficient maximization", IEEE TPAMI 30, 2008); last, a robust
fit through what the pairs say leaves out those that went astray.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from lensless.calibration.alignment import Alignment, mirror
from lensless.errors import InputError, require

MODELS = ("similarity", "homography")
FLIPS = {"none": None, "vertical": 0, "horizontal": 1, "both": -1}  # with OpenCV's code
# longer side of a reconstruction in the rough search, pixels, and the ratio of neighbouring sizes
ROUGH_SIDE = 128
SIZE_STEP = 1.05
# share of a reconstruction's side that a scene may reach beyond it, and least side of a scene in the rough search
MARGIN = 0.25
LEAST_SIDE = 12
# standard deviations of the Gaussians whose difference is the local contrast: pixels, and a share of the longer side
FINE, COARSE = 1.0, 1 / 12
# scene points that stand for the geometry of a pair, along each side; distance in pixels up to which pairs agree
POINTS = 5
AGREEMENT = 2.0
ITERATIONS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-7)


@dataclass(frozen=True)
class Registration:
    """The alignment that was found, and how sure it is.

    correlations: of local contrast, one for each pair, under the alignment. used: pairs that the robust fit kept.
    spread: root mean square distance, in reconstruction pixels, between where these pairs on their own place points of
    the scene and where the alignment does.
    """

    alignment: Alignment
    correlations: list[float]
    used: int
    spread: float


def register(
    estimates: Sequence[Tensor],
    scenes: Sequence[Tensor],
    *,
    model: str = "similarity",
    scales: tuple[float, float] = (0.1, 2.0),
    least_correlation: float = 0.3,
) -> Registration:
    """Find where the scenes lie in the reconstructions of their measurements; one geometry for all pairs.

    estimates: reconstructions (C, H, W) of one size. scenes: pictures (C, h, w) of one size, in the same order.
    model: "similarity" for mirroring, scale, shift and a rotation of some degrees; "homography" for a plane seen at an
    angle besides. scales: least and most reconstruction pixels a scene pixel. least_correlation: of the median pair,
    below which nothing counts as found. Raises InputError on other shapes and where the pictures do not match.
    """
    require(model in MODELS, f"model: expected {' or '.join(MODELS)}, got {model!r}")
    require(0 < scales[0] <= scales[1], f"scales: expected 0 < least <= most, got {scales}")
    count = len(estimates)
    require(len(scenes) == count > 0, f"scenes: expected one for each of {count} estimates, got {len(scenes)}")
    for name, images in (("estimates", estimates), ("scenes", scenes)):
        sizes = {tuple(image.shape[-2:]) for image in images}
        require(len(sizes) == 1, f"{name}: expected one size, got {sorted(sizes)}")
    targets, pictures = ([_gray(image) for image in images] for images in (estimates, scenes))
    axes, scale, start = _rough(targets, pictures, scales)
    pictures = [_flipped(picture, axes) for picture in pictures]
    points = _grid(pictures[0].shape)
    placed = [
        _placed(target, picture, scale, start, points, model)
        for target, picture in zip(targets, pictures, strict=True)
    ]
    matrix, used, spread = _common([one for one in placed if one is not None], points, model)
    correlations = [_correlation(target, picture, matrix) for target, picture in zip(targets, pictures, strict=True)]
    median = float(np.median(correlations))
    if used == 0 or median < least_correlation:
        raise InputError(
            f"scenes: they correlate with the reconstructions by {median:.2f} at best, expected {least_correlation} or "
            "more; are they paired, is the PSF this camera's, and is the scale within its limits?"
        )
    matrix = matrix @ mirror(axes, pictures[0].shape)
    return Registration(Alignment(tuple(map(tuple, matrix)), pictures[0].shape), correlations, used, spread)


def local_contrast(image: np.ndarray) -> np.ndarray:
    """Difference of a fine and a coarse Gaussian blur (H, W), of mean square 1: edges, whatever the light around."""
    coarse = max(COARSE * max(image.shape), 2 * FINE)
    contrast = cv2.GaussianBlur(image, (0, 0), FINE) - cv2.GaussianBlur(image, (0, 0), coarse)
    return contrast / max(float(np.sqrt((contrast**2).mean())), 1e-12)


def pixel_scaling(shape: Sequence[int], resized: Sequence[int]) -> np.ndarray:
    """From the pixel centres of an image of ``shape`` to those of its resized copy, whose outer edges are the same."""
    x, y = resized[1] / shape[1], resized[0] / shape[0]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _rough(
    targets: list[np.ndarray], pictures: list[np.ndarray], scales: tuple[float, float]
) -> tuple[str, float, np.ndarray]:
    """Mirroring, scale, and the first 3 x 3 matrix from the mirrored pictures, resized by the scale, to the targets."""
    shrink = min(ROUGH_SIDE / max(targets[0].shape), 1)
    small = [local_contrast(_resized(target, shrink)) for target in targets]
    margin = [int(MARGIN * side) for side in small[0].shape]
    small = [np.pad(image, [(side, side) for side in margin]) for image in small]
    steps = 1 + int(np.ceil(np.log(scales[1] / scales[0]) / np.log(SIZE_STEP)))
    best = (-np.inf, "none", scales[0], (0, 0))
    for scale in np.geomspace(*scales, steps):
        shape = [round(scale * shrink * side) for side in pictures[0].shape]
        if min(shape) < LEAST_SIDE or any(part > whole for part, whole in zip(shape, small[0].shape, strict=True)):
            continue
        templates = [local_contrast(_resized(picture, scale * shrink)) for picture in pictures]
        for axes in FLIPS:
            match = sum(
                cv2.matchTemplate(target, _flipped(template, axes), cv2.TM_CCORR_NORMED)
                for target, template in zip(small, templates, strict=True)
            )
            _, height, _, corner = cv2.minMaxLoc(match)
            # the chance of a high correlation falls with the pixels that it is over
            best = max(best, (height * np.sqrt(np.prod(shape)), axes, scale, corner))
    _, axes, scale, corner = best
    shift = (np.array(corner) - margin[::-1]) / shrink
    return axes, scale, np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])


def _placed(
    target: np.ndarray, picture: np.ndarray, scale: float, start: np.ndarray, points: np.ndarray, model: str
) -> np.ndarray | None:
    """Where one pair on its own places the scene's points in the target, None where it does not converge."""
    motion = cv2.MOTION_HOMOGRAPHY if model == "homography" else cv2.MOTION_AFFINE
    warp = start[: 3 if model == "homography" else 2].astype(np.float32)
    template, image = (local_contrast(one) for one in (_resized(picture, scale), target))
    try:
        for blur in (15, 5):  # pixels of ECC's own Gaussian: first to come near, then to be exact
            _, warp = cv2.findTransformECC(template, image, warp, motion, ITERATIONS, None, blur)
    except cv2.error:
        return None
    matrix = np.vstack([warp, [0, 0, 1]]) if len(warp) == 2 else warp
    return _apply(matrix.astype(np.float64) @ pixel_scaling(picture.shape, template.shape), points)


def _common(placed: list[np.ndarray], points: np.ndarray, model: str) -> tuple[np.ndarray, int, float]:
    """The matrix that most pairs agree on, how many these are, and the root mean square of what they differ by."""
    if not placed:
        return np.eye(3), 0, np.inf
    there, here = np.concatenate(placed), np.tile(points, (len(placed), 1))
    if model == "homography":
        matrix, kept = cv2.findHomography(here, there, cv2.RANSAC, AGREEMENT)
    else:
        matrix, kept = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=AGREEMENT)
        matrix = np.eye(3) if matrix is None else np.vstack([matrix, [0, 0, 1]])
    if matrix is None:
        return np.eye(3), 0, np.inf
    kept = kept.ravel().astype(bool)
    errors = ((_apply(matrix, here) - there) ** 2).sum(1)[kept]
    return matrix, int(kept.reshape(len(placed), -1).any(1).sum()), float(np.sqrt(errors.mean()))


def _correlation(target: np.ndarray, picture: np.ndarray, matrix: np.ndarray) -> float:
    """Of local contrast, on the picture's pixels that the target shows."""
    size, flags = picture.shape[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(np.ones_like(target), matrix, size, flags=flags) > 0.99
    a, b = cv2.warpPerspective(local_contrast(target), matrix, size, flags=flags)[seen], local_contrast(picture)[seen]
    return float(np.corrcoef(a, b)[0, 1]) if seen.sum() > 1 and a.std() > 0 and b.std() > 0 else 0.0


def _gray(image: Tensor) -> np.ndarray:
    return image.detach().float().mean(0).cpu().numpy()


def _flipped(image: np.ndarray, axes: str) -> np.ndarray:
    return image if FLIPS[axes] is None else cv2.flip(image, FLIPS[axes])


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    size = [max(round(factor * side), 1) for side in image.shape[::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def _grid(shape: Sequence[int]) -> np.ndarray:
    u, v = np.meshgrid(np.linspace(0, shape[1] - 1, POINTS), np.linspace(0, shape[0] - 1, POINTS))
    return np.stack([u.ravel(), v.ravel()], 1)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(points[None], matrix)[0]
