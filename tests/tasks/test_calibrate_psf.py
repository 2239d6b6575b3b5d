"""`lensless calibrate psf`: from record folders to a PSF that other commands read."""

import json

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lensless.cli import main
from lensless.images.read import read_image
from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor
from lensless.physics.system import get_system

SENSOR = Sensor(
    (72, 96),
    pitch=(5e-6, 5e-6),
    bits=12,
    full_well=1e5,
    gain=2.0,
    read_noise=4.0,
    black_level=256,
    cfa="GRBG",
    response=(0.6, 1.0, 0.8),
)


def write(folder, lights, exposures, kind, **others):
    """Records of light (3, H, W), one for each of ``exposures``."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "camera": {"model": "simulated"}}))
    for number, (light, exposure) in enumerate(zip(lights, exposures, strict=True)):
        counts = SENSOR.expose(light[None], sample_generator(7, number), exposure=exposure)[0, 0]
        cv2.imwrite(str(folder / f"{number:06d}.png"), counts.numpy().astype(np.uint16))
        record = {"kind": kind, "mask": None, "scene": None, "exposure": exposure, "gain": 1.0, **others}
        record |= {"bits": SENSOR.bits, "black_level": SENSOR.black_level, "bayer": SENSOR.cfa}
        (folder / f"{number:06d}.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def psf():
    """A mask's PSF (3, 72, 96), blurred to what a Bayer mosaic can show, and its peak 10 full scales a second."""
    small = get_system("diffuser", size="tiny").psf
    psf = torch.nn.functional.interpolate(small[None], scale_factor=2, mode="bilinear")[0]
    psf = torch.from_numpy(gaussian_filter(psf.numpy(), (0, 1.5, 1.5)))
    return 10 * psf / psf.max()


@pytest.fixture
def bench(tmp_path, psf):
    exposures = (0.02, 0.08, 0.32)
    write(tmp_path / "point", [psf + 0.01] * 3, exposures, "psf")
    write(tmp_path / "dark", [0 * psf] * 3, exposures, "dark")
    write(tmp_path / "flat", [torch.ones_like(psf)] * 2, (0.5, 0.5), "frame")
    return tmp_path


def test_a_psf_is_measured(bench, psf, capsys):
    words = [f"{name}={bench / folder}" for name, folder in (("records", "point"), ("darks", "dark"), ("out", "out"))]
    assert main(["calibrate", "psf", *words]) == 0
    said = capsys.readouterr().out
    assert "verdict: good" in said and "SNR" in said
    measured = read_image(bench / "out" / "psf.npy")
    assert measured.shape == (3, 72, 96)
    assert float(measured.sum((1, 2)).mean()) == pytest.approx(1)
    seen = psf * torch.tensor(SENSOR.response)[:, None, None]
    expected = seen / seen.sum((1, 2)).mean()
    assert float((measured - expected).square().sum() / expected.square().sum()) < 5e-3
    numbers = json.loads((bench / "out" / "psf.json").read_text())
    assert numbers["verdict"] == "good" and numbers["shape"] == [3, 72, 96]
    assert numbers["channel_gains"] == pytest.approx((seen.sum((1, 2)).max() / seen.sum((1, 2))).tolist(), rel=0.02)
    assert cv2.imread(str(bench / "out" / "psf.png")) is not None


def test_it_is_cropped_averaged_and_moved_on_request(bench, psf, capsys):
    words = [f"records={bench / 'point'}", f"flat={bench / 'flat'}", f"out={bench / 'out'}", "point.centre=centroid"]
    assert main(["calibrate", "psf", *words, "point.size=[64,84]", "point.downsample=2"]) == 0
    said = capsys.readouterr().out
    assert "no darks: the stated black level was taken off" in said
    image = read_image(bench / "out" / "psf.npy")
    assert image.shape == (3, 32, 42)
    light = image.sum(0)
    centroid = [float((light.sum(1 - axis) * torch.arange(n)).sum() / light.sum()) for axis, n in enumerate((32, 42))]
    # whole pixels of twice the size, and the light that was cut off
    assert centroid == pytest.approx([16, 21], abs=0.8)
    numbers = json.loads((bench / "out" / "psf.json").read_text())
    assert ("moved by" in said) == (numbers["shift"] != [0, 0])


def test_records_of_several_masks_give_a_psf_each(tmp_path, psf):
    for label in (0, 2):
        light = psf.roll(3 * label, -1)
        write(tmp_path / f"mask{label}", [light] * 2, (0.05, 0.1), "psf", mask=label)
    assert main(["calibrate", "psf", f"records={tmp_path}/mask*", f"out={tmp_path / 'out'}"]) == 0
    first, second = (read_image(tmp_path / "out" / f"psf_{label:03d}.npy") for label in (0, 2))
    assert float((first.roll(6, -1) - second).square().sum() / first.square().sum()) < 0.01


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["records=nowhere"], "records: expected a folder of records or a glob of such, found none at nowhere"),
        ([], "records: expected a folder of records, as `lensless-capture` writes them"),
        (["records={bench}/dark"], "expected records of the kind psf, found 3 dark"),
        (["records={bench}/point", "darks={bench}/flat"], "darks: .*expected records of the kind dark or background"),
        (["records={bench}/point", "point.size=[900,900]"], r"size: expected \[height, width\] of at most \[72, 96\]"),
        (["records={bench}/point", "point.centre=middle"], "point: centre: 'middle' is not known"),
        (["records={bench}/point", "point.colour=rgb"], "point: colour: 'rgb' is not known; known: demosaic, cells"),
        (["records={bench}/point", "point.downsample=0"], "downsample: expected an integer from 1"),
        (["action=spf", "records={bench}/point"], "action: 'spf' is not known; did you mean psf"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(bench, capsys, words, message):
    words = [word.format(bench=bench) for word in words]
    assert main(["calibrate", *words, f"out={bench / 'out'}"]) == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(capsys.readouterr().err)
    assert not (bench / "out").exists()


def test_frames_without_a_source_are_refused(tmp_path, capsys):
    write(tmp_path / "point", [torch.full((3, 72, 96), 0.1)], (0.1,), "psf")
    assert main(["calibrate", "psf", f"records={tmp_path / 'point'}", f"out={tmp_path / 'out'}"]) == 2
    assert "nothing in point/000000 and its like stands out of the background; is the source on?" in (
        capsys.readouterr().err
    )
