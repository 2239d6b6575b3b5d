"""A data set measured on a virtual rig: what is shown is what is recorded, whatever fails meanwhile."""

import hashlib
import json

import numpy as np
import pytest

from lensless.data.dataset import load_dataset
from lensless_capture.cameras.base import Settings
from lensless_capture.collect import Collection, collect
from lensless_capture.errors import DeviceError, InputError
from lensless_capture.exposure import AutoExposure
from lensless_capture.rig import read_rig, rig_opener

# 7 scenes and 2 masks; before each four scenes a dark and two backgrounds.
START = ["dark", "background", "background"]
KINDS = [*START, *4 * ["scene"], *START, *3 * ["scene"]]


def gather(out, scenes, file, *, auto=None, exposure=0.05, pauses=(0.01,) * 3):
    collection = Collection(scenes, Settings(exposure), auto, every=4)
    return collect(out, collection, rig_opener(read_rig(str(file))), pauses=pauses)


def records(out):
    return [json.loads(file.read_text()) for file in sorted(out.glob("0*.json"))]


def check(out):
    """All records there, in the plan's order, and every file is the one whose digest was noted."""
    found = records(out)
    assert [record["kind"] for record in found] == KINDS
    scenes = [(record["scene"], record["mask"]) for record in found if record["kind"] == "scene"]
    assert scenes == [(f"{index}.png", index % 2) for index in range(7)]
    for number, record in enumerate(found):
        assert hashlib.sha256((out / f"{number:06d}.png").read_bytes()).hexdigest() == record["sha256"]


def test_each_record_is_of_the_scene_that_it_names(scenes, virtual, tmp_path):
    report = gather(tmp_path / "out", scenes, virtual("ambient = 0.5"))
    check(tmp_path / "out")
    assert report.written == len(KINDS) and not report.rejected
    source = load_dataset(tmp_path / "out", "all").source
    for index in range(7):
        level = (255 - 20 * index) / 255
        # the virtual camera sees 10 full scales a second of white for 0.05 s, and 0.5 of ambient light
        middle = source.light("measurement", index)[:, 8:16, 12:22]
        assert float(middle.mean()) == pytest.approx(0.05 * (10 * level + 0.5), abs=0.01)
        assert float(source.light("background", index).mean()) == pytest.approx(0.025, abs=0.003)
    assert report.backgrounds == pytest.approx((0.025, 0.025), abs=0.003)


def test_every_fault_costs_a_frame_and_no_record(scenes, virtual, tmp_path):
    file = virtual('faults = {2 = "stale", 4 = "dropped", 7 = "stale"}')
    report = gather(tmp_path / "out", scenes, file)
    check(tmp_path / "out")
    # each time it is opened again the virtual camera counts from 0: the drop at 4 happens until fewer are left
    assert report.written == len(KINDS) and report.reopened >= 1 and report.rejected["stale"] >= 2


def test_a_saturated_frame_is_taken_again_at_the_right_exposure(scenes, virtual, tmp_path):
    report = gather(tmp_path / "out", scenes, virtual('faults = {6 = "saturated"}'), auto=AutoExposure())
    check(tmp_path / "out")
    assert report.rejected["exposure"] >= 2 and set(report.verdicts) == {"good"}
    for record, source in zip(records(tmp_path / "out"), KINDS, strict=True):
        assert record["verdict"] == ("good" if source == "scene" else None)


def test_a_camera_that_stays_unplugged_ends_the_run_and_the_next_one_goes_on(scenes, virtual, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DeviceError, match="camera: unplugged"):
        gather(out, scenes, virtual("faults = {5 = 'unplugged'}"), pauses=())
    before = {file: file.read_bytes() for file in out.iterdir()}
    assert len(records(out)) == 5
    report = gather(out, scenes, virtual())
    check(out)
    assert report.written == len(KINDS) - 5
    assert {file: file.read_bytes() for file in before} == before


def test_exposure_carries_over_from_the_last_record(scenes, virtual, tmp_path):
    out, auto = tmp_path / "out", AutoExposure(low=0.1)
    with pytest.raises(DeviceError):
        gather(out, scenes, virtual("faults = {8 = 'unplugged'}"), auto=auto, exposure=1e-4, pauses=())
    last = records(out)[-1]["exposure"]
    assert last > 0.01
    report = gather(out, scenes, virtual(), auto=auto, exposure=1e-4)
    assert report.exposures == (last, last) and not report.rejected
    check(out)


def test_a_truncated_record_is_put_aside_and_taken_again(scenes, virtual, tmp_path):
    out = tmp_path / "out"
    gather(out, scenes, virtual())
    with open(out / "000004.png", "r+b") as file:
        file.truncate(100)
    report = gather(out, scenes, virtual())
    check(out)
    assert (report.written, report.quarantined) == (1, 1)
    assert (out / "quarantine" / "000004.0.png").stat().st_size == 100
    assert "1 records written, 1 damaged ones taken again" in str(report)


def test_a_full_disk_stops_it_and_space_lets_it_go_on(scenes, virtual, tmp_path, monkeypatch):
    out = tmp_path / "out"
    written = []

    def write_until_full(file, content):
        if len(written) == 9:
            raise OSError(28, "No space left on device", str(file))
        written.append(file)
        whole(file, content)

    from lensless_capture import records as module

    whole = module.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", write_until_full)
        with pytest.raises(OSError, match="No space left on device"):
            gather(out, scenes, virtual())
    # a manifest and four pairs
    assert len(records(out)) == 4
    assert gather(out, scenes, virtual()).written == len(KINDS) - 4
    check(out)


def test_a_rig_without_a_display_and_another_plan_are_refused(scenes, virtual, tmp_path):
    out, bare = tmp_path / "out", tmp_path / "bare.toml"
    bare.write_text('[camera]\nkind = "virtual"\n')
    with pytest.raises(InputError, match="display: this rig has none"):
        gather(out, scenes, bare)
    gather(out, scenes, virtual())
    with pytest.raises(InputError, match="expected plan"):
        gather(out, scenes, virtual(masks=3))


def test_rigs_are_checked_word_by_word(tmp_path):
    cases = {
        '[camera]\nkind = "analogue"': "camera: expected a kind of pi, usb, folder, got 'analogue'",
        '[camera]\nkind = "virtual"\nsped = 3': "camera: .*unexpected keyword argument 'sped'",
        '[lens]\nkind = "glass"': "rig: expected camera, display, mask, got lens",
        '[display]\nkind = "simulated"\nsize = [3, 4]': r"rig: expected a \[camera\]",
        '[camera]\nkind = "virtual"\n[mask]\nkind = "simulated"\nsize = [3, 4]\nseeds = [1]': "mask: expected seeds",
        "[camera": "cannot be read as TOML",
    }
    file = tmp_path / "rig.toml"
    for content, message in cases.items():
        file.write_text(content)
        with pytest.raises(InputError, match=message), rig_opener(read_rig(str(file)))():
            pass
    with pytest.raises(InputError, match="rig: 'none' is no file and none of pi, virtual"):
        read_rig("none")
    with rig_opener(read_rig("virtual"))() as rig:
        assert rig.camera.capture(Settings(0.1)).pixels.shape == (120, 160)
        assert np.shape(rig.display.shown) == (240, 320, 3)
