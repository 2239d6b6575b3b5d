"""`lensless bench`: what it writes is a rig that `lensless-capture` opens, with the simulated camera's optics."""

import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.physics.cfa import mosaic
from lensless.physics.system import get_system
from lensless_capture.cameras.base import Settings
from lensless_capture.cameras.psfs import stored_psfs
from lensless_capture.mask import on_pixels, random_pattern
from lensless_capture.rig import read_rig, rig_opener


@pytest.fixture
def bench(tmp_path):
    def bench(*words, code=0):
        assert main(["bench", *words, "size=tiny", f"out={tmp_path / 'bench'}"]) == code
        return tmp_path / "bench" / "rig.toml"

    return bench


def test_its_frames_are_those_of_the_simulated_camera(bench):
    system = get_system("tape", size="tiny", mask_seed=3, settings={"ambient": 0.1})
    # one pixel of the monitor for one of the scene
    file = bench("mask_seed=3", "system.ambient=0.1", "white=20.0", "monitor=[36,48]", "fill=1.0")
    picture = np.zeros((36, 48, 3), np.uint8)
    picture[5:20, 11:40] = (255, 0, 255)
    with rig_opener(read_rig(str(file)))() as rig:
        rig.display.show(picture)
        pixels, reported = rig.camera.capture(Settings(0.02))
    scene = torch.from_numpy(picture / 255).float().movedim(-1, 0)[None]
    light = 20 * (system.physics(scene) + system.background)
    # IMX477: response 0.323, 1, 0.7; black level 256 of 12 bits
    expected = 256 + 3839 * 0.02 * mosaic(light * torch.tensor([0.323, 1.0, 0.7]).reshape(3, 1, 1), "RGGB")
    np.testing.assert_allclose(pixels, expected[0, 0], atol=2)
    assert (reported.bits, reported.black_level, reported.bayer) == (12, 256, "RGGB")


def test_an_lcd_shows_the_patterns_of_its_seeds(bench):
    file = bench("system=digicam", "n_masks=2", "mask_seed=5")
    for label in (0, 1):
        psf = get_system("digicam", size="tiny", mask_seed=5 + label).psf
        np.testing.assert_array_equal(stored_psfs(file.parent / "psfs")(label), psf)
    with rig_opener(read_rig(str(file)))() as rig:
        assert rig.mask.about == [{"seed": 5, "shape": [54, 26]}, {"seed": 6, "shape": [54, 26]}]
        rig.mask.show(1)
        np.testing.assert_array_equal(rig.mask.screen.shown, on_pixels(random_pattern(6, (54, 26)), (128, 160)))


def test_several_masks_that_are_no_lcd_hang_on_a_wheel(bench):
    with rig_opener(read_rig(str(bench("system=pinholes", "n_masks=2"))))() as rig:
        assert list(rig.mask.labels) == [0, 1] and rig.camera.info.size == (36, 48)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["n_masks=0"], "n_masks: expected a whole number >= 1, got 0"),
        (["mask_seed=-1"], "mask_seed: expected a whole number >= 0, got -1"),
        (["system=fza", "n_masks=2"], "n_masks: the mask of fza is not drawn from a seed; take 1"),
        (["white=0.0"], "white: expected a rate > 0"),
        (["monitor=[240]"], "monitor: expected (height, width) in pixels, got [240]"),
        (["fill=0.0"], "fill: expected a share > 0, got 0.0"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_written(bench, capsys, words, message):
    assert not bench(*words, code=2).parent.exists()
    assert message in capsys.readouterr().err
