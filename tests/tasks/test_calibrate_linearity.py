"""`lensless calibrate linearity`: numbers, a verdict and a figure from a bracket of records."""

import json

import cv2
import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor

SENSOR = Sensor(
    (60, 80),
    pitch=(5e-6, 5e-6),
    bits=10,
    full_well=1e5,
    gain=5.0,
    read_noise=6.0,
    black_level=64,
    cfa="RGGB",
    response=(1.0, 1.0, 1.0),
)


def bracket(folder, *, gamma=1.0, exposures=(0.05, 0.1, 0.2, 0.4)):
    """Records of a wedge of light."""
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "camera": {"model": "simulated"}}))
    light = torch.linspace(0.1, 2.0, 80).expand(1, 3, 60, 80)
    for number, exposure in enumerate(exposures):
        counts = SENSOR.expose(light, sample_generator(7, number), exposure=exposure)[0, 0].numpy()
        counts = 64 + (1023 - 64) * ((counts - 64.0) / (1023 - 64)).clip(0, 1) ** gamma
        cv2.imwrite(str(folder / f"{number:06d}.png"), np.rint(counts).astype(np.uint16))
        record = {"kind": "frame", "exposure": exposure, "gain": 1.0, "bits": 10, "black_level": 64, "bayer": "RGGB"}
        (folder / f"{number:06d}.json").write_text(json.dumps(record))
    return folder


def test_a_raw_camera_is_linear(tmp_path, capsys):
    records, out = bracket(tmp_path / "bracket"), tmp_path / "out"
    assert main(["calibrate", "linearity", f"records={records}", f"out={out}"]) == 0
    said = capsys.readouterr().out
    assert "verdict: good" in said and "electrons a count" in said
    content = json.loads((out / "linearity.json").read_text())
    assert content["electrons_per_count"] == pytest.approx(5.0, rel=0.06)
    assert content["black_level"] == pytest.approx(64, abs=0.7)
    assert cv2.imread(str(out / "linearity.png")) is not None


def test_a_tone_curve_is_named(tmp_path, capsys):
    records = bracket(tmp_path / "bracket", gamma=0.5)
    assert main(["calibrate", "linearity", f"records={records}", f"out={tmp_path / 'out'}"]) == 0
    assert "verdict: the signal grows as exposure^0.5" in capsys.readouterr().out


def test_too_few_exposures_are_refused(tmp_path, capsys):
    records = bracket(tmp_path / "bracket", exposures=(0.1, 0.1))
    assert main(["calibrate", "linearity", f"records={records}", f"out={tmp_path / 'out'}"]) == 2
    assert "expected 3 different exposures or more, got 1; take a bracket" in capsys.readouterr().err
