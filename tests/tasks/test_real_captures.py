"""The command on captures of a real camera, where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from lensless.cli import main

DATA = Path(__file__).parents[3] / "shared" / "data"


def needs(name):
    return pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"no {name} in {DATA}")


@needs("diffusercam_tutorial")
def test_a_hand_in_front_of_nothing(tmp_path):
    words = ["psf=psf.tif", "measurement=raw_hand.tif"]
    words = [word.replace("=", f"={DATA / 'diffusercam_tutorial'}/") for word in words]
    words += ["prepare.background=corner", "prepare.downsample=8", "recon.progress=false", f"output={tmp_path}"]
    assert main(["reconstruct", *words]) == 0
    hand = np.load(tmp_path / "raw_hand.npy", allow_pickle=False)[..., 0]
    assert hand.shape == (150, 200)
    record = json.loads((tmp_path / "raw_hand.json").read_text())
    assert record["history"]["residual"][-1] < 0.02
    # a bright palm in the middle, dark around: it fills a tenth to a third of its surroundings, near the centre
    bright = np.argwhere(hand > 0.2 * record["display_maximum"])
    assert 0.02 < len(bright) / hand.size < 0.15
    assert np.abs(np.median(bright, 0) / hand.shape - 0.5).max() < 0.1


@needs("diffusercam_mirflickr")
def test_a_pair_scores_what_fista_is_known_to_reach(tmp_path):
    folder = DATA / "diffusercam_mirflickr"
    words = [f"psf={folder}/psf_recovered.npy", f"measurement={folder}/lensless/im326.npy"]
    words += [f"ground_truth={folder}/lensed", "input.channel_order=bgr", "prepare.channels=gray", "score.border=15"]
    words += ["recon=fista", "recon.iterations=120", "recon.progress=false", f"output={tmp_path}"]
    assert main(["reconstruct", *words]) == 0
    assert json.loads((tmp_path / "im326.json").read_text())["metrics"]["psnr_affine"] > 23.4
