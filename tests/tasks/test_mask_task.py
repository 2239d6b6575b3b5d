"""`lensless mask`: what it writes, prints and refuses."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.physics.mask_designs import mura_mask
from lensless.physics.psf import Optics, point_source_psf

TUTORIAL = Path(__file__).parents[3] / "shared" / "data" / "diffusercam_tutorial" / "psf.tif"
WORDS = ["mask.p=5", "optics.sensor_shape=[61,64]", "optics.pixel_pitch=[8e-6,8e-6]", "optics.distance=1e-3"]
PSF = {"sensor_shape": (61, 64), "pixel_pitch": (8e-6, 8e-6), "distance": 1e-3, "oversample": 3}


def psf() -> torch.Tensor:
    optics = Optics(wavelengths=(620e-9, 540e-9, 460e-9), **PSF)
    return point_source_psf(mura_mask(5, cell=30e-6), optics.demagnified(0.4)).detach()


def test_it_writes_a_figure_and_the_numbers_of_the_psf(tmp_path, capsys):
    assert main(["mask", "mura", *WORDS, f"output={tmp_path}", "name=five"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["five.json", "five.png"]
    record = json.loads((tmp_path / "five.json").read_text(encoding="utf-8"))
    assert record["config"]["mask"]["p"] == 5
    numbers = record["numbers"]["simulated"]
    assert numbers["light_captured"] == pytest.approx(float(psf().sum() / 3), rel=1e-5)
    # 13 of 25 cells of the mask are open, and some light is diffracted off the sensor
    assert 0.4 < numbers["light_captured"] < 13 / 25
    assert f"condition {numbers['condition']:.4g}" in capsys.readouterr().out


def test_a_measured_psf_that_is_the_simulated_one_differs_by_nothing(tmp_path, capsys):
    np.save(tmp_path / "measured.npy", psf().movedim(0, -1).numpy())
    words = [f"output={tmp_path / 'out'}", f"measured={tmp_path / 'measured.npy'}", "measured_pitch=8e-6"]
    assert main(["mask", "mask=mura", *WORDS, *words]) == 0
    numbers = json.loads((tmp_path / "out" / "mask.json").read_text(encoding="utf-8"))["numbers"]
    assert numbers["simulated"]["mtf_difference_db"] == pytest.approx(0, abs=1e-3)
    assert numbers["measured"]["effective_rank"] == pytest.approx(numbers["simulated"]["effective_rank"], rel=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["difuser"], "mask: 'difuser' is not known; did you mean diffuser?"),
        (["mura", *WORDS, "source_distance=0.0"], "source_distance: expected metres > 0"),
        (["mura", *WORDS, "measured=none.npy"], "none.npy"),
        (["mura", *WORDS, "measured=x.npy", "measured_pitch=-1.0"], "measured_pitch: expected metres > 0"),
        (["mura", *WORDS, "optics.distance=0.5"], "distance"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_written(tmp_path, capsys, words, message):
    assert main(["mask", *words, f"output={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not TUTORIAL.exists(), reason="needs ../shared/data/diffusercam_tutorial")
def test_the_measured_tape_has_a_clear_autocorrelation_peak(tmp_path):
    words = [f"measured={TUTORIAL}", "measured_prepare.background=corner", "measured_prepare.downsample=8"]
    assert main(["mask", "mura", *WORDS, f"output={tmp_path}", *words, "measured_pitch=12.4e-6"]) == 0
    numbers = json.loads((tmp_path / "mask.json").read_text(encoding="utf-8"))["numbers"]["measured"]
    assert numbers["peak_to_sidelobe"] > 2
    assert 0.05 < numbers["effective_rank"] < 1
    assert math.isfinite(numbers["condition"])
