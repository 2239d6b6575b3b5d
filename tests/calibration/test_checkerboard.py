"""A checkerboard in soft, noisy, mirrored pictures of it, and in reconstructions of what a camera measured."""

import math

import cv2
import numpy as np
import pytest
import torch

from lensless.calibration.alignment import mirror
from lensless.calibration.checkerboard import Board, find_checkerboard, find_saddles, grow_lattice
from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system
from lensless.recon.admm import ADMM
from lensless_capture.screens.base import checkerboard

SHAPE = (97, 130)


def geometry(size, *, scale=0.3, degrees=2.0, tilt=(0.0, 0.0)):
    """From a board of ``size`` to pictures of SHAPE, its middle 3 pixels right of theirs and 2 above."""
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    matrix = np.array([[c, -s, 0], [s, c, 0], [*tilt, 1.0]])
    middle = matrix @ [size[1] / 2, size[0] / 2, 1]
    shift = np.array([SHAPE[1] / 2 + 3, SHAPE[0] / 2 - 2]) - middle[:2] / middle[2]
    return np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]) @ matrix


def seen(board, matrix, shape=SHAPE):
    """(h, w) of the board in the picture, each pixel the mean of 5 x 5 points."""
    fine = np.array([[5, 0, 2], [0, 5, 2], [0, 0, 1.0]])
    picture = cv2.warpPerspective(board.picture(), fine @ matrix, (5 * shape[1], 5 * shape[0]), flags=cv2.INTER_LINEAR)
    return cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA)


def soft(picture, seed=0):
    """What a reconstruction makes of it: blurred, noisy, unevenly lit."""
    random = np.random.default_rng(seed)
    shade = cv2.GaussianBlur(random.standard_normal(picture.shape), (0, 0), 12)
    blurred = cv2.GaussianBlur(picture, (0, 0), 1.3) * (1 + 0.3 * shade / shade.std())
    noise = cv2.GaussianBlur(random.standard_normal(picture.shape), (0, 0), 0.7)
    return torch.from_numpy((0.2 * blurred + 0.02 * noise / noise.std()).astype(np.float32))[None]


def corner_error(alignment, matrix):
    height, width = alignment.size
    corners = np.array([[[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]], np.float64)
    places = [cv2.perspectiveTransform(corners, np.array(one)) for one in (alignment.matrix, matrix)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max())


def test_corners_lie_between_the_pixels_where_squares_meet():
    board = Board((17, 21), 4)
    # a last row of one pixel, and columns of one, are no squares
    assert board.corners == (3, 4) and Board((16, 22), 4).corners == (3, 5)
    picture = board.picture()
    assert picture[0, 0] == 1 and picture[0, 4] == 0 and picture[4, 12] == 1
    assert board.places(np.array([[0, 0], [2, 3]])).tolist() == [[3.5, 3.5], [15.5, 11.5]]
    # between black and white on either side
    assert picture[3:5, 11:13].tolist() == [[1, 0], [0, 1]]


def test_one_square_is_marked_and_has_no_corners():
    board = Board((17, 21), 4)
    assert board.mark == (1, 1) and not board.picture()[4:8, 4:8].any() and board.count == 12 - 4
    corners = np.array([[0, 0], [1, 1], [0, 2], [2, 0], [3, 0], [0, -1]])
    assert board.shows(corners).tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize(("size", "square"), [((240, 320), 40), ((225, 300), 33), ((77, 51), 9), ((16, 17), 4)])
def test_the_board_is_the_one_that_the_pi_shows_and_is_no_mirror_image_of_itself(size, square):
    board = Board(size, square)
    np.testing.assert_array_equal(255 * board.picture(), checkerboard(size, square=square)[..., 1])
    rows, columns = board.corners
    row, column = board.mark
    # where mirroring its corners would take it
    assert row != rows - row and column != columns - column


def test_a_saddle_is_found_to_parts_of_a_pixel():
    y, x = np.mgrid[:31, :41].astype(float)
    image = np.tanh((x - 20.3) / 4) * np.tanh((y - 14.6) / 4)
    assert find_saddles(image, 1.0)[0] == pytest.approx([20.3, 14.6], abs=0.05)
    assert len(find_saddles(np.exp(-((x - 20) ** 2 + (y - 15) ** 2) / 30), 1.0)) == 0


def test_a_lattice_is_grown_through_strays():
    random = np.random.default_rng(0)
    cells = np.array([(row, column) for row in range(5) for column in range(7)])
    turn = np.array([[math.cos(0.3), math.sin(0.3)], [-math.sin(0.3), math.cos(0.3)]])
    points = 9.0 * cells[:, ::-1] @ turn + 40
    strays = random.uniform(0, 100, (8, 2))
    found = grow_lattice(np.concatenate([points, strays]) + 0.3 * random.standard_normal((43, 2)))
    assert len(found) >= 35
    (row, column), place = next(iter(found.items()))
    right = found[row, column + 1] - place
    assert math.atan2(right[1], right[0]) == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize(
    ("size", "square", "options"),
    [
        ((240, 320), 40, {}),
        ((240, 320), 20, {"degrees": -6.0}),
        ((225, 300), 33, {"scale": 0.28}),
        ((240, 320), 40, {"tilt": (2e-4, -3e-4)}),
    ],
)
def test_a_board_is_found_where_it_is(size, square, options):
    board, matrix = Board(size, square), geometry(size, **options)
    model = "homography" if "tilt" in options else "similarity"
    found = find_checkerboard(soft(seen(board, matrix)), board, model=model)
    # eight numbers of 35 corners that are known to half a pixel, at the monitor's own corners
    assert corner_error(found.alignment, matrix) < (1.0 if model == "homography" else 0.5)
    assert len(found.corners) > 0.9 * board.count
    assert found.spread < 0.7 and found.correlation > 0.6
    there = cv2.perspectiveTransform(found.places[None], matrix)[0]
    assert float(np.abs(there - found.corners).mean()) < 0.4


@pytest.mark.parametrize("flip", ["none", "vertical", "horizontal", "both"])
@pytest.mark.parametrize(("size", "square"), [((240, 320), 40), ((225, 300), 25)])
def test_how_a_board_is_mirrored_is_found(flip, size, square):
    board = Board(size, square)
    matrix = mirror(flip, SHAPE) @ geometry(board.size)
    found = find_checkerboard(soft(seen(board, matrix)), board)
    assert found.alignment.flip == flip
    assert corner_error(found.alignment, matrix) < 0.5
    # two squares differ between the board and its mirror images
    assert found.lead > found.correlation / board.count


def test_without_its_mark_a_board_has_no_lead():
    board, matrix = Board((240, 320), 40), geometry((240, 320))

    class Plain(Board):
        def picture(self):
            rows, columns = np.indices(self.size) // self.square
            return ((rows + columns) % 2 == 0).astype(np.float32)

    found = find_checkerboard(soft(seen(Plain(board.size, board.square), matrix)), board)
    assert found.lead < found.correlation / board.count


def test_a_large_picture_is_shrunk_first():
    board, matrix = Board((240, 320), 40), geometry((240, 320))
    larger = np.array([[9, 0, 4], [0, 9, 4], [0, 0, 1.0]]) @ matrix
    picture = cv2.GaussianBlur(seen(board, larger, (9 * SHAPE[0], 9 * SHAPE[1])), (0, 0), 10)
    found = find_checkerboard(torch.from_numpy(picture)[None], board)
    assert corner_error(found.alignment, larger) < 2  # of 1170 pixels


@pytest.mark.parametrize("name", ["tape", "multilens"])
def test_a_board_is_found_in_a_reconstruction(name):
    system = get_system(name, size="small")
    board = Board((240, 320), 40)
    matrix = np.array([[1, 0, -1], [0, 1, 0], [0, 0, 1.0]]) @ geometry(board.size, tilt=(1e-4, 0.0))
    scene = torch.from_numpy(seen(board, matrix, (96, 128))).expand(1, 3, -1, -1)
    y = system.measure(scene, sample_generator(0, 0))
    found = find_checkerboard(ADMM(60)(y, LenslessConvolution(system.psf))[0], board)
    assert len(found.corners) == board.count == 31
    assert corner_error(found.alignment, matrix) < 0.6


def test_what_shows_no_board_is_refused():
    board = Board((240, 320), 40)
    noise = torch.rand(1, 90, 120, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"board: \d+ of 31 inner corners found .*is all of it in view"):
        find_checkerboard(noise, board)
    with pytest.raises(InputError, match="board: 0 of 31 inner corners found"):
        find_checkerboard(torch.zeros(3, 90, 120), board)
    with pytest.raises(InputError, match="board: expected 4 squares or more along each side"):
        Board((240, 320), 61)
