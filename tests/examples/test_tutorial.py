"""docs/tutorial.md, run as it is written, with fewer and smaller pictures."""

import json
import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lensless.calibration.raw import demosaic
from lensless.cli import main
from lensless.data.dataset import load_dataset
from lensless.images.read import read_image
from lensless.physics.cfa import mosaic
from lensless_capture.cli import main as capture

ROOT = Path(__file__).parents[2]
SCENES = 24
# what the page says, and what is run instead
SMALLER = {"size=small": "size=tiny", "photos 200": f"photos {SCENES}", "every=50": "every=12"}


def commands() -> list[list[str]]:
    """The words of every command on the page."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for wide, narrow in SMALLER.items():
        assert wide in page
        page = page.replace(wide, narrow)
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    return [shlex.split(line) for line in blocks.replace("\\\n", " ").splitlines()]


def run(words: list[str]) -> None:
    """Do what a shell would, in this process."""
    match words:
        case ["mkdir", folder]:
            Path(folder).mkdir()
        case ["cd", folder]:
            os.chdir(folder)
        case ["lensless", *rest]:
            assert main(rest) == 0
        case ["lensless-capture", *rest]:
            assert capture(rest) == 0
        case ["python", script, *rest]:
            sys.argv = [script, *rest]
            runpy.run_path(script, run_name="__main__")
        case other:
            raise ValueError(f"{other}: what to do?")


def photos(folder: Path) -> list[Path]:
    return sorted((folder / "photos").glob("*.png"))


def features(picture: np.ndarray) -> np.ndarray:
    """What is left of a picture on the monitor's share of 36 x 48 pixels, (28, 36), a little blurred."""
    small = cv2.resize(picture, (36, 28), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 1).ravel()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the examples in it, and lensless-capture on the PATH."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = tmp_path / "lensless-capture"
    module = f'PYTHONPATH="{ROOT / "hardware"}" exec "{sys.executable}" -m lensless_capture'
    program.write_text(f'#!/bin/sh\n{module} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tutorial_does_what_it_says(checkout, capfd):
    said = {}
    for words in commands():
        run(words)
        said[" ".join(words[:3])] = capfd.readouterr().out
    folder = checkout / "tutorial"

    assert "verdict: good" in said["lensless calibrate psf"]
    assert "verdict: good" in said["lensless calibrate linearity"]
    measured, true = (read_image(folder / file) for file in ("calibrated/psf.npy", "bench/psfs/000.npy"))
    seen = true * torch.tensor([0.323, 1, 0.7]).reshape(3, 1, 1)  # the sensor's response
    expected = demosaic(mosaic(seen[None], "RGGB")[0, 0], "RGGB")
    assert np.corrcoef(measured.ravel(), expected.ravel())[0, 1] > 0.97

    # a background and a point before each 12 scenes, and a point at the end
    counts = f"{SCENES + 5} of {SCENES + 5} records: 2 background, 3 psf, {SCENES} scene"
    assert counts in said["lensless collect rig=bench/rig.toml"]
    dataset = load_dataset(folder / "records", "all")
    # 36 x 48 pixels see 4 / 3 of a monitor, which 72 x 96 pixels show: 3 / 8 of a pixel a pixel, after an eighth of all
    assert dataset.alignment.scale == pytest.approx(0.375, rel=0.02)
    assert [dataset.alignment.matrix[row][2] for row in (1, 0)] == pytest.approx([4.5, 6], abs=0.5)
    assert ": 0 problems" in said["lensless data check"]
    assert len(load_dataset(folder / "packed", "all")) == SCENES

    record = json.loads((folder / "records" / "000004.json").read_text())
    seen = features(cv2.imread(str(folder / "reconstructed" / "000004.png"))[4:32, 6:42])
    alike = {file.name: float(np.corrcoef(seen, features(cv2.imread(str(file))))[0, 1]) for file in photos(folder)}
    assert max(alike, key=alike.get) == record["scene"] and alike[record["scene"]] > 0.7
