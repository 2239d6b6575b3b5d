"""`lensless calibrate mask`: the geometry of an LCD, from the file of its PSF."""

import json
import math

import cv2
import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.images.read import read_image
from lensless.physics.lcd import LCD, LCDMask, random_pattern
from lensless.physics.noise import add_noise_at_snr
from lensless.physics.psf import Optics, point_source_psf
from lensless.physics.random import sample_generator

# as the command line has it
MASK = ["mask.values.shape=[12,7]", "mask.lcd.colour_filter=[[1.0]]", "mask.lcd.wavelengths=[550e-9]"]
LIGHT = ["optics.pixel_pitch=[25e-6,25e-6]", "optics.wavelengths=[550e-9]", "optics.oversample=3"]
START = ["start.distance=4.3e-3", "search.distance=0.15", "search.rotation=0.05"]


@pytest.fixture(scope="module")
def psfs(tmp_path_factory):
    """PSFs of seeds 4 and 5 of a display turned by 0.02, 4 mm before the sensor, 0.4 m behind the source."""
    folder = tmp_path_factory.mktemp("psfs")
    lcd = LCD(rotation=0.02, colour_filter=((1.0,),), wavelengths=(550e-9,))
    optics = Optics(
        sensor_shape=(52, 76), pixel_pitch=(25e-6, 25e-6), distance=4e-3, wavelengths=(550e-9,), oversample=4
    )
    for seed in (4, 5):
        with torch.no_grad():
            psf = point_source_psf(LCDMask(random_pattern(seed, (12, 7)), lcd=lcd), optics, source_distance=0.4).float()
        psf = add_noise_at_snr(psf[None], 30, sample_generator(0, seed))[0]
        np.save(folder / f"psf_{seed:03d}.npy", (psf / psf.sum()).movedim(0, -1).numpy())
    return folder


def test_a_geometry_is_fitted_and_reported(psfs, tmp_path, capsys):
    words = [f"psf={psfs / 'psf_004.npy'}", "mask.values.seed=4", *MASK, *LIGHT, *START, f"out={tmp_path}"]
    assert main(["calibrate", "mask", *words]) == 0
    said = capsys.readouterr().out
    assert "verdict: good" in said and "distance" in said and "+-" in said and "degrees" in said
    content = json.loads((tmp_path / "mask.json").read_text())
    geometry = content["geometry"]
    assert geometry["distance"] == pytest.approx(4e-3, rel=0.01)
    assert math.degrees(geometry["rotation"] - 0.02) == pytest.approx(0, abs=0.1)
    assert geometry["shift"] == pytest.approx([0, 0], abs=0.2)
    assert set(content["standard_deviations"]) == {"distance", "rotation", "shift y", "shift x"}
    measured, model = read_image(psfs / "psf_004.npy"), read_image(tmp_path / "mask_psf.npy")
    assert float((model - measured).square().sum() / measured.square().sum()) < 0.01
    assert cv2.imread(str(tmp_path / "mask.png")) is not None


def test_light_that_is_followed_too_coarsely_is_said(psfs, tmp_path, capsys):
    words = [f"psf={psfs / 'psf_004.npy'}", "mask.values.seed=4", *MASK, *LIGHT[:2], *START, f"out={tmp_path}"]
    assert main(["calibrate", "mask", *words, "optics.oversample=2", "fit=[distance]"]) == 0
    assert "verdict: 2 samples of the light a pixel are too few" in capsys.readouterr().out
    assert "take optics.oversample=3" in json.loads((tmp_path / "mask.json").read_text())["verdict"]


def test_several_patterns_by_seed_or_by_frame(psfs, tmp_path):
    fit = ["fit=[rotation,shift]", "start.distance=4e-3", "search.rotation=0.05"]
    words = [f"psf={psfs}/psf_*.npy", *MASK, *LIGHT, *fit]
    assert main(["calibrate", "mask", *words, "seeds=[4,5]", f"out={tmp_path / 'seeds'}"]) == 0
    (tmp_path / "frames").mkdir()
    for number, seed in enumerate((4, 5)):
        # rows of red, green and blue sub-pixels are a row of RGB pixels; the pattern is the display's middle
        frame = np.zeros((10, 13, 3), np.uint8)
        levels = (random_pattern(seed, (12, 7)) * 255).round().reshape(4, 3, 7).permute(0, 2, 1).numpy()
        frame[3:7, 3:10] = levels.astype(np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), frame[..., ::-1])
    assert main(["calibrate", "mask", *words, f"frames={tmp_path}/frames/*.png", f"out={tmp_path / 'pictures'}"]) == 0
    seeds, frames = (
        json.loads((tmp_path / name / "mask.json").read_text())["geometry"] for name in ("seeds", "pictures")
    )
    assert math.degrees(seeds["rotation"] - 0.02) == pytest.approx(0, abs=0.1)
    assert frames["rotation"] == pytest.approx(seeds["rotation"], abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "psf: expected the PSF of `lensless calibrate psf`"),
        (["psf={psfs}/psf_*.npy"], "seeds: expected one for each of 2 PSFs, or frames, got none"),
        (["psf={psfs}/psf_*.npy", "seeds=[4]"], "seeds: expected a pattern for each of 2 PSFs, got 1"),
        (["psf={psfs}/psf_004.npy", "seeds=[4]", "frames=x.png"], "seeds: expected seeds or frames, got both"),
        (["psf={psfs}/psf_004.npy", "fit=[turn]"], "fit: 'turn' is not known"),
        (["psf={psfs}/psf_004.npy", "start.distance=-1"], "start: distance: expected metres > 0"),
    ],
)
def test_wrong_input_is_refused(psfs, tmp_path, capsys, words, message):
    words = [word.format(psfs=psfs) for word in words]
    assert main(["calibrate", "mask", *words, *MASK, *LIGHT, f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_patterns_are_for_displays(psfs, tmp_path, capsys):
    words = [f"psf={psfs}/psf_004.npy", "mask=mura", "seeds=[1]", f"out={tmp_path}"]
    assert main(["calibrate", "mask", *words]) == 2
    assert "seeds: only an LCD shows patterns, got AmplitudeMask; leave seeds and frames out" in capsys.readouterr().err
