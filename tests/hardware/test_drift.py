import numpy as np
import pytest

from lensless_capture.cameras.base import Settings
from lensless_capture.cameras.bench import Bench
from lensless_capture.cameras.psfs import caustic
from lensless_capture.cameras.virtual import VirtualCamera
from lensless_capture.drift import cells, compare, warning
from lensless_capture.screens.base import point
from lensless_capture.screens.simulated import SimulatedScreen

SIZE = (97, 130)


def shots_of_a_point(move):
    """Cells of a noisy frame of a point through a diffuser, and of another after it has moved."""
    screen = SimulatedScreen((240, 320))
    screen.show(point(screen.size, radius=5))
    bench = Bench(lambda label: caustic(0, SIZE), screen=screen, move=move, disturbances={1: "moved"})
    camera = VirtualCamera(bench)
    return [cells(camera.capture(Settings(0.2))) for _ in range(2)]


@pytest.mark.parametrize("move", [(0, 0, 0), (1, -1, 0), (0.5, 2.5, 0), (-6, 8, 0), (3, -2, 1)])
def test_the_shift_of_a_psf_is_found_to_a_fifth_of_a_pixel(move):
    shift, correlation = compare(*shots_of_a_point(move))
    assert shift == pytest.approx(move[:2], abs=0.2)
    whole = all(pixels % 2 == 0 for pixels in move[:2]) and move[2] == 0
    assert (correlation > 0.999) == whole


def test_a_mask_that_turns_shows_in_the_correlation():
    left = [compare(*shots_of_a_point((0, 0, turn)))[1] for turn in (0, 1, 2, 4)]
    assert left[0] > 0.999 and left == sorted(left, reverse=True) and left[3] < 0.97


def test_what_is_too_much_is_said():
    assert warning({"shift": [0.3, -0.4], "correlation": 0.99}) is None
    assert warning({"shift": [0.3, -0.7], "correlation": 0.99}).startswith("the PSF has moved by +0.3, -0.7 pixels")
    assert warning({"shift": [0.0, 0.0], "correlation": 0.8}).startswith("the PSF has changed, it correlates 0.80")
    assert warning({"level": 0.1, "change": -0.01}) is None
    assert warning({"level": 0.1, "change": -0.05}) == "the light around has changed by -5.0% of full scale"


def test_cells_do_not_depend_on_the_exposure(frame):
    counts = np.random.default_rng(0).integers(300, 2000, (8, 9))
    brighter = frame(256 + 2 * (counts - 256), exposure=0.02)
    np.testing.assert_allclose(cells(frame(counts)), cells(brighter), rtol=1e-6)
    assert cells(frame(counts)).shape == (4, 4) and cells(frame(counts)).mean() == pytest.approx(1)
