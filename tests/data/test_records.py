"""Record folders: what `lensless-capture` wrote is read back, and damage is named."""

import json

import numpy as np
import pytest
import torch

from lensless.data.dataset import load_dataset
from lensless.data.records import RecordFolder
from lensless.errors import InputError
from lensless_capture.cameras.base import CameraInfo, Frame, Reported
from lensless_capture.merge import average
from lensless_capture.records import RecordFolder as Writer

BLACK, FULL = 256, 4095
LIGHT = np.linspace(0.2, 3.0, 11 * 15).reshape(11, 15)
CAMERA = CameraInfo("made up", (11, 15), 12, "RGGB", (1e-5, 10.0), (1.0, 16.0))


def shot(exposure, gain=1.0, *, light=LIGHT, bayer="RGGB"):
    """A frame without noise: counts = black + (full - black) light exposure gain."""
    counts = np.rint(BLACK + (FULL - BLACK) * light * exposure * gain).astype(np.uint16)
    reported = Reported(exposure, gain, None, black_level=BLACK, bits=12, bayer=bayer, timestamp=exposure)
    return Frame(counts, reported)


@pytest.fixture
def written(tmp_path):
    """A dark and two frames of a point source, the second an average of four, and the frames themselves."""
    folder = tmp_path / "psf"
    records = Writer.open(folder, CAMERA, {})
    frames = [shot(0.02, 4.0), shot(0.1), average([shot(0.2)] * 4)]
    for number, (frame, kind) in enumerate(zip(frames, ("dark", "psf", "psf"), strict=True)):
        records.write(number, frame, kind=kind, mask=number)
    return folder, frames


def test_frames_and_their_settings_come_back(written):
    root, frames = written
    folder = RecordFolder.open(root)
    assert folder.camera["model"] == "made up"
    assert [record.kind for record in folder.records] == ["dark", "psf", "psf"]
    assert [record.mask for record in folder.of("psf")] == [1, 2]
    for record, frame in zip(folder.records, frames, strict=True):
        record.verify()
        raw = record.raw()
        assert raw.counts.tolist() == frame.pixels.tolist()
        assert (raw.exposure, raw.gain) == (frame.reported.exposure, frame.reported.gain)
        assert (raw.bits, raw.black_level, raw.bayer) == (frame.reported.bits, frame.reported.black_level, "RGGB")
    assert folder.records[0].raw().integration == pytest.approx(0.08)


def test_a_linear_image_is_the_signal_demosaiced(written):
    record = RecordFolder.open(written[0]).records[1]
    image, signal = record.image(), record.raw().signal()
    assert image.shape == (3, 11, 15)
    torch.testing.assert_close(image[0, ::2, ::2], signal[::2, ::2])  # red of RGGB is there, not interpolated
    assert float(signal.mean()) == pytest.approx(0.1 * LIGHT.mean(), rel=1e-3)


def test_a_kind_that_is_not_there_is_refused(written):
    with pytest.raises(InputError, match="expected records of the kind scene, found 1 dark, 2 psf"):
        RecordFolder.open(written[0]).of("scene")


def test_a_frame_that_is_missing_cut_short_or_changed_is_named(written):
    root, _ = written
    png = root / "000001.png"
    content = png.read_bytes()
    png.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    record = RecordFolder.open(root).records[1]
    with pytest.raises(InputError, match=r"000001.png: is not the frame that was recorded .*retakes it"):
        record.verify()
    png.write_bytes(content[:-9])
    message = rf"000001.png: {len(content) - 9} of {len(content)} bytes are there; .*lensless-capture.* retakes it"
    with pytest.raises(InputError, match=message):
        RecordFolder.open(root)
    png.unlink()
    with pytest.raises(InputError, match=r"records without a frame: 000001 \(1 in all\); .*retakes it"):
        RecordFolder.open(root)
    for read in (record.verify, record.raw, record.image):
        with pytest.raises(InputError, match=r"000001.png: no such file.*retakes it"):
            read()


def test_a_file_that_is_no_raw_frame_is_named(written):
    root, _ = written
    record = RecordFolder.open(root).records[1]
    record.png.write_bytes(b"\x89PNG" * 20)
    for read in (record.raw, record.image):
        with pytest.raises(InputError, match=r"000001.png: cannot be read, is it damaged or truncated\?.*retakes it"):
            read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exposure": -1.0}, "000001.json: expected exposure > 0, got -1.0"),
        ({"gain": "high"}, "000001.json: expected gain > 0, got 'high'"),
        ({"bits": 20}, "psf/000001: expected 8 to 16 bits, got 20"),
        ({"bayer": "RGBW"}, "pattern: expected one of RGGB"),
        ({"bits": 8, "black_level": 16}, "psf/000001: expected counts up to 255"),
        ({"exposure": None}, "000001.json: expected exposure and gain, which calibration needs"),
    ],
)
def test_a_record_that_no_camera_writes_is_refused(written, change, message):
    file = written[0] / "000001.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=message):
        RecordFolder.open(written[0]).records[1].raw()


def test_a_record_that_says_too_little_is_refused(written):
    file = written[0] / "000001.json"
    file.write_text('{"kind": "psf", "bits": 12}')
    with pytest.raises(InputError, match=r"000001.json: expected a record with .*, got none of black_level, bayer"):
        RecordFolder.open(written[0])
    file.write_text("[1]")
    with pytest.raises(InputError, match=r"000001.json: expected a JSON object, got a list"):
        RecordFolder.open(written[0])


def test_a_background_counts_as_much_as_the_exposure_of_its_scene(tmp_path):
    even = np.full((8, 10), 0.5)
    records = Writer.open(tmp_path, CAMERA, {})
    records.write(0, shot(0.5, light=even, bayer=None), kind="background")
    records.write(1, shot(0.4, 4.0, light=even, bayer=None), kind="scene", scene="a.png")
    sample = load_dataset(tmp_path, "all")[0]
    torch.testing.assert_close(sample.measurement, torch.full((1, 8, 10), 0.8), atol=2e-4, rtol=0)
    torch.testing.assert_close(sample.background, torch.full((1, 8, 10), 0.8), atol=1e-3, rtol=0)
