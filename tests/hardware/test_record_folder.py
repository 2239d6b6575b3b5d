"""What the Pi writes, the workstation reads."""

import hashlib
import json
import os
import resource
import signal

import cv2
import numpy as np
import pytest
import torch

from lensless.data.dataset import load_dataset
from lensless_capture.cameras.base import CameraInfo
from lensless_capture.errors import InputError
from lensless_capture.plan import Shot, describe, list_scenes, plan
from lensless_capture.records import RecordFolder

INFO = CameraInfo("test", (6, 10), 12, "RGGB", exposure_range=(1e-4, 2.0), gain_range=(1.0, 8.0))
PLAN = describe(plan(["a.png", "b.png", "c.png"]))


@pytest.fixture
def counts():
    return np.random.default_rng(5).integers(256, 4096, (6, 10)).astype(np.uint16)


@pytest.fixture
def records(tmp_path, frame, counts):
    """Background, scene, scene, and a gap where the fourth belongs."""
    folder = RecordFolder.open(tmp_path / "records", INFO, PLAN)
    folder.write(0, frame(np.full((6, 10), 300)), kind="background", mask=1)
    folder.write(1, frame(counts), kind="scene", scene="a.png", mask=1, verdict="good", notes={"rejected": {}})
    folder.write(2, frame(counts // 2 + 128), kind="scene", scene="b.png", mask=1)
    return folder


def test_the_workstation_reads_what_was_written(records, counts):
    dataset = load_dataset(records.folder, "all")
    assert dataset.labels.tolist() == [1, 1] and dataset.source.groups == ["a.png", "b.png"]
    # the mosaic's own pixels: red at (0, 0), blue at (1, 1)
    light = torch.from_numpy((counts.astype(np.float32) - 256) / (4095 - 256))
    measured = dataset[0].measurement
    torch.testing.assert_close(measured[0, ::2, ::2], light[::2, ::2])
    torch.testing.assert_close(measured[2, 1::2, 1::2], light[1::2, 1::2])
    background = dataset.source.light("background", 0)
    torch.testing.assert_close(background, torch.full_like(background, 44 / 3839))


def test_the_digest_is_the_files_and_the_file_is_16_bits(records, counts, frame):
    file, record = records.folder / "000001.png", records.record(1)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == record["sha256"]
    assert load_dataset(records.folder, "all").source.digests["000001.png"] == record["sha256"]
    np.testing.assert_array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), counts)
    again = records.frame(1)
    np.testing.assert_array_equal(again.pixels, counts)
    assert again.reported == frame(counts).reported
    assert {"kind": "scene", "scene": "a.png", "mask": 1, "verdict": "good"}.items() <= record.items()
    assert (record["exposure"], record["bits"], record["black_level"], record["bayer"]) == (0.01, 12, 256, "RGGB")


def test_a_cut_run_goes_on_at_the_first_missing_number(records, frame):
    records.write(4, frame(np.full((6, 10), 300)), kind="dark")
    again = RecordFolder.open(records.folder, INFO, PLAN)
    assert list(again.missing(6)) == [3, 5] and again.numbers() == [0, 1, 2, 4] and again.damaged == []


def test_a_cut_between_frame_and_json_leaves_no_record(records):
    (records.folder / "000002.json").unlink()
    assert list(RecordFolder.open(records.folder, INFO, PLAN).missing(3)) == [2]


def test_damaged_records_are_put_aside_and_missing_again(records, counts, frame):
    whole = (records.folder / "000000.png").read_bytes()
    for _ in range(2):
        content = (records.folder / "000001.png").read_bytes()
        (records.folder / "000001.png").write_bytes(content[:-5])
        (records.folder / "000002.json").write_text('{"kind": "sce')
        again = RecordFolder.open(records.folder, INFO, PLAN)
        assert again.damaged == [1, 2] and list(again.missing(3)) == [1, 2]
        for number in again.damaged:
            again.write(number, frame(counts), kind="scene", scene="a.png")
    kept = {file.name for file in (records.folder / "quarantine").iterdir()}
    assert kept == {f"00000{i}.{turn}.{suffix}" for i in (1, 2) for turn in (0, 1) for suffix in ("png", "json")}
    assert (records.folder / "000000.png").read_bytes() == whole


def test_other_folders_are_refused_and_left_alone(records, tmp_path):
    manifest = records.folder / "manifest.json"
    before = {file: file.read_bytes() for file in records.folder.iterdir() if file != manifest}
    with pytest.raises(InputError, match=r"manifest.json: expected plan .*name another folder"):
        RecordFolder.open(records.folder, INFO, describe([Shot("frame", None, None)]))
    with pytest.raises(InputError, match=r"manifest.json: expected masks \[\{'seed': 1\}\], got None"):
        RecordFolder.open(records.folder, INFO, PLAN, masks=[{"seed": 1}])
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"schema": 2}))
    (records.folder / "000001.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"manifest.json: expected schema 1, got 2"):
        RecordFolder.open(records.folder, INFO, PLAN)
    assert not (records.folder / "quarantine").exists()
    (records.folder / "000001.png").write_bytes(before[records.folder / "000001.png"])
    assert {file: file.read_bytes() for file in before} == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        RecordFolder.open(tmp_path, INFO, PLAN)


def test_a_disk_that_is_full_in_mid_file_leaves_earlier_records_whole(records, frame):
    noise = np.random.default_rng(0).integers(0, 4096, (400, 400))
    before = sorted(os.listdir(records.folder))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*000003.png'"):
            records.write(3, frame(noise), kind="scene", scene="c.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert sorted(os.listdir(records.folder)) == before
    records.write(3, frame(noise), kind="scene", scene="c.png")
    assert records.numbers() == [0, 1, 2, 3]


def test_the_plan_cycles_masks_with_backgrounds_before_their_scenes_and_points_of_light():
    dark, one, two = Shot("dark", None, None), Shot("background", None, 0), Shot("background", None, 1)
    point = Shot("psf", None, 0)
    assert plan(["a", "b", "c"], masks=[0, 1], every=2) == [
        *(dark, one, two, point, Shot("scene", "a", 0), Shot("scene", "b", 1)),
        *(dark, one, two, point, Shot("scene", "c", 0)),
        point,
    ]
    point = Shot("psf", None, None)
    assert plan(["a"], every=9) == [Shot("background", None, None), point, Shot("scene", "a", None), point]
    with pytest.raises(InputError, match="every: expected at least 1"):
        plan(["a"], every=0)


def test_scenes_are_the_pictures_of_a_folder(scenes, tmp_path):
    (scenes / "notes.txt").write_text("")
    assert list_scenes(scenes) == [f"{index}.png" for index in range(7)]
    with pytest.raises(InputError, match="is not a folder"):
        list_scenes(tmp_path / "none")
