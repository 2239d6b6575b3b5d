"""`lensless-capture` as it is typed."""

import json

import numpy as np
import pytest
from PIL import Image

from lensless_capture.cli import main


@pytest.fixture
def run(virtual, capsys):
    def run(*words, camera="", bench="", code=0):
        assert main([*map(str, words), "--rig", str(virtual(camera, bench))]) == code
        return capsys.readouterr()

    return run


def test_info_is_json(run):
    said = json.loads(run("info").out)
    assert said["camera"]["size"] == [24, 34] and said["display"] == [18, 24]
    assert said["masks"] == [{"seed": seed, "shape": [6, 5]} for seed in (0, 1)]


def test_capture_writes_one_record_of_the_mean(run, tmp_path):
    said = run("capture", tmp_path / "out", "--frames", 3, "--exposure", 0.5, "--fixed", bench="ambient = 0.1").out
    record = json.loads((tmp_path / "out" / "000000.json").read_text())
    assert "0.5 s, gain 1; light: fixed" in said
    assert (record["kind"], record["bits"], record["black_level"], record["frames"]) == ("frame", 16, 4096, 3)
    counts = np.asarray(Image.open(tmp_path / "out" / "000000.png")).astype(float)
    assert (counts.mean() - 4096) / (16 * 3839) == pytest.approx(0.5, abs=0.005)
    assert "holds records already" in run("capture", tmp_path / "out", "--frames", 3, "--fixed", code=2).err


def test_capture_shows_a_pattern_or_a_picture_meanwhile(run, scenes, tmp_path):
    levels = {}
    for show in ("black", "checkerboard", str(scenes / "0.png")):
        out = tmp_path / f"out{len(levels)}"
        run("capture", out, "--show", show, "--exposure", 0.05, "--fixed")
        levels[show] = (np.asarray(Image.open(out / "000000.png")).astype(float).mean() - 256) / 3839
    # the white picture covers the display, of the checkerboard's squares of 3 x 3 pixels 23 of 48 are white
    assert list(levels.values()) == pytest.approx([0.0, 0.5 * 23 / 48, 0.5], abs=0.01)
    record = json.loads((tmp_path / "out1" / "000000.json").read_text())
    assert (record["scene"], record["square"]) == ("checkerboard", 3)
    words = ("--show", "checkerboard", "--square")
    assert "square: expected 1 to 4 pixels" in run("capture", tmp_path / "no", *words, 5, code=2).err
    assert "square: expected with --show checkerboard" in run("capture", tmp_path / "no", "--square", 3, code=2).err
    assert not (tmp_path / "no").exists()


def test_dark_writes_the_mean_and_the_hot_pixels(run, tmp_path):
    run("dark", tmp_path / "out", "--frames", 4)
    assert len(list((tmp_path / "out").glob("0*.png"))) == 4
    assert np.asarray(Image.open(tmp_path / "out" / "dark.png")).mean() == pytest.approx(4096, abs=4)
    assert np.asarray(Image.open(tmp_path / "out" / "hot_pixels.png")).max() == 0


def test_darks_are_taken_at_the_settings_of_other_records(run, tmp_path):
    run("psf", tmp_path / "point", "--fixed", "--exposure", 0.02, "--frames", 2, "--stops", -3, 2, 0, "--mask", 0)
    said = run("dark", tmp_path / "out", "--frames", 3, "--like", tmp_path / "point").out
    records = [json.loads(file.read_text()) for file in sorted((tmp_path / "out").glob("0*.json"))]
    exposures = [(record["kind"], record["exposure"]) for record in records]
    assert exposures == [("dark", exposure) for exposure in (0.0025, 0.02, 0.08) for _ in range(3)]
    assert "3 darks of 0.0025 s, 0.02 s, 0.08 s; 0 hot pixels" in said
    assert "like: expected a folder of records" in run("dark", tmp_path / "no", "--like", tmp_path, code=2).err


def test_psf_writes_a_bracket_and_its_light(run, tmp_path):
    words = ("--fixed", "--exposure", 0.02, "--frames", 2, "--stops", -3, 0, 2, "--radius", 3, "--mask", 0)
    run("psf", tmp_path / "out", *words)
    exposures = [json.loads(file.read_text())["exposure"] for file in sorted((tmp_path / "out").glob("0*.json"))]
    assert exposures == pytest.approx([0.0025, 0.02, 0.08])
    light = np.load(tmp_path / "out" / "psf.npy", allow_pickle=False)
    # the virtual camera sees 10 full scales a second where the screen is white
    assert light.dtype == np.float32 and light[12, 17] == pytest.approx(10, rel=0.1) and abs(light[0, 0]) < 0.1


def test_a_mask_is_put_there_by_its_label_and_closed_in_the_dark(run, tmp_path, virtual):
    virtual()
    np.save(tmp_path / "psfs" / "001.npy", np.eye(34, dtype=np.float32)[:24])
    found = []
    for words in (("psf", "--mask", 1), ("capture", "--mask", 1), ("capture",), ("dark",), ("psf",)):
        out = tmp_path / f"out{len(found)}"
        words = [*map(str, (words[0], out, *words[1:])), "--rig", str(tmp_path / "rig.toml"), "--frames", "1"]
        assert main(words) == 0
        found.append([json.loads(file.read_text())["mask"] for file in sorted(out.glob("0*.json"))])
    assert found[:4] == [[1] * 5, [1], [0], [None]]
    # all masks in one folder, each with its own bracket
    assert found[4] == [0] * 5 + [1] * 5
    sharp, spread = (np.load(tmp_path / "out4" / f"psf_{mask:03d}.npy") for mask in (0, 1))
    assert sharp.max() > 5 * spread.max() > 1
    np.testing.assert_allclose(np.load(tmp_path / "out0" / "psf.npy"), spread, atol=0.1)
    assert "mask: expected a label from 0 to 1, got 2" in run("psf", tmp_path / "none", "--mask", 2, code=2).err


def test_collect_and_then_nothing_is_left_to_do(run, scenes, tmp_path):
    where = ("--height", 0.5, "--shift", 4, -6, "--brightness", 0.5)
    words = ("collect", scenes, tmp_path / "out", "--every", 4, *where)
    assert "this run: 16 records written" in run(*words, "--fixed").out
    frame = np.asarray(Image.open(tmp_path / "out" / "000004.png")).astype(float)
    # the white picture fills 9 x 12 of the display's 18 x 24 pixels, here from row 8 and column 0: from 1.5 pixels
    # above its centre to 7.5 below, which are 2 above and 10 below the sensor's, and from left of its edge
    rows, columns = np.nonzero(frame > 300)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 22, 0, 16)
    assert "0 records written" in run(*words).out


def test_preview_prints_histograms_and_where_the_page_is(run):
    said = run("preview", "--frames", 2, "--port", 0)
    assert said.out.count("of full scale") == 2 and "http://127.0.0.1:" in said.err


def test_wrong_input_and_failing_hardware_have_codes_of_their_own(run, tmp_path):
    assert "error: exposure: virtual can do" in run("capture", tmp_path / "a", "--exposure", 99, "--fixed", code=2).err
    assert "error: camera: unplugged" in run("capture", tmp_path / "b", camera="faults = {0 = 'unplugged'}", code=1).err
    assert main(["info", "--rig", "none"]) == 2
