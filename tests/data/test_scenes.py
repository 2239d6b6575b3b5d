"""Which pictures there are, and where they stand: sizes by hand, boxes within the field."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lensless.data.scenes import PictureError, Placement, find_licence, list_pictures, place_picture, read_picture
from lensless.errors import InputError
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"


@pytest.fixture(scope="module")
def system():
    """36 x 48 pixels, each 26.178 x 26.195 mm large on a scene at 0.4 m."""
    return get_system("flatcam_mls", size="tiny")


def place(placement, picture, system, index=0):
    return placement(picture, system, sample_generator(0, index))


def test_a_picture_has_the_size_that_geometry_gives(system):
    # 0.5 m / 26.178 mm = 19.1 pixels high; 0.75 m / 26.195 mm = 28.6 wide
    _, box = place(Placement(0.5), torch.ones(3, 200, 300), system)
    assert box[2:] == [19, 29]


def test_without_a_height_three_quarters_of_the_field_are_filled(system):
    assert place(Placement(), torch.ones(3, 10, 90), system)[1][3] == 36
    assert place(Placement(), torch.ones(3, 90, 10), system)[1][2] == 27


@pytest.mark.parametrize(("height", "margin"), [(0.3, 0), (3.0, 90)])
def test_random_places_reach_both_ends_and_stay_in_view(system, height, margin):
    placement, tops, lefts = Placement(height), set(), set()
    for index in range(400):
        scene, (top, left, rows, columns) = place(placement, torch.ones(3, 30, 20), system, index)
        seen = scene[0, max(top, 0) : top + rows, max(left, 0) : left + columns]
        assert bool((seen == 1).all()) and float(scene.sum()) == 3 * seen.numel()
        assert seen.shape == (min(rows, 36), min(columns, 48))
        tops.add(top)
        lefts.add(left)
    assert {0, 36 - rows} <= tops and {0, 48 - columns} <= lefts
    assert len(lefts) == abs(48 - columns) + 1


def test_the_centre_of_the_picture_stands_on_the_centre_of_the_field(system):
    _, box = place(Placement(0.29, "centre"), torch.ones(3, 30, 30), system)
    assert box == [18 - 5, 24 - 5, 11, 11]


def test_shrinking_keeps_the_light(system):
    picture = torch.rand(3, 110, 220, generator=torch.Generator().manual_seed(0))
    scene, (top, left, rows, columns) = place(Placement(11 * system.pixel_on_scene[0]), picture, system)
    assert (rows, columns) == (11, 22)
    torch.testing.assert_close(
        scene[:, top : top + rows, left : left + columns],
        picture.unflatten(1, (11, 10)).unflatten(3, (22, 10)).mean((2, 4)),
    )


@pytest.mark.parametrize("colours", [1, 3, 7])
def test_a_picture_beyond_the_field_is_cropped_in_every_colour(colours):
    picture = torch.rand(colours, 10, 14, generator=torch.Generator().manual_seed(1))
    enlarged = picture.repeat_interleave(2, 1).repeat_interleave(3, 2)
    halved = place_picture(enlarged, (7, 9), (10, 14), (-2, 3))
    torch.testing.assert_close(halved[:, :, 3:], picture[:, 2:9, :6])
    assert not halved[:, :, :3].any()


def test_gray_pictures_become_gray_in_colour(tmp_path, system):
    gray = np.linspace(0, 255, 600, dtype=np.uint8).reshape(20, 30)
    cv2.imwrite(str(tmp_path / "gray.png"), gray)
    picture = read_picture(tmp_path / "gray.png", encoding="linear")
    scene, _ = place(Placement(), picture, system)
    assert torch.equal(picture, torch.from_numpy(gray / np.float32(255)).expand(3, -1, -1))
    assert torch.equal(scene[0], scene[2]) and float(scene.max()) > 0.9


def test_pictures_that_cannot_be_used_name_their_file(tmp_path):
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    np.save(tmp_path / "bright.npy", np.full((4, 5, 3), 7, np.float32))
    np.save(tmp_path / "stack.npy", np.zeros((2, 4, 5, 3), np.float32))
    for name, complaint in (("cut.png", "damaged"), ("bright.npy", "expected values in"), ("stack.npy", "one gray or")):
        with pytest.raises(PictureError, match=rf"{name}.*{complaint}"):
            read_picture(tmp_path / name, encoding="srgb")


def test_pictures_of_scikit_image_are_there_with_their_licences():
    pictures = list_pictures("skimage")
    assert [read_picture(picture, encoding="srgb").shape[0] for picture in pictures] == [3, 3, 3, 3]
    assert "chelsea.png: CC0" in find_licence("skimage", pictures)


def test_licence_files_beside_the_pictures_are_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((3, 4), np.uint8))
    pictures = list_pictures(str(tmp_path))
    assert find_licence(str(tmp_path), pictures) == "not stated"
    (tmp_path / "COPYRIGHT.debian").write_text("CC0")
    assert find_licence(str(tmp_path), pictures) == "see COPYRIGHT.debian beside the pictures"


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="real photographs are not there (../shared/data/photos)")
def test_a_folder_of_real_photographs():
    pictures = list_pictures(str(PHOTOS))
    assert len(pictures) == 115
    assert read_picture(pictures[0], encoding="srgb").shape[0] == 3
    assert "COPYRIGHT" in find_licence(str(PHOTOS), pictures)


def test_wrong_words_are_refused(tmp_path):
    with pytest.raises(InputError, match="position: expected random or centre, got 'left'"):
        Placement(position="left")
    with pytest.raises(InputError, match="height: expected metres > 0, got 0"):
        Placement(0)
    with pytest.raises(InputError, match="found none"):
        list_pictures(str(tmp_path))
