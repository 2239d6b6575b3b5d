"""`lensless calibrate align`: from a checkerboard on the monitor to the alignment of a data set's scenes."""

import json

import cv2
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from lensless.calibration.alignment import Alignment
from lensless.calibration.checkerboard import Board
from lensless.cli import main
from lensless.data.card import load_card
from lensless.images.write import write_npy
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system

QUICK = ["recon.iterations=60", "recon.progress=false"]
DISPLAY = (240, 320)
# from the monitor's pixels to those of the reconstruction
TRUE = np.array([[0.3, -0.01, 18.0], [0.01, 0.3, 10.0], [0, 0, 1]])


def write(folder, counts, kind, *, plan=None, **others):
    """One record of 12-bit counts (h, w), and the manifest of a monitor of 240 x 320."""
    folder.mkdir(exist_ok=True)
    manifest = {"schema": 1, "camera": "simulated", "display": DISPLAY, "plan": plan or {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    cv2.imwrite(str(folder / "000000.png"), counts)
    record = {"kind": kind, "bits": 12, "black_level": 256, "bayer": None, "exposure": 0.1, "gain": 1.0, **others}
    (folder / "000000.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A record of the board, a data set of one scene with its picture, and the PSF: a camera without colours."""
    folder = tmp_path_factory.mktemp("bench")
    system = get_system("multilens", size="small")
    fine = np.array([[4, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])
    board = cv2.warpPerspective(Board(DISPLAY, 40).picture(), fine @ TRUE, (4 * 128, 4 * 96))
    board = torch.from_numpy(cv2.resize(board, (128, 96), interpolation=cv2.INTER_AREA))
    y = system.measure(board.expand(1, 3, -1, -1), sample_generator(0, 0))[0, 1]
    counts = (256 + 3000 * y / y.max()).round().clamp(0, 4095).numpy().astype(np.uint16)
    write(folder / "board", counts, "frame", scene="checkerboard", square=40)
    write(folder / "data", counts, "scene", scene="a.png", plan={"height": 0.5, "shift": [12, -20]})
    write(folder / "point", counts, "frame", scene="point")
    (folder / "data" / "pictures").mkdir()
    cv2.imwrite(str(folder / "data" / "pictures" / "a.png"), np.full((30, 40, 3), 200, np.uint8))
    (folder / "data" / "card.yaml").write_text("# ours\nsamples: {kind: records, scenes: pictures}\n")
    write_npy(folder / "psf.npy", system.psf[1:2])
    return folder


def corner_error(alignment, matrix):
    height, width = alignment.size
    corners = np.array([[[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]], np.float64)
    places = [cv2.perspectiveTransform(corners, np.array(one)) for one in (alignment.matrix, matrix)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max())


def test_the_monitor_and_the_scenes_are_found(bench, tmp_path, capsys):
    words = [f"records={bench}/board", f"psf={bench}/psf.npy", f"card={bench}/data", f"out={tmp_path}", *QUICK]
    assert main(["calibrate", "align", *words]) == 0
    said = capsys.readouterr().out
    assert "flip none" in said and "31 of 31 corners agree" in said and "verdict: good" in said
    entry = OmegaConf.to_container(OmegaConf.load(tmp_path / "alignment.yaml"))["alignment"]
    monitor = Alignment.from_card(entry)
    assert monitor.size == DISPLAY and corner_error(monitor, TRUE) < 1
    # scenes are half of the monitor, moved off its middle, on twice the sensor's 128 pixels
    scenes = load_card(bench / "data").alignment
    assert scenes.size == (192, 256)
    part = np.array([[160 / 256, 0, 60 + 80 / 256 - 0.5], [0, 120 / 192, 72 + 60 / 192 - 0.5], [0, 0, 1]])
    assert corner_error(scenes, TRUE @ part) < 1
    assert (bench / "data" / "card.yaml").read_text().startswith("# ours\n")
    content = json.loads((tmp_path / "align.json").read_text())
    assert content["expected_corners"] == 31 and content["spread"] < 1
    assert cv2.imread(str(tmp_path / "align.png")) is not None


def test_a_data_set_of_other_pixels_has_an_alignment_of_its_own(bench, tmp_path):
    card = tmp_path / "card.yaml"
    samples = "{kind: records, scenes: pictures, downsample: 2}"
    for name in ("manifest.json", "000000.json", "000000.png", "pictures"):
        (tmp_path / name).symlink_to(bench / "data" / name)
    card.write_text(f"samples: {samples}\n")
    words = [f"records={bench}/board", f"psf={bench}/psf.npy", f"card={tmp_path}", f"out={tmp_path}/out", *QUICK]
    assert main(["calibrate", "align", *words]) == 0
    # scenes of twice the 64 pixels, the same half of the monitor
    scenes = load_card(tmp_path).alignment
    assert scenes.size == (96, 128)
    part = np.array([[160 / 128, 0, 60 + 80 / 128 - 0.5], [0, 120 / 96, 72 + 60 / 96 - 0.5], [0, 0, 1]])
    halved = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    assert corner_error(scenes, halved @ TRUE @ part) < 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["psf={bench}/psf.npy"], "records: expected a folder of records"),
        (["records={bench}/board"], "psf: expected the PSF of this camera"),
        (["records={bench}/data", "psf={bench}/psf.npy"], "expected records of the kind frame, found 1 scene"),
        (["records={bench}/board", "psf={bench}/psf.npy", "board.square=16"], "board: .* of 262 inner corners"),
        (["records={bench}/board", "psf={bench}/psf.npy", "board.square=61"], "board: expected 4 squares or more"),
        (["records={bench}/point", "psf={bench}/psf.npy"], "expected frames of --show checkerboard, got of point"),
        (
            ["records={bench}/board", "psf={bench}/psf.npy", "card={bench}/data", "board.size=[240,321]"],
            r"card: expected records of the same monitor of \(240, 321\) pixels, got \(240, 320\)",
        ),
    ],
)
def test_wrong_input_is_refused(bench, tmp_path, capsys, words, message):
    words = [word.format(bench=bench) for word in words]
    assert main(["calibrate", "align", *words, f"out={tmp_path / 'out'}", *QUICK]) == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
