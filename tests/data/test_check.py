"""What a check finds: changed files, slipped pairs, overexposure, scenes in two splits; and nothing in a good set."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lensless.data.card import load_card
from lensless.data.check import ImageCheck, check_duplicates, check_files
from lensless.data.folder import sha256
from lensless.data.pairing import check_pairing
from lensless.errors import InputError


def parts(count, size=(40, 60)):
    """Parts of a photograph, side by side."""
    photo = torch.from_numpy(skimage.data.coffee().astype(np.float32) / 255).movedim(-1, 0)
    return [photo[:, 8 * i : 8 * i + size[0], 20 * i : 20 * i + size[1]] for i in range(count)]


def blurred(image, random):
    seen = cv2.GaussianBlur(image.movedim(0, -1).numpy(), (0, 0), 1.5) * 0.2
    return torch.from_numpy((seen + 0.01 * random.standard_normal(seen.shape)).astype(np.float32)).movedim(-1, 0)


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for name in ("lensless", "lensed"):
        (tmp_path / name).mkdir()
    for index, scene in enumerate(parts(6)):
        pixels = (scene.movedim(0, -1).numpy() * 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "lensed" / f"{index}.png"), pixels)
        cv2.imwrite(str(tmp_path / "lensless" / f"{index}.png"), random.integers(0, 200, (10, 12, 3), np.uint8))
    return tmp_path


def problems(folder):
    source = load_card(folder).open()
    images = ImageCheck(source)
    splits = {"train": np.arange(4), "test": np.arange(4, 6)}
    return [*images.problems, *check_duplicates(source, splits, images.thumbnails)]


def test_a_good_set_has_no_problems(folder):
    assert problems(folder) == []


def test_pairs_are_recognised_and_a_slip_is_measured():
    random = np.random.default_rng(0)
    scenes = parts(7)
    estimates = [blurred(scene, random) for scene in scenes]
    good = check_pairing(estimates, scenes)
    assert (good.shift, good.strangers) == (0, []) and good.own > 0.7
    assert check_pairing(estimates[:-1], scenes[1:]).shift == -1
    assert check_pairing(estimates[2:], scenes[:-2]).shift == 2
    swapped = [*scenes[:3], scenes[4], scenes[3], *scenes[5:]]
    assert (check_pairing(estimates, swapped).shift, check_pairing(estimates, swapped).strangers) == (0, [3, 4])
    with pytest.raises(InputError, match="scenes: expected one for each of two or more estimates, got 1"):
        check_pairing(estimates[:1], scenes[:1])


@pytest.mark.parametrize("change", ["copy", "brighter and compressed"])
def test_a_scene_in_two_splits_is_found(folder, change):
    scene = cv2.imread(str(folder / "lensed/1.png"))
    if change != "copy":
        scene = cv2.imdecode(cv2.imencode(".jpg", scene)[1], cv2.IMREAD_COLOR)
        scene = np.minimum(scene * 1.1, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "lensed/5.png"), scene)
    (found,) = problems(folder)
    assert found.startswith("lensless/5.png of test shows the scene of lensless/1.png of train")


def test_overexposure_and_even_scenes_are_found(folder):
    cv2.imwrite(str(folder / "lensless/2.png"), np.full((10, 12, 3), 255, np.uint8))
    cv2.imwrite(str(folder / "lensed/3.png"), np.full((40, 60, 3), 77, np.uint8))
    found = problems(folder)
    assert found == [
        "lensless/2.png: 100% of the measurement is at full scale",
        "lensless/3.png: the scene is even, there is nothing in it to learn from",
    ]


def test_damaged_and_odd_images_are_all_listed(folder):
    (folder / "lensless/1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cv2.imwrite(str(folder / "lensed/4.png"), np.zeros((40, 61, 3), np.uint8))
    first, second = problems(folder)
    assert "1.png: cannot be read, is it damaged" in first
    assert "lensless/4.png: scene: expected (40, 60, 3) uint8 like the first sample, got (40, 61, 3)" in second


def test_files_are_compared_with_their_digests(folder):
    digests = {f"lensed/{index}.png": sha256(folder / f"lensed/{index}.png") for index in range(3)}
    assert list(check_files(folder, digests)) == []
    (folder / "lensed/0.png").unlink()
    (folder / "lensed/2.png").write_bytes(b"other")
    missing, changed = check_files(folder, digests)
    assert "0.png: no such file" in missing and "2.png: another content than the card says" in changed
