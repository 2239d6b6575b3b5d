"""A checkerboard found in a lensless reconstruction, where its squares are soft, dim and uneven.

Where four squares meet, brightness is a saddle, however blurred: its Hessian has a negative determinant. Saddles of
like strength that lie on a lattice are the board's inner corners; the light between and beyond says which is which, and
one white square that is black says how the board is mirrored.
"""

import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from lensless.calibration.alignment import Alignment, mirror
from lensless.calibration.registration import AGREEMENT, FLIPS, MODELS, local_contrast, pixel_scaling
from lensless.errors import InputError, require

# Blurs, pixels, under which saddles are looked for; share of the strongest ones' strength that a saddle has.
BLURS = (0.8, 1.2, 1.8, 2.7, 4.0)
WEAKEST = 0.15
# How far from its place on the lattice a corner may lie, in distances between corners.
ASTRAY = 0.25
# Longest side of the image that is looked at, pixels.
LONGEST = 640
# Fewest corners along each side; the share of the corners and the correlation from which a board counts as found.
FEWEST, LEAST_SHARE, LEAST_CORRELATION = 3, 0.5, 0.4


@dataclass(frozen=True)
class Board:
    """A picture (H, W) of squares of ``square`` pixels, white where row + column of squares is even, but for one: what
    `lensless-capture capture --show checkerboard` shows.

    Raises InputError unless four squares fit along each side.
    """

    size: tuple[int, int]
    square: int

    def __post_init__(self):
        least = (FEWEST + 1) * self.square
        require(
            self.square > 0 and min(self.size) >= least,
            f"board: expected {FEWEST + 1} squares or more along each side, got {self.square} of {self.size} pixels",
        )

    @property
    def corners(self) -> tuple[int, int]:
        """How many inner corners there are along each side, with at least half a square beyond the last one."""
        return tuple((side - self.square // 2) // self.square for side in self.size)

    @property
    def mark(self) -> tuple[int, int]:
        """(row, column) of the white square, up and left of the middle, that is black: no mirror image has it there."""
        row, column = (side // self.square // 2 - 1 for side in self.size)
        return row, column - (row + column) % 2

    @property
    def count(self) -> int:
        """How many inner corners there are to see."""
        return int(self.shows(np.indices(self.corners).reshape(2, -1).T).sum())

    def shows(self, cells: np.ndarray) -> np.ndarray:
        """Which of the inner corners (K, 2), numbered (row, column) from 0, are there: the mark has none, bool (K,)."""
        there = ((cells >= 0) & (cells < self.corners)).all(1)
        around = cells - self.mark
        return there & ~((around >= -1) & (around <= 0)).all(1)

    def picture(self) -> np.ndarray:
        """(H, W) float32, 0 and 1."""
        rows, columns = np.indices(self.size) // self.square
        white = (rows + columns) % 2 == 0
        row, column = self.mark
        white[(rows == row) & (columns == column)] = False
        return white.astype(np.float32)

    def places(self, corners: np.ndarray) -> np.ndarray:
        """Where inner corners (K, 2), numbered (row, column) from 0, lie: (x, y) of pixel centres."""
        return (corners[:, ::-1] + 1.0) * self.square - 0.5


@dataclass(frozen=True, kw_only=True)
class BoardFit:
    """Where the board's pixels lie in a reconstruction, and how sure that is.

    corners: (K, 2), (x, y) of the inner corners that were found, and places: (K, 2), theirs on the board. spread: root
    mean square distance, in pixels of the reconstruction, between corners and alignment. correlation: of local
    contrast, board against reconstruction. lead: by how much it is above that of any other mirroring.
    """

    alignment: Alignment
    corners: np.ndarray
    places: np.ndarray
    spread: float
    correlation: float
    lead: float = 0.0


def find_checkerboard(estimate: Tensor, board: Board, *, model: str = "homography") -> BoardFit:
    """The geometry between a board that was shown and the reconstruction of it: mirrored in any way, and turned by up
    to 45 degrees besides.

    estimate: (C, H, W). model: "similarity" or "homography". Raises InputError where the board is not found.
    """
    require(model in MODELS, f"model: expected {' or '.join(MODELS)}, got {model!r}")
    image = estimate.detach().float().mean(0).cpu().numpy()
    shape, shrink = image.shape, min(LONGEST / max(image.shape), 1)
    image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    mirrored = {flip: image if code is None else cv2.flip(image, code) for flip, code in FLIPS.items()}
    fits = {flip: _best(picture, board, model) for flip, picture in mirrored.items()}
    flip = max(fits, key=lambda one: _correlation_of(fits[one]))
    best, correlation = fits[flip], _correlation_of(fits[flip])
    seen = 0 if best is None else len(best.corners)
    if best is None or seen < LEAST_SHARE * board.count or correlation < LEAST_CORRELATION:
        raise InputError(
            f"board: {seen} of {board.count} inner corners found in the reconstruction (correlation "
            f"{correlation:.2f}), expected half of them (and {LEAST_CORRELATION}): is all of it in view, is the PSF "
            "this camera's, and are the squares over 5 pixels of the reconstruction? `--square` makes larger ones"
        )
    back = pixel_scaling(image.shape, shape) @ mirror(flip, image.shape)
    matrix = back @ np.array(best.alignment.matrix)
    corners = cv2.perspectiveTransform(best.corners[None], back)[0]
    return BoardFit(
        alignment=Alignment(tuple(map(tuple, matrix.tolist())), board.size),
        corners=corners,
        places=best.places,
        spread=best.spread / shrink,
        correlation=correlation,
        lead=correlation - max(_correlation_of(fit) for one, fit in fits.items() if one != flip),
    )


def find_saddles(image: np.ndarray, blur: float) -> np.ndarray:
    """(x, y) to parts of a pixel, (K, 2), of the saddles of the image under a Gaussian blur (pixels), strongest first.

    Where f_xy^2 - f_xx f_yy is largest within two blurs and 15 % of its 98th percentile over all such places; the place
    is that of the quadratic surface through the nine pixels around.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float64), (0, 0), blur)
    gy, gx = np.gradient(smooth)
    fyy, fyx = np.gradient(gy)
    fxy, fxx = np.gradient(gx)
    strength = (fxy * fyx) - fxx * fyy
    reach = 2 * math.ceil(blur) + 1
    peak = (strength == cv2.dilate(strength, np.ones((reach, reach)))) & (strength > 0)
    peak[:2], peak[-2:], peak[:, :2], peak[:, -2:] = False, False, False, False
    if not peak.any():
        return np.empty((0, 2))
    rows, columns = np.nonzero(peak & (strength > WEAKEST * np.percentile(strength[peak], 98)))
    order = np.argsort(-strength[rows, columns])
    rows, columns = rows[order], columns[order]
    # the gradient vanishes at minus the inverse Hessian times it
    step_x = (fxy * gy - fyy * gx)[rows, columns] / -strength[rows, columns]
    step_y = (fyx * gx - fxx * gy)[rows, columns] / -strength[rows, columns]
    near = np.hypot(step_x, step_y) < 1.5
    return np.stack([columns + step_x, rows + step_y], 1)[near]


def grow_lattice(points: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """The largest part of the points (x, y) that lies on a lattice of nearly square cells, by (row, column).

    Rows run to the right within 45 degrees. From each of the strongest points on, neighbours are taken where the last
    step points to, so that the lattice may bend slowly.
    """
    best: dict[tuple[int, int], np.ndarray] = {}
    if len(points) < 4:
        return best
    away = points[None] - points[:, None]
    distance = np.hypot(*away.transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    step = float(np.median(distance.min(1)))
    right = np.array([step, 0.0])
    near = away[distance < 1.3 * step]
    if len(near):  # the angle of neighbours, up to quarter turns
        turned = np.angle(np.mean(np.exp(4j * np.arctan2(near[:, 1], near[:, 0])))) / 4
        right = step * np.array([math.cos(turned), math.sin(turned)])
    for seed in range(min(len(points), 12)):
        found = _grown(points, seed, right)
        if len(found) > len(best):
            best = found
    return best


def _grown(points: np.ndarray, seed: int, right: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    down = np.array([-right[1], right[0]])
    found, taken = {(0, 0): seed}, {seed}
    steps = {(0, 0): (right, down)}
    queue = deque([(0, 0)])
    while queue:
        cell = queue.popleft()
        here = points[found[cell]]
        for turn, sign in itertools.product((0, 1), (1, -1)):
            move = (0, sign) if turn == 0 else (sign, 0)
            to = (cell[0] + move[0], cell[1] + move[1])
            if to in found:
                continue
            expected = here + sign * steps[cell][turn]
            gaps = np.hypot(*(points - expected).T)
            nearest = int(gaps.argmin())
            if nearest in taken or gaps[nearest] > ASTRAY * np.hypot(*steps[cell][turn]):
                continue
            taken.add(nearest)
            found[to] = nearest
            pair = list(steps[cell])
            pair[turn] = sign * (points[nearest] - here)
            steps[to] = tuple(pair)
            queue.append(to)
    return {cell: points[index] for cell, index in found.items()}


def _best(image: np.ndarray, board: Board, model: str) -> BoardFit | None:
    """The upright board that correlates best, of all blurs; None where no lattice is found."""
    most = 4 * math.prod(board.corners)
    lattices = [grow_lattice(find_saddles(image, blur)[:most]) for blur in BLURS]
    found = [_placed(image, lattice, board, model) for lattice in lattices if lattice]
    return max(found, key=_correlation_of, default=None)


def _correlation_of(fit: BoardFit | None) -> float:
    return 0.0 if fit is None else fit.correlation


def _placed(
    image: np.ndarray, lattice: dict[tuple[int, int], np.ndarray], board: Board, model: str
) -> BoardFit | None:
    """The part of the board that the lattice shows best, by the correlation of the board laid there."""
    cells, corners = np.array(list(lattice)), np.array(list(lattice.values()))
    cells = cells - cells.min(0)
    extent = cells.max(0) + 1
    if min(extent) < FEWEST:
        return None
    picture, contrast = local_contrast(board.picture()), local_contrast(image)
    best = None
    # a lattice larger than the board has rows or columns that are none of it
    spare = [whole - part for part, whole in zip(extent.tolist(), board.corners, strict=True)]
    ranges = [range(min(0, left), max(0, left) + 1) for left in spare]
    for shift in itertools.product(*ranges):
        at = cells + shift
        inside = board.shows(at)
        found = _fitted(board.places(at[inside]), corners[inside], model)
        if found is None:
            continue
        matrix, kept, spread = found
        correlation = _correlation(contrast, picture, matrix)
        if best is None or correlation > best.correlation:
            best = BoardFit(
                alignment=Alignment(tuple(map(tuple, matrix.tolist())), board.size),
                corners=corners[inside][kept],
                places=board.places(at[inside])[kept],
                spread=spread,
                correlation=correlation,
            )
    return best


def _fitted(places: np.ndarray, corners: np.ndarray, model: str) -> tuple[np.ndarray, np.ndarray, float] | None:
    """The 3 x 3 matrix from the board to the image, which corners it keeps, and their root mean square distance."""
    if len(corners) < 4:
        return None
    if model == "homography":
        matrix, kept = cv2.findHomography(places, corners, cv2.RANSAC, AGREEMENT)
    else:
        matrix, kept = cv2.estimateAffinePartial2D(places, corners, method=cv2.RANSAC, ransacReprojThreshold=AGREEMENT)
        matrix = None if matrix is None else np.vstack([matrix, [0, 0, 1]])
    if matrix is None or abs(np.linalg.det(matrix)) < 1e-9:
        return None
    kept = kept.ravel().astype(bool)
    errors = cv2.perspectiveTransform(places[None], matrix)[0] - corners
    return matrix, kept, float(np.sqrt((errors[kept] ** 2).sum(1).mean()))


def _correlation(contrast: np.ndarray, picture: np.ndarray, matrix: np.ndarray) -> float:
    """Of local contrast, the board's laid over the image and nothing around it."""
    size: Sequence[int] = contrast.shape[::-1]
    laid = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_AREA)
    return float(np.corrcoef(laid.ravel(), contrast.ravel())[0, 1]) if laid.std() > 0 else 0.0
