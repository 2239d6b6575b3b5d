"""`lensless data`: from pairs to an alignment, from a folder to a checked and packed data set."""

import json
import math

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lensless.cli import main
from lensless.data.card import load_card
from lensless.data.dataset import load_dataset
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system

QUICK = ["recon.iterations=30", "recon.progress=false"]
SCALE, CORNER = 0.55, (9, 14)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Measurements of a small simulated camera, and lensed pictures larger than what it saw of them, upside down."""
    folder = tmp_path_factory.mktemp("pairs")
    system = get_system("multilens", size="small")
    for name in ("lensless", "lensed"):
        (folder / name).mkdir()
    for index in range(5):
        photo = (skimage.data.astronaut, skimage.data.chelsea, skimage.data.coffee)[index % 3]()
        photo = photo[10 * index : 10 * index + 270, 15 * index : 15 * index + 340]
        lensed = cv2.resize(photo, (170, 135), interpolation=cv2.INTER_AREA)
        seen = cv2.resize(lensed, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        scene = np.zeros((96, 128, 3), np.float32)
        scene[CORNER[0] :, CORNER[1] :][: seen.shape[0], : seen.shape[1]] = seen
        light = torch.from_numpy(scene).movedim(-1, 0)[None]
        measurement = system.measure(light, sample_generator(0, index))[0]
        np.save(folder / "lensless" / f"{index}.npy", measurement.movedim(0, -1).numpy())
        cv2.imwrite(str(folder / "lensed" / f"{index}.png"), lensed[::-1, :, ::-1])
    np.save(folder / "psf.npy", system.psf.movedim(0, -1).numpy())
    (folder / "card.yaml").write_text("# ours\nsamples: {kind: images, psf: psf.npy}\n")
    return folder


def test_an_alignment_is_found_stored_and_used(pairs, capsys):
    assert main(["data", "check", f"card={pairs}", *QUICK]) == 0
    assert "pairing not checked: where scenes lie" in capsys.readouterr().out
    assert main(["data", "align", f"card={pairs}", "pairs=5", *QUICK]) == 0
    said = capsys.readouterr().out
    assert "flip vertical" in said and "of 5 pairs agree" in said
    alignment = load_card(pairs).alignment
    assert alignment.flip == "vertical" and alignment.size == (135, 170)
    assert alignment.scale == pytest.approx(SCALE, rel=0.015)
    assert abs(math.degrees(alignment.rotation)) < 0.5
    # the scene's last row is the picture's first: its pixel (0, 0) of 135 rows lies lowest
    x, y = alignment.matrix[0][2], alignment.matrix[1][2]
    assert (y, x) == pytest.approx((CORNER[0] + 134 * SCALE, CORNER[1]), abs=1.5)
    assert (pairs / "card.yaml").read_text().startswith("# ours\n")
    assert main(["data", "check", f"card={pairs}", *QUICK]) == 0
    assert "5 samples (train 4, validation 1), 1 masks: 0 problems" in capsys.readouterr().out


def test_slipped_pairs_are_found(pairs, tmp_path, capsys):
    slipped = tmp_path / "slipped"
    for name in ("lensless", "lensed"):
        (slipped / name).mkdir(parents=True)
    for index in range(4):
        (slipped / "lensless" / f"{index}.npy").write_bytes((pairs / "lensless" / f"{index}.npy").read_bytes())
        (slipped / "lensed" / f"{index}.png").write_bytes((pairs / "lensed" / f"{index + 1}.png").read_bytes())
    (slipped / "psf.npy").write_bytes((pairs / "psf.npy").read_bytes())
    left = CORNER[1]
    matrix = [[SCALE, 0, left], [0, -SCALE, CORNER[0] + 134 * SCALE], [0, 0, 1]]
    (slipped / "card.yaml").write_text(
        f"samples: {{kind: images, psf: psf.npy}}\nalignment: {{size: [135, 170], matrix: {matrix}}}\n"
    )
    assert main(["data", "check", f"card={slipped}", *QUICK]) == 1
    assert "lensless/0.npy to lensless/3.npy: the scenes have slipped by -1" in capsys.readouterr().out


def test_a_simulated_set_is_checked_and_packed(tmp_path, capsys, monkeypatch):
    pytest.importorskip("datasets", reason="needs the extra datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "huggingface")
    folder, out = tmp_path / "set", tmp_path / "out"
    words = ["system=flatcam_mls", "size=tiny", "scenes=skimage", "n=6", "n_masks=1", f"out={folder}"]
    assert main(["simulate", *words]) == 0
    assert main(["data", "check", f"card={folder}", *QUICK]) == 0
    words = ["licence=CC0-1.0", "summary=Four photographs, six measurements"]
    assert main(["data", "pack", f"card={folder}", f"out={out}", *words]) == 0
    assert main(["data", "check", f"card={out}", *QUICK]) == 0
    assert "0 problems" in capsys.readouterr().out.splitlines()[-1]
    card = load_card(out)
    assert card.brightness == "absolute" and card.about["summary"] == "Four photographs, six measurements"
    before, after = load_dataset(folder, "train"), load_dataset(out, "train")
    torch.testing.assert_close(after[0].measurement, before[0].measurement, atol=1e-5, rtol=0)
    (folder / "measurements/000002.npy").write_bytes(b"")
    assert main(["data", "check", f"card={folder}", *QUICK]) == 1
    said = capsys.readouterr().out
    assert "000002.npy: another content than the card says" in said and "000002.npy: cannot be read" in said


def test_an_unfinished_set_is_refused(tmp_path, capsys):
    (tmp_path / "card.json").write_text(json.dumps({"complete": False, "fingerprint": "a"}))
    assert main(["data", "check", f"card={tmp_path}"]) == 2
    assert "the data set is not complete; run the same `lensless simulate` again" in capsys.readouterr().err


def test_shipped_cards_are_listed_and_not_changed(capsys, tmp_path):
    assert main(["data", "list"]) == 0
    assert {"tapecam", "diffusercam_mirflickr"} <= {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert main(["data", "align", "card=diffusercam_mirflickr", f"folder={tmp_path}"]) == 2
    assert "out: expected a YAML file, such as out=diffusercam_mirflickr.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alig"], "action: 'alig' is not known; did you mean align?"),
        (["check"], "card: expected a data set"),
        (["pack", "card=x"], "out: expected a folder"),
        (["push", "card=x"], "repository: expected OWNER/NAME"),
        (["align", "card=nowhere"], "'nowhere' is not known"),
    ],
)
def test_wrong_words_are_named(words, message, capsys):
    assert main(["data", *words]) == 2
    assert message in capsys.readouterr().err
