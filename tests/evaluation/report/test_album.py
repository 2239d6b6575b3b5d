import base64

import cv2
import numpy as np
import pytest

from lensless.evaluation.pictures import picture_file
from lensless.evaluation.report.album import album
from lensless.evaluation.results import read_results


def keep(folder, system, contender, value, *, image=0, shape=(10, 14)):
    file = picture_file(folder.out, system=system, image=image, contender=contender)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((*shape, 3), 257 * value, np.uint16))


def pixels(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_a_page_shows_scene_measurement_and_the_member_that_counts(matrix):
    contenders = {"scene": 200, "measurement": 100, "tape": 150, "admm, tau 1": 10, "admm, tau 2": 40}
    for contender, value in contenders.items():
        keep(matrix, "fza", contender, value)
    (page,), left_out = album(read_results(matrix.out, "suite"))
    assert (page.system, page.image, left_out) == ("fza", 0, 0)
    shown = {name: pixels(uri) for name, uri in page.pictures.items()}
    assert {name: picture.mean() for name, picture in shown.items()} == pytest.approx(
        {"scene": 200, "measurement": 100, "admm, best tau": 40, "tape": 150}, abs=2
    )
    assert shown["scene"].shape == (10, 14, 3)


def test_large_pictures_are_shrunk_and_broken_ones_left_out(matrix):
    keep(matrix, "tape", "tape", 100, shape=(300, 960))
    keep(matrix, "tape", "fza", 100)
    picture_file(matrix.out, system="tape", image=0, contender="fza").write_bytes(b"no picture")
    (page,), _ = album(read_results(matrix.out, "suite"))
    assert list(page.pictures) == ["tape"]
    assert pixels(page.pictures["tape"]).shape == (150, 480, 3)


def test_every_system_has_its_first_image_before_one_has_its_second(matrix):
    for system in ("tape", "fza"):
        for image in (0, 1):
            keep(matrix, system, "tape", 100, image=image)
    keep(matrix, "lens", "scene", 100)
    results = read_results(matrix.out, "suite")
    pages, left_out = album(results)
    assert [(page.system, page.image) for page in pages] == [("tape", 0), ("tape", 1), ("fza", 0), ("fza", 1)]
    assert left_out == 0
    room = sum(len(uri) for page in pages for uri in page.pictures.values()) // 2
    pages, left_out = album(results, budget=room)
    assert [(page.system, page.image) for page in pages] == [("tape", 0), ("fza", 0)]
    assert left_out == 2
