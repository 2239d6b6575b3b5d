"""`lensless calibrate refine`: another PSF where it is better, and the old one where it is not."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lensless.cli import main
from lensless.images.gamma import srgb_to_linear
from lensless.images.read import read_image
from lensless.images.write import write_npy
from lensless.physics.random import normal, sample_generator
from lensless.physics.system import get_system

QUICK = ["refine.steps=20", "refine.batch=4", "refine.iterations=15", "refine.rate=0.06", "measurements=16"]
PHOTOS = (skimage.data.astronaut, skimage.data.chelsea, skimage.data.coffee, skimage.data.rocket)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Sixteen measurements of a small camera with their scenes, its PSF, and one with noise."""
    folder = tmp_path_factory.mktemp("pairs")
    system = replace(get_system("multilens", size="tiny"), snr_db=35.0)
    for number, photo in enumerate(photo() for photo in PHOTOS):
        height, width = (side // 2 for side in photo.shape[:2])
        for quarter in range(4):
            top, left = height * (quarter // 2), width * (quarter % 2)
            part = photo[top : top + height, left : left + width]
            part = cv2.resize(part, (48, 36), interpolation=cv2.INTER_AREA)
            scene = srgb_to_linear(torch.from_numpy(part) / 255).movedim(-1, 0)
            index = 4 * number + quarter
            measurement = system.measure(scene[None], sample_generator(0, index))[0]
            write_npy(folder / "scenes" / f"{index:02d}.npy", scene)
            write_npy(folder / "measurements" / f"{index:02d}.npy", measurement)
    noise = 0.4 * system.psf.square().mean().sqrt() * normal(system.psf, sample_generator(3, 0))
    write_npy(folder / "psfs" / "true.npy", system.psf)
    write_npy(folder / "psfs" / "noisy.npy", (system.psf + noise).clamp_min(0))
    return folder


@pytest.mark.parametrize("paired", ["false", "true"])
def test_a_noisy_psf_becomes_a_better_one(pairs, tmp_path, capsys, paired):
    words = [f"records={pairs}", f"psf={pairs}/psfs/noisy.npy", f"out={tmp_path}", f"paired={paired}", *QUICK]
    assert main(["calibrate", "refine", *words]) == 0
    said = capsys.readouterr().out
    assert "lower in 4 of 4 measurements" in said and "verdict: better: use refined_psf.npy" in said
    old, new, true = (
        read_image(file) for file in (pairs / "psfs/noisy.npy", tmp_path / "refined_psf.npy", pairs / "psfs/true.npy")
    )
    old, new, true = (psf / psf.sum((1, 2)).mean() for psf in (old, new, true))
    assert float((new - true).norm()) < float((old - true).norm())
    content = json.loads((tmp_path / "refine.json").read_text())
    assert content["accepted"] and np.mean(content["after"]) < np.mean(content["before"])
    assert cv2.imread(str(tmp_path / "refine.png")) is not None


def test_the_true_psf_stays(pairs, tmp_path, capsys):
    words = [f"records={pairs}", f"psf={pairs}/psfs/true.npy", f"out={tmp_path}", *QUICK]
    assert main(["calibrate", "refine", *words]) == 0
    assert "true.npy stays the PSF" in capsys.readouterr().out
    assert not (tmp_path / "refined_psf.npy").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["psf={pairs}/psfs/true.npy"], "records: expected measurements: a folder of records, or any data set"),
        (["records={pairs}"], "psf: expected the PSF to improve"),
        (["records={pairs}", "psf={pairs}/psfs/true.npy", "measurements=9"], "measurements: expected at least 16, got"),
        (["records={pairs}", "psf={pairs}/psfs/true.npy", "label=3"], "label: expected the label of a mask, of 0, got"),
        (["records={pairs}", "psf={pairs}/psfs"], "expected an image file, got a folder"),
    ],
)
def test_wrong_input_is_refused(pairs, tmp_path, capsys, words, message):
    words = [word.format(pairs=pairs) for word in words]
    assert main(["calibrate", "refine", *words, f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_psf_of_another_size_is_refused(pairs, tmp_path, capsys):
    write_npy(tmp_path / "other.npy", torch.ones(3, 30, 40))
    assert main(["calibrate", "refine", f"records={pairs}", f"psf={tmp_path}/other.npy", f"out={tmp_path}"]) == 2
    assert "psf: expected (3, 36, 48) like the measurement" in capsys.readouterr().err
