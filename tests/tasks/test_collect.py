"""`lensless collect`: what `lensless-capture` measures is a data set as soon as it is done."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lensless.cli import main
from lensless.data.dataset import load_dataset
from lensless.tasks.collect import PATHS, words
from lensless.tasks.compose import compose
from lensless_capture.cli import parser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """lensless-capture beside a Python that has no other, as `pip install ./hardware` puts it there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "lensless-capture"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "hardware"}" exec "{sys.executable}" -m lensless_capture "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return script


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(noise.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def test_the_records_are_a_data_set_with_scenes_and_psf(tmp_path, program, photos, capfd):
    psf = tmp_path / "calibrated" / "psf.npy"
    psf.parent.mkdir()
    np.save(psf, np.ones((120, 160), np.float32))
    # one of the monitor's own size is shown as it is
    monitor = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(monitor).save(photos / "2.png")
    out = tmp_path / "records"
    collect = ["collect", "rig=virtual", f"scenes={photos}", f"out={out}", "every=2"]
    assert main([*collect, f"psf={psf}"]) == 0
    said = capfd.readouterr()
    # backgrounds and points before two and one scenes, and a point at the end
    assert "this run: 8 records written" in said.out and "8/8" in said.err and str(out / "card.yaml") in said.out
    dataset = load_dataset(out, "all")
    sample = dataset[2]
    assert len(dataset) == 3 and sample.measurement.shape == (3, 120, 160) and sample.background is not None
    np.testing.assert_allclose(sample.psf.sum((1, 2)), 1, rtol=1e-5)
    shown = monitor / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(sample.scene.movedim(0, -1), linear, atol=1e-5)
    # where an alignment was added, it stays
    (out / "card.yaml").write_text((out / "card.yaml").read_text() + "brightness: absolute\n")
    assert main([*collect, f"psf={psf}"]) == 0
    assert "this run: 0 records written" in capfd.readouterr().out
    assert load_dataset(out, "all").brightness == "absolute"


def test_exit_codes_are_those_of_lensless_capture(tmp_path, program, photos, capfd):
    rig = tmp_path / "rig.toml"
    rig.write_text('[camera]\nkind = "virtual"\n')
    assert main(["collect", f"rig={rig}", f"scenes={photos}", f"out={tmp_path / 'out'}"]) == 2
    assert "display: this rig has none" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    program.write_text("#!/bin/sh\nexit 1\n")
    assert main(["collect", f"scenes={photos}", f"out={tmp_path / 'out'}"]) == 1
    program.write_text("#!/bin/sh\nkill -TERM $$\n")
    assert main(["collect", f"scenes={photos}", f"out={tmp_path / 'out'}"]) == 128 + signal.SIGTERM


def test_every_key_reaches_lensless_capture():
    expected = {"every": 7, "exposure": 0.5, "gain": 2.0, "height": 0.5, "brightness": 0.8, "host": "pi"}
    given = [f"{key}={value}" for key, value in expected.items()]
    given += ["rig=~/a rig.toml", "ssh_config=config", "agent=env A='b c' lensless-capture serve", "fixed=true"]
    given += ["shift=[4,-6]", "scenes=s", "out=o"]
    made = list(words(compose("collect", given, paths=PATHS)))
    options = vars(parser().parse_args(made))
    assert {key: options[key] for key in expected} == expected
    assert options["rig"] == "~/a rig.toml"  # of a rig over there, that home is over there
    assert options["agent"] == ["env", "A=b c", "lensless-capture", "serve"]
    assert (options["ssh_config"], options["scenes"], options["out"]) == (Path("config"), Path("s"), Path("o"))
    assert options["fixed"] and options["shift"] == [4, -6]


def test_a_missing_program_and_a_missing_psf_are_said_first(tmp_path, photos, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    collect = ["collect", "rig=virtual", f"scenes={photos}", f"out={tmp_path / 'out'}"]
    assert main(collect) == 2
    assert "lensless-capture: not installed; `pip install ./hardware`" in capsys.readouterr().err
    assert main([*collect, "psf=none.npy"]) == 2
    assert "psf: no such file: none.npy" in capsys.readouterr().err


def test_ctrl_c_ends_both_and_leaves_whole_records(tmp_path, photos):
    for index in range(3, 400):
        os.link(photos / "0.png", photos / f"{index}.png")
    script = "import sys; from lensless.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "collect", "rig=virtual", f"scenes={photos}", f"out={tmp_path / 'out'}"]
    # a session of its own stands for the terminal, which tells both
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=pipe, stderr=pipe)
    while process.poll() is None and not (tmp_path / "out" / "000002.json").exists():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and b"interrupted; what is written stays" in said
    records = sorted((tmp_path / "out").glob("0*.json"))
    assert 3 <= len(records) < 400
    assert all(json.loads(file.read_text())["bytes"] == file.with_suffix(".png").stat().st_size for file in records)
