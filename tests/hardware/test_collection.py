"""A data set measured on a virtual rig: what is shown is what is recorded, whatever fails meanwhile."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from lensless.data.dataset import load_dataset
from lensless_capture.cameras.base import Settings
from lensless_capture.collect import Collection, collect
from lensless_capture.errors import DeviceError, InputError
from lensless_capture.exposure import AutoExposure
from lensless_capture.records import RecordFolder
from lensless_capture.report import in_words, summarise
from lensless_capture.rig import read_rig, rig_opener

# 7 scenes and 2 masks; before each four scenes a dark, two backgrounds and a point of light, which comes last too.
START = ["dark", "background", "background", "psf"]
KINDS = [*START, *4 * ["scene"], *START, *3 * ["scene"], "psf"]


def gather(out, scenes, file, *, auto=None, exposure=0.05, pauses=(0.01,) * 3, **where):
    collection = Collection(scenes, Settings(exposure), auto, every=4, **where)
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
    report = gather(tmp_path / "out", scenes, virtual(bench="ambient = 0.05"))
    check(tmp_path / "out")
    assert report.written == len(KINDS) and not report.summary["rejected"]
    source = load_dataset(tmp_path / "out", "all").source
    for index in range(7):
        level = (((255 - 20 * index) / 255 + 0.055) / 1.055) ** 2.4
        # the virtual camera sees 10 full scales a second of white for 0.05 s, and 0.5 of ambient light
        middle = source.light("measurement", index)[:, 8:16, 12:22]
        assert float(middle.mean()) == pytest.approx(0.05 * (10 * level + 0.5), abs=0.01)
        assert float(source.light("background", index).mean()) == pytest.approx(0.025, abs=0.003)
    found = report.summary["background"]
    assert found["first"] == pytest.approx(0.025, abs=0.003) and abs(found["change"]) < 0.003


def test_every_fault_costs_a_frame_and_no_record(scenes, virtual, tmp_path):
    file = virtual('faults = {2 = "stale", 4 = "dropped", 7 = "stale"}')
    report = gather(tmp_path / "out", scenes, file)
    check(tmp_path / "out")
    # each time it is opened again the virtual camera counts from 0: the drop at 4 happens until fewer are left
    assert report.written == len(KINDS) and report.reopened >= 1
    taken_again = sum((record["rejected"].get("stale", 0) for record in records(tmp_path / "out")), 0)
    assert report.summary["rejected"] == {"stale": taken_again} and taken_again >= 2


def test_a_saturated_frame_is_taken_again_at_the_right_exposure(scenes, virtual, tmp_path):
    report = gather(tmp_path / "out", scenes, virtual('faults = {8 = "saturated"}'), auto=AutoExposure())
    check(tmp_path / "out")
    assert report.summary["rejected"]["exposure"] >= 2 and report.summary["light"] == {"good": 7}
    for record, kind in zip(records(tmp_path / "out"), KINDS, strict=True):
        assert record["verdict"] == ("good" if kind in ("scene", "psf") else None)


def test_pictures_of_very_different_light_are_rarely_taken_twice(virtual, tmp_path):
    scenes = tmp_path / "uneven"
    scenes.mkdir()
    levels = np.random.default_rng(0).integers(60, 256, 40)
    for index, grey in enumerate(levels):
        Image.fromarray(np.full((9, 12, 3), grey, np.uint8)).save(scenes / f"{index:02d}.png")
    report = gather(tmp_path / "out", scenes, virtual(), auto=AutoExposure())
    assert report.summary["light"] == {"good": 40} and report.summary["rejected"].get("exposure", 0) <= 4
    low, high = report.summary["exposures"]
    assert high > 8 * low


def test_a_camera_that_stays_unplugged_ends_the_run_and_the_next_one_goes_on(scenes, virtual, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DeviceError, match="camera: unplugged"):
        gather(out, scenes, virtual("faults = {5 = 'unplugged'}"), pauses=())
    before = {file: file.read_bytes() for file in out.iterdir()}
    assert len(records(out)) == 4
    report = gather(out, scenes, virtual())
    check(out)
    assert report.written == len(KINDS) - 4
    assert {file: file.read_bytes() for file in before} == before


def test_exposure_carries_over_from_the_last_record(scenes, virtual, tmp_path):
    out, auto = tmp_path / "out", AutoExposure(low=0.1)
    with pytest.raises(DeviceError):
        gather(out, scenes, virtual("faults = {12 = 'unplugged'}"), auto=auto, exposure=1e-4, pauses=())
    *_, point, scene = before = records(out)
    assert [point["kind"], scene["kind"]] == ["psf", "scene"] and scene["exposure"] > 0.01
    gather(out, scenes, virtual(), auto=auto, exposure=1e-4)
    check(out)
    after = records(out)[len(before) :]
    assert after[0]["kind"] == "scene" and after[0]["exposure"] == scene["exposure"]
    assert {record["exposure"] for record in after if record["kind"] == "psf"} == {point["exposure"]}
    assert not any(record["rejected"] for record in after)


def test_a_truncated_record_is_put_aside_and_taken_again(scenes, virtual, tmp_path):
    out = tmp_path / "out"
    gather(out, scenes, virtual())
    with open(out / "000004.png", "r+b") as file:
        file.truncate(100)
    report = gather(out, scenes, virtual())
    check(out)
    assert (report.written, report.quarantined) == (1, 1)
    assert (out / "quarantine" / "000004.0.png").stat().st_size == 100
    assert "this run: 1 records written, 1 damaged ones taken again" in str(report)
    assert "records quarantined: 1" in str(report)


def test_a_full_disk_stops_it_and_space_lets_it_go_on(scenes, virtual, tmp_path, monkeypatch):
    out = tmp_path / "out"
    written = []

    def write_until_full(file, content):
        if len(written) >= 9:
            raise OSError(28, "No space left on device", str(file))
        written.append(file)
        whole(file, content)

    from lensless_capture import records as module

    whole = module.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", write_until_full)
        with pytest.raises(OSError, match="No space left on device"):
            gather(out, scenes, virtual())
    # a manifest and eight files of two writers: four pairs, or three and two halves
    before = len(records(out))
    assert before in (3, 4)
    assert gather(out, scenes, virtual()).written == len(KINDS) - before
    check(out)


def test_a_mask_that_moves_and_a_lamp_are_noticed_in_whichever_run(scenes, virtual, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(DeviceError):
        gather(out, scenes, virtual("faults = {6 = 'unplugged'}"), exposure=0.2, pauses=())
    report = gather(tmp_path / "still", scenes, virtual(), exposure=0.2)
    assert abs(report.summary["background"]["change"]) < 0.01 and report.summary["psf"]["correlation"] > 0.99
    said = capsys.readouterr().err
    assert "has moved" not in said and "has changed" not in said
    bench = 'disturbances = {1 = "moved", 2 = "lamp"}\nmove = [4, -6, 0]\nlamp = 0.03'
    report = gather(out, scenes, virtual(bench=bench), exposure=0.2)
    check(out)
    said = capsys.readouterr().err
    assert "record 000011: the PSF has moved by +3.9, -5.9 pixels (down, right); measure it again" in said
    assert "the light around has changed by +6.0% of full scale" in said
    assert report.summary["psf"]["shift"] == pytest.approx([4, -6], abs=0.2)
    # 10 full scales a second of white, a lamp of 0.03, 0.2 s
    assert report.summary["background"]["change"] == pytest.approx(0.06, abs=0.005)
    assert json.loads((out / "report.json").read_text())["summary"] == report.summary
    assert report.summary == summarise(RecordFolder(out)) and "PSF moved by +3.90, -5.92" in in_words(report.summary)


def test_a_record_names_what_was_shown(scenes, virtual, tmp_path):
    gather(tmp_path / "out", scenes, virtual())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["masks"] == [{"seed": 0, "shape": [6, 5]}, {"seed": 1, "shape": [6, 5]}]
    assert manifest["display"] == [18, 24]
    assert {"every": 4, "height": 1.0, "shift": [0, 0], "brightness": 1.0}.items() <= manifest["plan"].items()
    for record in records(tmp_path / "out"):
        picture = None if record["scene"] is None else (scenes / record["scene"]).read_bytes()
        assert record["scene_sha256"] == (None if picture is None else hashlib.sha256(picture).hexdigest())
        assert {"bits", "bayer", "black_level", "exposure", "gain", "colour_gains", "temperature"} <= set(record)


def test_a_picture_that_cannot_be_read_is_said_before_anything_is_measured(scenes, virtual, tmp_path):
    whole = (scenes / "5.png").read_bytes()
    (scenes / "5.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"5\.png: cannot be read as a picture"):
        gather(tmp_path / "out", scenes, virtual())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"height": 1.5}, r"height: expected in \(0, 1\], got 1.5"),
        ({"brightness": 0}, r"brightness: expected in \(0, 1\], got 0"),
        # the last picture, and it alone, is as wide as the display
        ({"shift": (0, 3)}, r"shift: \(0, 3\) moves a picture of \(12, 24\) off the screen of \(18, 24\)"),
    ],
)
def test_a_place_that_a_picture_has_not_is_said_before_anything_is_measured(scenes, virtual, tmp_path, where, message):
    for file in scenes.iterdir():
        Image.new("RGB", (6, 6)).save(file)
    Image.new("RGB", (20, 10)).save(max(scenes.iterdir()))
    with pytest.raises(InputError, match=message):
        gather(tmp_path / "out", scenes, virtual(), **where)
    assert not (tmp_path / "out").exists()


def test_a_rig_without_a_display_and_another_plan_are_refused(scenes, virtual, tmp_path):
    out, bare = tmp_path / "out", tmp_path / "bare.toml"
    bare.write_text('[camera]\nkind = "virtual"\n')
    with pytest.raises(InputError, match="display: this rig has none"):
        gather(out, scenes, bare)
    gather(out, scenes, virtual())
    with pytest.raises(InputError, match=r"expected masks \[.*'seed': 2"):
        gather(out, scenes, virtual(masks=3))
    (scenes / "6.png").unlink()
    with pytest.raises(InputError, match="expected plan"):
        gather(out, scenes, virtual())


def test_rigs_are_checked_word_by_word(tmp_path):
    cases = {
        '[camera]\nkind = "analogue"': "camera: expected a kind of pi, usb, folder, virtual, got 'analogue'",
        '[camera]\nkind = "virtual"\nsped = 3': "camera: .*unexpected keyword argument 'sped'",
        '[lens]\nkind = "glass"': "rig: expected camera, display, mask, bench, got lens",
        '[display]\nkind = "simulated"\nsize = [3, 4]': r"rig: expected a \[camera\]",
        '[camera]\nkind = "virtual"\n[mask]\nkind = "simulated"\nsize = [3, 4]\nseeds = [1]': "mask: expected seeds",
        '[camera]\nkind = "virtual"\n[mask]\nkind = "wheel"\nsize = [3, 4]': "mask: expected a wheel's count alone",
        '[camera]\nkind = "pi"\n[bench]\nambient = 1': "bench: expected beside a camera of the kind virtual alone",
        '[camera]\nkind = "virtual"\n[bench]\nsize = [3, 4]\npsfs = "x"': "bench: expected psfs, .* got both",
        '[camera]\nkind = "virtual"\n[bench]\npsfs = "x"': "psfs: .*/x/000.npy: no such file",
        '[camera]\nkind = "virtual"\nfaults = {first = "stale"}': "faults: expected numbers of frames",
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
