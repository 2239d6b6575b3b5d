"""Simulation on the fly: each sample a function of (seed, epoch, i), whoever makes it, obeying its camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lensless.data.augment import Augment
from lensless.data.on_the_fly import OnTheFlySimulation
from lensless.data.pictures import shrink_pictures
from lensless.data.samplers import Loader, MaskBatchSampler
from lensless.data.scenes import Patch, PictureError, list_pictures, read_picture
from lensless.errors import InputError
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system


@pytest.fixture(scope="module")
def systems():
    return [get_system(name, size="tiny") for name in ("flatcam_mls", "multilens")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return shrink_pictures(list_pictures("skimage"), tmp_path_factory.mktemp("small"), longest_side=120)


def make(systems, pictures, **changes):
    return OnTheFlySimulation(systems, pictures=pictures, encoding="linear", length=6, **{"seed": 3, **changes})


def test_a_sample_obeys_the_camera_of_its_label(systems, pictures):
    dataset = make(systems, pictures)
    assert dataset.labels.tolist() == [0, 1, 0, 1, 0, 1]
    for index in (2, 3):
        sample = dataset[index]
        expected = systems[index % 2].physics(sample.scene[None])[0]
        assert float((sample.measurement - expected).norm() / expected.norm()) < 0.05
        assert sample.origin["system"] == systems[index % 2].name


def test_epoch_and_seed_and_index_matter_and_nothing_else(systems, pictures):
    dataset, again = make(systems, pictures), make(systems, pictures)
    expected = dataset[1, 2].measurement
    assert torch.equal(again[1, 2].measurement, expected)
    for other in (dataset[0, 2], dataset[1, 4], make(systems, pictures, seed=4)[1, 2]):
        assert not torch.equal(other.measurement, expected)
    loader = Loader(dataset, sampler=MaskBatchSampler(dataset.labels, batch_size=2, mixed=False), workers=2)
    for batch in loader:
        for place, index in enumerate(batch.index.tolist()):
            assert torch.equal(batch.measurement[place], dataset[0, index].measurement)
        assert batch.psf.shape == (1, 3, 36, 48)


def test_augmentation_comes_on_top(systems, pictures):
    plain = make(systems, pictures)[1, 0]
    changed = make(systems, pictures, augment=Augment(flip_horizontal=1.0))[1, 0]
    assert torch.equal(changed.scene, plain.scene.flip(-1))


def test_patches_fill_the_field(systems, pictures):
    system, picture = systems[0], torch.ones(3, 50, 90)
    boxes = set()
    for index in range(60):
        scene, box = Patch(zoom=(1.0, 1.5))(picture, system, sample_generator(0, index))
        torch.testing.assert_close(scene, torch.ones(3, 36, 48))
        boxes.add(tuple(box))
        assert box[2] >= 36 and box[3] >= 48
    assert len(boxes) > 50


def test_a_patch_shows_the_picture_in_its_proportions(systems):
    # 72 x 96 pixels of which zoom 2 keeps each as large as it was
    picture = torch.rand(3, 72, 96, generator=torch.Generator().manual_seed(0))
    scene, (top, left, height, width) = Patch(zoom=(2.0, 2.0), mirror=0)(picture, systems[0], sample_generator(0, 1))
    assert (height, width) == (72, 96)
    assert torch.equal(scene, picture[:, -top : 36 - top, -left : 48 - left])
    mirrored, _ = Patch(zoom=(2.0, 2.0), mirror=1)(picture, systems[0], sample_generator(0, 1))
    assert torch.equal(mirrored, scene.flip(-1))


def test_shrunk_pictures_keep_the_light_and_are_made_once(tmp_path):
    stored = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), stored)
    picture = tmp_path / "a.png"
    (file,) = shrink_pictures([picture], tmp_path / "out", longest_side=30, encoding="linear")
    small = read_picture(file, encoding="linear")
    whole = read_picture(picture, encoding="linear")
    torch.testing.assert_close(small, whole.unflatten(1, (20, 2)).unflatten(3, (30, 2)).mean((2, 4)), atol=1e-5, rtol=0)
    made = file.stat().st_mtime_ns
    assert shrink_pictures([picture], tmp_path / "out", longest_side=30, encoding="linear") == [file]
    assert file.stat().st_mtime_ns == made
    assert shrink_pictures([picture], tmp_path / "out", longest_side=31, encoding="linear") != [file]


def test_impossible_sets_are_refused(systems, pictures, tmp_path):
    with pytest.raises(InputError, match="systems: expected one or more of one sensor size"):
        make([*systems, get_system("tape", size="small")], pictures)
    with pytest.raises(InputError, match="length: expected at least 1"):
        OnTheFlySimulation(systems, pictures=pictures, length=0)
    with pytest.raises(InputError, match=r"zoom: expected \[least, most\]"):
        Patch(zoom=(0.5, 2.0))
    broken = Path(tmp_path / "b.png")
    broken.write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"b\.png"):
        make(systems, [broken])[0]
