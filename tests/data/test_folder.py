"""The data set on disk: every file whole, the card complete only when all is there."""

import json

import pytest
import torch

from lensless.data.folder import DatasetFolder, read_card, sha256
from lensless.data.sample import Sample
from lensless.errors import InputError
from lensless.images.read import read_image

CARD = {"fingerprint": "a", "config": {"seed": 0}}


def sample(seed):
    generator = torch.Generator().manual_seed(seed)
    scene, measurement = torch.rand(2, 3, 5, 7, generator=generator)
    origin = {"picture": "cat.png", "box": [0, -2, 5, 9]}
    return Sample(index=seed, mask=1, measurement=measurement - 0.1, scene=scene, origin=origin)


@pytest.fixture
def folder(tmp_path):
    return DatasetFolder(tmp_path / "set")


def test_what_is_written_is_read_back(folder):
    psf, one = torch.rand(3, 5, 7), sample(0)
    folder.write_mask(1, psf, torch.full((3, 5, 7), 0.25))
    folder.write_sample(12, one, split="test")
    assert torch.equal(folder.psf(1), psf)
    assert torch.equal(read_image(folder.root / "backgrounds/001.npy"), torch.full((3, 5, 7), 0.25))
    assert torch.equal(read_image(folder.root / "measurements/000012.npy"), one.measurement)
    scene = read_image(folder.root / "scenes/000012.png")
    assert float((scene - one.scene).abs().max()) <= 0.5 / 65535 + 1e-7
    record = json.loads((folder.root / "records/000012.json").read_text())
    assert {name: record[name] for name in ("index", "mask", "split", "picture", "box")} == {
        "index": 12, "mask": 1, "split": "test", "picture": "cat.png", "box": [0, -2, 5, 9],
    }  # fmt: skip
    assert record["sha256"]["scenes/000012.png"] == sha256(folder.root / "scenes/000012.png")


def test_the_card_is_complete_when_the_last_sample_is_there(folder):
    folder.begin(CARD)
    folder.write_mask(0, torch.rand(3, 5, 7), None)
    for index in (2, 0):
        folder.write_sample(index, sample(index), split="train")
    assert not folder.finish(3, CARD)
    assert read_card(folder.root) == {"complete": False, **CARD}
    folder.skip_sample(1, "cat.png: damaged")
    assert folder.finish(3, CARD)
    card = read_card(folder.root)
    assert card["complete"] and card["n"] == 3
    assert [one["index"] for one in card["samples"]] == [0, 1, 2]
    assert card["samples"][1]["skipped"] == "cat.png: damaged"
    assert card["sha256"] == {"psfs/000.npy": sha256(folder.psf_file(0))}


def test_what_killed_processes_left_behind_is_removed_at_the_end(folder):
    folder.write_sample(0, sample(0), split="train")
    leftover = folder.root / "scenes" / ".0123.tmp.png"
    leftover.write_bytes(b"half a picture")
    assert folder.finish(1, CARD)
    assert not leftover.exists()


def test_a_folder_of_another_data_set_is_refused(folder):
    folder.begin(CARD)
    folder.begin(CARD)
    with pytest.raises(InputError, match="holds a data set of another configuration"):
        folder.begin({**CARD, "fingerprint": "b"})
    assert read_card(folder.root)["fingerprint"] == "a"


def test_a_missing_or_damaged_card_is_named(tmp_path):
    with pytest.raises(InputError, match=r"card.json: no such file; expected the folder of a data set"):
        read_card(tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(InputError, match=r"card.json: cannot be read as JSON"):
        read_card(tmp_path)
