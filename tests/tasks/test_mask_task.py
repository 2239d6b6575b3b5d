"""`lensless mask`: what it writes, prints and refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.physics.mask_designs import mura_mask
from lensless.physics.psf import Optics, point_source_psf
from lensless.tasks.compose import task_file
from lensless.tasks.help import read_page

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
def test_the_command_on_the_help_page_fits_the_measured_tape_as_it_says(tmp_path):
    page = " ".join(line.strip() for line in read_page(task_file("mask")).heading)
    words = re.search(r"lensless (mask tape .*?downsample=\d)", page)[1].split()
    assert main([*words, f"measured={TUTORIAL}", f"output={tmp_path}"]) == 0
    numbers = json.loads((tmp_path / "mask.json").read_text(encoding="utf-8"))["numbers"]
    stated = re.search(r"sidelobe ([\d.]+) simulated and ([\d.]+) measured, effective rank ([\d.]+) and ([\d.]+)", page)
    found = [numbers[name][key] for key in ("peak_to_sidelobe", "effective_rank") for name in ("simulated", "measured")]
    assert found == pytest.approx([float(number) for number in stated.groups()], rel=3e-3)
    assert numbers["simulated"]["mtf_difference_db"] == pytest.approx(1.6, abs=0.05)
