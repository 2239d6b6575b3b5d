"""The examples run, and show what they say they show."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lensless.physics.sensor import get_sensor

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_co_design_improves_scenes_that_it_never_saw():
    module = example("co_design")
    settings = module.Settings(pixels=(28, 36), cells=(21, 27), steps=30, patches=8)
    mask, history, held_out = module.co_design(settings)
    before, after = (module.score(m, held_out, settings) for m in (module.first_mask(settings), mask))
    assert history[0]["held out"] == pytest.approx(before)
    assert after > before + 0.5
    panels = module.figure(settings, mask, history, held_out).axes
    assert len(panels) == 8


def test_co_design_repeats_from_its_seed():
    module = example("co_design")
    settings = module.Settings(pixels=(20, 26), cells=(15, 19), steps=2, patches=8)
    (mask, *_), (again, *_) = module.co_design(settings), module.co_design(settings)
    assert torch.equal(mask.height, again.height)
    assert not torch.equal(mask.height, module.first_mask(settings).height)


@pytest.mark.parametrize("name", ["imx477", "imx296"])
def test_the_photon_transfer_curve_gives_the_stated_gain(name):
    module = example("photon_transfer")
    sensor = replace(get_sensor(name).without_cfa(), shape=(90, 110))
    curve = module.measure(sensor, seed=1)
    assert module.gain(curve) == pytest.approx(sensor.gain, rel=0.02)
    temporal, spatial = module.expected(sensor, curve.mean)
    # rounding adds 1 / 12 to noise of half a count and more, and nobody saturates
    valid = (temporal > 0.25) & (curve.mean < 0.8 * curve.mean.max())
    assert valid.sum() > 15
    # a variance of 9900 values is known to 1.4 %
    assert curve.temporal[valid] == pytest.approx(temporal[valid], rel=0.08)
    assert curve.spatial[valid] == pytest.approx(spatial[valid], rel=0.08)
    assert len(module.figure(sensor, curve, name).axes[0].lines) == 4


def test_the_gallery_has_every_mask():
    module = example("gallery")
    masks = {path.stem for path in (EXAMPLES.parent / "configs" / "mask").glob("*.yaml")}
    assert set(module.DISTANCES) == masks


def test_the_table_of_systems_holds_the_scores_of_what_the_commands_wrote(tmp_path):
    module = example("systems_table")
    simulate = ["scenes=skimage", "n=2", "size=tiny"]
    found = module.scores("digicam", tmp_path, simulate=simulate, reconstruct=["recon.iterations=20"])
    assert len(found) == 2
    for index, one in enumerate(found):
        estimate = np.load(tmp_path / "reconstructed" / "digicam" / f"{index:06d}.npy")
        scene = cv2.imread(str(tmp_path / "digicam" / "scenes" / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
        error = np.mean((estimate - scene[..., ::-1] / 65535) ** 2)
        assert one["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_the_table_of_systems_is_ordered_by_mean_psnr():
    table = example("systems_table").table({
        "low": [{"psnr": 20.0, "ssim": 0.5}, {"psnr": 25.0, "ssim": 0.6}],
        "high": [{"psnr": 31.0, "ssim": 0.9}, {"psnr": 15.5, "ssim": 0.8}],
    })
    assert table.splitlines()[2:] == [
        "| `high` | 23.2 | 15.5, 31.0 | 0.850 |",
        "| `low` | 22.5 | 20.0, 25.0 | 0.550 |",
    ]


def test_a_command_that_fails_ends_the_table(tmp_path):
    with pytest.raises(SystemExit) as stop:
        example("systems_table").scores("digicam", tmp_path, simulate=["scenes=nowhere"], reconstruct=[])
    assert stop.value.code == 2
