"""Records of a Raspberry Pi: raw frames made linear, backgrounds of the same mask, pictures by name."""

import json

import cv2
import numpy as np
import pytest
import torch

from lensless.data.dataset import load_dataset
from lensless.errors import InputError
from lensless.images.gamma import srgb_to_linear

BLACK, BITS = 256, 12


def record(folder, number, kind, *, level, **others):
    """A raw frame of an even gray at ``level`` of full scale, and its JSON."""
    counts = np.full((8, 12), round(BLACK + level * (2**BITS - 1 - BLACK)), np.uint16)
    cv2.imwrite(str(folder / f"{number:06d}.png"), counts)
    content = {"kind": kind, "bits": BITS, "black_level": BLACK, "bayer": "RGGB", "mask": None, "scene": None, **others}
    (folder / f"{number:06d}.json").write_text(json.dumps(content))


@pytest.fixture
def records(tmp_path):
    """Three scenes through two masks, with two backgrounds of mask 0 among them and none of mask 1."""
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 1, "camera": "virtual"}))
    (tmp_path / "shown").mkdir()
    for name, gray in (("cat.png", 64), ("dog.png", 128)):
        cv2.imwrite(str(tmp_path / "shown" / name), np.full((5, 7, 3), gray, np.uint8))
    record(tmp_path, 0, "scene", level=0.5, scene="cat.png", mask=0)
    record(tmp_path, 1, "background", level=0.1, mask=0)
    record(tmp_path, 2, "scene", level=0.25, scene="dog.png", mask=0)
    record(tmp_path, 3, "background", level=0.2, mask=0)
    record(tmp_path, 4, "scene", level=0.75, scene="cat.png", mask=1)
    (tmp_path / "card.yaml").write_text("samples: {kind: records, scenes: shown, downsample: 2}\n")
    return tmp_path


def test_frames_become_linear_and_are_averaged(records):
    dataset = load_dataset(records, "all")
    assert dataset.labels.tolist() == [0, 0, 1]
    for sample, level in zip((dataset[0], dataset[1]), (0.5, 0.25), strict=True):
        torch.testing.assert_close(sample.measurement, torch.full((3, 4, 6), level), atol=2e-4, rtol=0)


def test_pictures_are_found_by_name_and_linear(records):
    scene = load_dataset(records, "all")[1].scene
    torch.testing.assert_close(scene, srgb_to_linear(torch.full((3, 5, 7), 128 / 255)))
    assert load_dataset(records, "all").source.groups == ["cat.png", "dog.png", "cat.png"]


def test_where_the_monitor_is_known_a_scene_is_what_it_showed(records):
    """A monitor of 64 x 96, half of its height in use, seen by 6 pixels: 8 x 12, twice as many."""
    manifest = {"schema": 1, "camera": "virtual", "display": [64, 96], "plan": {"height": 0.5}}
    (records / "manifest.json").write_text(json.dumps(manifest))
    cv2.imwrite(str(records / "shown" / "cat.png"), np.full((6, 18, 3), 64, np.uint8))
    cv2.imwrite(str(records / "shown" / "dog.png"), np.full((16, 8), 128, np.uint8))
    cat, dog = (load_dataset(records, "all")[index].scene for index in (0, 1))
    for scene, gray, filled in ((cat, 64, np.s_[2:6, :]), (dog, 128, np.s_[:, 4:8])):
        expected = torch.zeros(3, 8, 12)
        expected[(slice(None), *filled)] = float(srgb_to_linear(torch.tensor(gray / 255)))
        torch.testing.assert_close(scene, expected, atol=1e-4, rtol=0)


def test_the_background_is_the_last_one_before_of_the_same_mask(records):
    source = load_dataset(records, "all").source
    levels = [source.light("background", index) for index in range(3)]
    assert float(levels[0].mean()) == pytest.approx(0.1, abs=2e-4)  # the first one after it
    assert float(levels[1].mean()) == pytest.approx(0.1, abs=2e-4)
    assert levels[2] is None


def test_a_folder_without_a_card_is_recognised(records):
    (records / "card.yaml").unlink()
    sample = load_dataset(records, "all")[0]
    assert sample.scene is None and sample.measurement.shape == (3, 8, 12)


def test_what_is_missing_is_named(records):
    (records / "shown" / "dog.png").unlink()
    with pytest.raises(InputError, match=r"scenes: .*shown lacks dog.png \(1 in all\)"):
        load_dataset(records)
    (records / "000002.png").unlink()
    with pytest.raises(InputError, match=r"records without a frame: 000002 \(1 in all\)"):
        load_dataset(records)
    (records / "manifest.json").write_text(json.dumps({"schema": 2}))
    with pytest.raises(InputError, match=r"manifest.json: expected schema 1, got 2"):
        load_dataset(records)
    (records / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json: cannot be read as JSON"):
        load_dataset(records)
