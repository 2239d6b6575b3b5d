import numpy as np
import pytest
import torch
from PIL import Image

from lensless.physics.lcd import random_pattern as simulated_pattern
from lensless_capture.errors import InputError
from lensless_capture.mask import ProgrammableMask, from_files, on_pixels, random_pattern
from lensless_capture.screens.simulated import SimulatedScreen


@pytest.mark.parametrize(("seed", "shape"), [(0, (6, 5)), (7, (54, 26)), (2**31, (61, 47))])
def test_a_seed_is_the_same_pattern_as_in_the_simulation(seed, shape):
    assert torch.equal(torch.from_numpy(random_pattern(seed, shape)), simulated_pattern(seed, shape))


def test_sub_pixels_lie_on_the_colours_of_the_pixels_in_the_middle():
    values = np.arange(6 * 5).reshape(6, 5) / 255
    picture = on_pixels(values, (4, 8))
    assert picture.shape == (4, 8, 3)
    for row in range(6):
        # pixel rows 1 and 2, columns 1 to 5; sub-pixel row 3 i + c is colour c
        np.testing.assert_array_equal(picture[1 + row // 3, 1:6, row % 3], 5 * row + np.arange(5))
    assert picture[[0, 3]].max() == picture[:, [0, 6, 7]].max() == 0


def test_labels_choose_the_pattern_and_closing_is_dark():
    screen = SimulatedScreen((4, 8))
    patterns = [on_pixels(random_pattern(seed, (6, 5)), screen.size) for seed in (3, 4)]
    mask = ProgrammableMask(screen, patterns)
    for label in mask.labels:
        mask.show(label)
        np.testing.assert_array_equal(screen.shown, patterns[label])
    mask.close()
    assert screen.shown.max() == 0
    with pytest.raises(InputError, match="mask: expected a label from 0 to 1, got 2"):
        mask.show(2)


def test_patterns_come_from_files_of_the_lcds_size(tmp_path):
    with pytest.raises(InputError, match="holds no PNG"):
        from_files(tmp_path, (4, 8))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 8, 3), dtype=np.uint8)
    for name, picture in zip("ba", pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    np.testing.assert_array_equal(from_files(tmp_path, (4, 8)), pictures[::-1])
    with pytest.raises(InputError, match=r"a.png: expected the LCD's \(8, 4\) pixels, got \(4, 8\)"):
        from_files(tmp_path, (8, 4))


def test_patterns_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"shape: expected \(3 h, w\) sub-pixels of at most \(12, 8\), got \(7, 5\)"):
        on_pixels(np.zeros((7, 5)), (4, 8))
