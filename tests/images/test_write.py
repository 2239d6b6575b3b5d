"""Files are written whole or not at all, and what is written is what is read."""

import json
import os
import resource
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lensless.errors import InputError
from lensless.images.gamma import linear_to_srgb
from lensless.images.read import read_image
from lensless.images.write import atomic_write, write_json, write_npy, write_png16

sides = st.tuples(st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def names(folder):
    return sorted(os.listdir(folder))


@settings(max_examples=50, deadline=None)
@given(hnp.arrays("uint16", sides))
def test_linear_png_comes_back_exactly(folder, counts):
    image = torch.from_numpy(counts.astype(np.float32) / np.float32(65535))
    write_png16(folder / "l.png", image, gamma="linear")
    assert torch.equal(read_image(folder / "l.png"), image)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays("float32", sides, elements=st.floats(-0.5, 1.5, width=32)))
def test_display_png_holds_the_srgb_code_of_the_clipped_light(folder, light):
    write_png16(folder / "s.png", torch.from_numpy(light))
    stored = cv2.imread(str(folder / "s.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    stored = stored[None] if stored.ndim == 2 else stored[..., ::-1].transpose(2, 0, 1)
    code = linear_to_srgb(torch.from_numpy(light).double().clamp(0, 1))
    assert float((torch.from_numpy(stored.astype(np.float64)) / 65535 - code).abs().max()) < 0.6 / 65535
    back = read_image(folder / "s.png", encoding="srgb")
    np.testing.assert_allclose(back, light.clip(0, 1), atol=3e-5)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["float32", "float64"]),
        st.one_of(
            hnp.array_shapes(min_dims=4, max_dims=4, max_side=5),
            st.tuples(st.sampled_from([1, 3, 4]), st.integers(1, 5), st.integers(1, 5)),
        ),
        elements=st.floats(-10, 10, width=32),
    )
)
def test_npy_comes_back_exactly(folder, image):
    write_npy(folder / "x.npy", torch.from_numpy(image))
    assert np.load(folder / "x.npy").dtype == np.float32
    assert torch.equal(read_image(folder / "x.npy"), torch.from_numpy(image).float())


def test_npy_of_an_odd_number_of_channels_is_read_by_its_axes(tmp_path):
    image = torch.rand(5, 3, 4)
    write_npy(tmp_path / "five.npy", image)
    assert torch.equal(read_image(tmp_path / "five.npy", axes="HWC"), image)


def test_json_is_strict_and_readable(tmp_path):
    data = {"path": Path("a") / "b", "history": [float("nan"), 1.5, (float("inf"), 2)], "name": "Blüte", "no": None}
    write_json(tmp_path / "r.json", data)
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "path": os.path.join("a", "b"),
        "history": [None, 1.5, [None, 2]],
        "name": "Blüte",
        "no": None,
    }
    assert "Blüte" in text


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: write_png16(path, torch.zeros(2, 4, 4)), r"expected \(1, H, W\) or \(3, H, W\) .* got \(2, 4"),
        (lambda path: write_png16(path, torch.zeros(4, 4)), r"got \(4, 4\)"),
        (lambda path: write_png16(path, torch.full((1, 2, 2), torch.nan)), "expected numbers for .*, got 4 NaN"),
        (lambda path: write_png16(path, torch.zeros(1, 4, 4), gamma="2.2"), "gamma: expected 'srgb' or 'linear', got"),
        (lambda path: write_npy(path, torch.zeros(4, 4)), r"expected \(..., C, H, W\) for .*, got \(4, 4\)"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, write, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "out.png")
    assert names(tmp_path) == []


def test_missing_folders_are_made_and_only_the_file_is_there(tmp_path):
    write_json(tmp_path / "a" / "b" / "r.json", {})
    assert names(tmp_path / "a" / "b") == ["r.json"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_json(tmp_path / "r.json", {})
    (tmp_path / "plain").touch()
    assert (tmp_path / "r.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_interrupted_write_leaves_the_old_file_whole(tmp_path):
    (tmp_path / "r.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "r.txt") as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path and temporary.suffix == ".txt" and temporary.name.startswith(".")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["r.txt"] and (tmp_path / "r.txt").read_text() == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_and_leaves_the_old_file_whole(tmp_path):
    (tmp_path / "r.txt").write_text("old")
    message = r"r.txt: cannot be written \(No space left on device\); the disk is full; free some space"
    with pytest.raises(InputError, match=message), atomic_write(tmp_path / "r.txt") as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("new")
    assert names(tmp_path) == ["r.txt"] and (tmp_path / "r.txt").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.npy", lambda path: write_npy(path, torch.zeros(3, 64, 64))),
        ("x.png", lambda path: write_png16(path, torch.rand(3, 64, 64))),
        ("x.json", lambda path: write_json(path, {"history": list(range(9000))})),
    ],
)
def test_a_file_that_the_system_cuts_short_is_not_left(tmp_path, name, write):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(InputError, match=rf"{name}: cannot be written \(File too large\)"):
            write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == []


def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere (root)")
    with pytest.raises(InputError, match=r"r.json: cannot be written \(Permission denied\); no permission to write"):
        write_json(tmp_path / "r.json", {})
    tmp_path.chmod(0o700)
    assert names(tmp_path) == []


def test_a_file_or_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for target, hint in (("file/r.json", "a part of the path is a file"), ("folder", "a folder has this name")):
        with pytest.raises(InputError, match=rf"{target}: cannot be written \(.*\); {hint}"):
            write_json(tmp_path / target, {})
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == []
