import numpy as np
import pytest
import torch
from PIL import Image

from lensless.physics.lcd import random_pattern as simulated_pattern
from lensless_capture.errors import InputError
from lensless_capture.mask import from_files, from_seeds, on_pixels, random_pattern
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
    mask = from_seeds(screen, (3, 4), (6, 5))
    assert mask.shown is None and mask.about == [{"seed": 3, "shape": [6, 5]}, {"seed": 4, "shape": [6, 5]}]
    for label, seed in zip(mask.labels, (3, 4), strict=True):
        mask.show(label)
        np.testing.assert_array_equal(screen.shown, on_pixels(random_pattern(seed, (6, 5)), screen.size))
        assert mask.shown == label
    mask.close()
    assert screen.shown.max() == 0 and mask.shown is None
    with pytest.raises(InputError, match="mask: expected a label from 0 to 1, got 2"):
        mask.show(2)


def test_patterns_come_from_files_of_the_lcds_size(tmp_path):
    with pytest.raises(InputError, match="holds no PNG"):
        from_files(SimulatedScreen((4, 8)), tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 8, 3), dtype=np.uint8)
    for name, picture in zip("ba", pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    mask = from_files(SimulatedScreen((4, 8)), tmp_path)
    np.testing.assert_array_equal(mask.patterns, pictures[::-1])
    assert [entry["file"] for entry in mask.about] == ["a.png", "b.png"]
    with pytest.raises(InputError, match=r"a.png: expected the LCD's \(8, 4\) pixels, got \(4, 8\)"):
        from_files(SimulatedScreen((8, 4)), tmp_path)


def test_patterns_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"shape: expected \(3 h, w\) sub-pixels of at most \(12, 8\), got \(7, 5\)"):
        on_pixels(np.zeros((7, 5)), (4, 8))
