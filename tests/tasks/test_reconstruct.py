import json
import os
import resource
import signal

import cv2
import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.errors import InputError
from lensless.images.gamma import linear_to_srgb
from lensless.images.read import read_image
from lensless.images.write import write_npy, write_png16
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.stack import DepthStack
from lensless.tasks.session import match_channels, pick_device

SHAPE = (21, 34)
QUIET = ("recon.progress=false", "recon.iterations=60")


def random_image(channels, seed, shape=SHAPE):
    return torch.rand(channels, *shape, generator=torch.Generator().manual_seed(seed))


def random_psf(channels=1, seed=0):
    """A few bright points near the centre."""
    psf = torch.zeros(channels, *SHAPE)
    psf[:, 6:15, 11:24] = random_image(channels, seed, (9, 13)) ** 6
    return psf


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A PSF, the measurement of a scene with three channels, and that scene, in a working folder of their own."""
    monkeypatch.chdir(tmp_path)
    psf, scene = random_psf(), random_image(3, 1)
    write_npy("psf.npy", psf)
    write_npy("scene.npy", scene)
    write_npy("y.npy", LenslessConvolution(psf.expand(3, -1, -1))(scene[None])[0] / psf.sum())
    return tmp_path


def run(*words):
    return main(["reconstruct", "psf=psf.npy", "measurement=y.npy", *QUIET, *words])


def array(path):
    return np.load(path, allow_pickle=False)


def record(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_pinhole_camera_gives_back_what_it_measured(files):
    pinhole = torch.zeros(1, *SHAPE)
    pinhole[0, SHAPE[0] // 2, SHAPE[1] // 2] = 5
    write_npy("psf.npy", pinhole)
    assert run("recon=fista", "output=out") == 0
    measured, found = array("y.npy"), array("out/y.npy")
    np.testing.assert_allclose(found, measured, atol=2e-3)
    content = record(files / "out/y.json")
    assert content["psf_factor"] == pytest.approx(5)
    shown = linear_to_srgb(torch.from_numpy(found / content["display_maximum"]).clamp(0, 1))
    png = read_image("out/y.png", encoding="linear")
    np.testing.assert_allclose(png.movedim(0, -1), shown, atol=1 / 65535)
    assert np.percentile(found, 99.9) == pytest.approx(content["display_maximum"])


def test_the_record_says_what_was_done(files):
    assert run("ground_truth=scene.npy", "score.border=2", "recon.record_every=20") == 0
    content = record(files / "outputs/y/y.json")
    assert content["config"]["recon"]["iterations"] == 60
    assert content["config"]["score"]["border"] == 2
    assert content["history"]["iteration"] == [20, 40, 60]
    assert content["iterations"] == 60 and content["stopped_by"] == "iterations"
    assert {"lensless-torch", "torch", "numpy", "python", "platform"} <= set(content["versions"])
    assert {"read", "prepare", "solve", "score"} <= set(content["seconds"])
    assert content["metrics"]["psnr_affine"] > 12
    assert all((files / "outputs/y" / name).stat().st_size > 0 for name in content["files"])
    assert content["history"]["objective"][-1] < content["history"]["objective"][0]


def test_a_gray_psf_serves_colour_channel_by_channel(files):
    words = ["reconstruct", "psf=psf.npy", "measurement=y.npy", "recon=wiener", "recon.k=1e-3"]
    assert main([*words, "output=colour"]) == 0
    colours = array("y.npy")
    for channel in range(3):
        np.save("y.npy", colours[..., channel])
        assert main([*words, f"output=gray{channel}"]) == 0
    apart = np.stack([array(f"gray{channel}/y.npy")[..., 0] for channel in range(3)], -1)
    np.testing.assert_allclose(array("colour/y.npy"), apart, atol=1e-5)


def test_match_channels():
    gray, colour = random_image(1, 0), random_image(3, 0)
    assert torch.equal(match_channels(gray, 3), torch.cat([gray] * 3))
    assert torch.equal(match_channels(colour, 1), colour.mean(0, keepdim=True))
    with pytest.raises(InputError, match="psf: expected 4 channels like the measurement, or 1, got 3"):
        match_channels(colour, 4)


def test_view_turns_the_result_alone(files):
    assert run("output=plain") == 0
    assert run("output=turned", "view.flip=vertical", "view.rotation=90") == 0
    np.testing.assert_array_equal(array("turned/y.npy"), np.rot90(array("plain/y.npy")[::-1]))


def test_geometry_is_applied_to_psf_and_measurement_alike(tmp_path, monkeypatch):
    # odd sizes: there a flip keeps the centre pixel
    monkeypatch.chdir(tmp_path)
    psf = torch.nn.functional.pad(random_psf(), (0, 1))
    write_npy("psf.npy", psf)
    write_npy("y.npy", LenslessConvolution(psf)(random_image(1, 1, psf.shape[-2:])[None])[0])
    assert run("output=plain") == 0
    assert run("output=turned", "prepare.flip=both") == 0
    np.testing.assert_allclose(array("turned/y.npy"), array("plain/y.npy")[::-1, ::-1], atol=1e-3)


def test_a_background_is_subtracted_from_both_and_clipping_is_told(files, capsys):
    measured, psf = array("y.npy"), array("psf.npy")
    np.save("dark.npy", np.full(SHAPE, 0.25, np.float32))
    assert run("output=plain") == 0
    np.save("y.npy", measured + 0.25)
    np.save("psf.npy", psf + 0.25)
    assert run("output=level", "prepare.background=0.25") == 0
    assert run("output=frame", "prepare.background=dark.npy") == 0
    np.testing.assert_allclose(array("level/y.npy"), array("plain/y.npy"), atol=1e-3)
    np.testing.assert_array_equal(array("frame/y.npy"), array("level/y.npy"))
    capsys.readouterr()
    assert run("output=clipped", "prepare.background=0.4", "psf_prepare.background=0.25") == 0
    assert "of the values were below the background and set to 0" in capsys.readouterr().out
    assert any("below the background" in note for note in record(files / "clipped/y.json")["notes"])


def test_a_depth_stack_explains_the_measurement(files):
    (files / "planes").mkdir()
    psf = torch.stack([random_psf(seed=depth) for depth in range(3)])
    for depth, plane in enumerate(psf):
        write_npy(files / f"planes/psf{depth}.npy", plane)
    camera = DepthStack(psf / psf.sum((-2, -1)).mean())
    measured = camera(torch.stack([random_image(1, depth) for depth in range(3)])[None])[0]
    write_npy("y.npy", measured)
    assert run("psf=planes", "physics=depth_stack", "recon=fista", "recon.iterations=300", "output=out") == 0
    found = torch.from_numpy(array("out/y.npy")).movedim(-1, 1)
    assert found.shape == (3, 1, *SHAPE)
    # the solver also uses light from outside the field of view, which the border alone sees
    misfit = (camera(found[None])[0] - measured)[:, 7:-7, 12:-12].norm() / measured[:, 7:-7, 12:-12].norm()
    assert misfit < 0.05
    picture = read_image("out/y.png", encoding="srgb")[0]
    maximum = record(files / "out/y.json")["display_maximum"]
    np.testing.assert_allclose(picture, (found.amax(0)[0] / maximum).clamp(0, 1), atol=1e-3)
    assert [path.name for path in sorted((files / "out/y_planes").iterdir())] == ["000.png", "001.png", "002.png"]


def make_batch(files):
    """Three good measurements of the camera and one of the wrong size."""
    (files / "shots").mkdir()
    measured = array("y.npy")
    for number in (1, 2, 10):
        np.save(files / f"shots/im{number}.npy", measured * number)
    np.save(files / "shots/im3.npy", measured[1:])


def test_a_batch_goes_on_after_a_failure_and_skips_what_is_finished(files, capsys):
    make_batch(files)
    words = ("measurement=shots", "recon.iterations=5")
    assert run(*words) == 1
    output = capsys.readouterr()
    assert "3 done, 0 skipped, 1 failed" in output.out
    assert "im3.npy: psf: expected the measurement's size, 20 x 34 as prepared, got 21 x 34" in output.err
    results = files / "outputs/shots"
    before = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    assert {path.name for path in before} == {
        f"im{n}{end}" for n in (1, 2, 10) for end in (".png", ".npy", ".json", "_figure.png")
    }
    np.save(files / "shots/im3.npy", array("y.npy"))
    assert run(*words) == 0
    assert "1 done, 3 skipped, 0 failed" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before}
    np.testing.assert_allclose(array(results / "im10.npy"), 10 * array(results / "im1.npy"), rtol=1e-2, atol=1e-3)


def test_a_result_is_made_again_when_anything_changed(files, capsys):
    def touch(name):
        os.utime(files / name, ns=(1, (files / name).stat().st_mtime_ns + 1))

    def cut(path):
        path.write_text(path.read_text()[:100])

    words = ["output=out", "recon.iterations=5"]

    def is_made():
        assert run(*words) == 0
        assert record(files / "out/y.json")["files"] == ["y.png", "y.npy", "y_figure.png"]
        assert all((files / "out" / name).exists() for name in ("y.png", "y.npy", "y_figure.png"))
        return "finished already" not in capsys.readouterr().out

    assert is_made()
    assert not is_made()
    for change in (
        lambda: words.append("recon.iterations=6"),
        lambda: touch("y.npy"),
        lambda: touch("psf.npy"),
        lambda: (files / "out/y.png").unlink(),
        lambda: cut(files / "out/y.json"),
    ):
        change()
        assert is_made()
    assert not is_made()
    words.append("overwrite=true")
    assert is_made()


def test_ground_truths_of_a_batch_are_found_by_name(files, capsys):
    make_batch(files)
    (files / "truth").mkdir()
    np.save(files / "truth/im1.npy", array("scene.npy"))
    np.save(files / "truth/im10.npy", array("scene.npy"))
    assert run("measurement=shots/im1*.npy", "ground_truth=truth", "output=out") == 0
    assert record(files / "out/im1.json")["metrics"]["psnr_affine"] > 12
    assert run("measurement=shots/im2.npy", "ground_truth=truth", "output=out") == 2
    assert "ground_truth: expected one image named im2.*" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["psf=none.npy"], "psf: none.npy: expected a file"),
        (["measurement=none.npy"], "none.npy: expected a file"),
        (["measurement=none/*.npy"], "none/*.npy: expected a file"),
        (["ground_truth=none.npy"], "ground_truth: none.npy: expected a file"),
        (["ground_truth=psf.npy"], "ground_truth: expected (3, 21, 34) like the reconstruction, got (1, 21, 34)"),
        (["psf=small.npy"], "psf: expected the measurement's size, 21 x 34 as prepared, got 20 x 34"),
        (["psf=zeros.npy"], "psf: expected light"),
        (["measurement=zeros.npy"], "measurement: expected light"),
        (["psf=nan.npy"], "nan.npy: expected finite"),
        (["measurement=nan.npy"], "nan.npy: expected finite"),
        (["measurement=integers.npy"], "integers.npy: expected uint8, uint16 or floating point, got int64"),
        (["measurement=cut.npy"], "cut.npy: cannot be read, is it damaged or truncated?"),
        (["psf=four.npy"], "psf: expected 3 channels like the measurement, or 1, got 4"),
        (["psf=stack.npy"], "psf: expected one image, got 2 planes; use physics=depth_stack"),
        (["measurement=stack.npy"], "measurement: expected one image, got 2 planes"),
        (["physics=depth_stack", "recon=fista"], "psf: expected (D, C, h, w)"),
        (["prepare.background=2.0"], "is the background"),
        (["input.bits=12"], "bits and black_level are for integer pixels"),
        (["device=tpu"], "device: expected cpu, cuda"),
        (["device=cuda:99"], "device: got 'cuda:99'"),
        (["view.flip=up"], "view: flip: expected one of none"),
        (["recon.iterations=0"], "recon: iterations: expected at least 1"),
        (["output=y.npy/out"], "output: y.npy/out cannot be written to"),
        (["output=."], "output: . holds input files, which results could replace"),
    ],
)
def test_bad_input_ends_with_2_a_message_and_no_files(files, capsys, words, message):
    np.save("small.npy", array("psf.npy")[1:])
    np.save("zeros.npy", np.zeros(SHAPE))
    np.save("nan.npy", np.where(array("psf.npy") > 0, np.nan, 0))
    np.save("integers.npy", np.ones(SHAPE, np.int64))
    np.save("four.npy", np.ones((*SHAPE, 4)))
    np.save("stack.npy", np.ones((2, *SHAPE, 1)))
    (files / "cut.npy").write_bytes((files / "y.npy").read_bytes()[:500])
    before = sorted(files.rglob("*"))
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("lensless: error: ")
    assert message in error
    assert sorted(files.rglob("*")) == before


def test_a_full_disk_leaves_the_old_result_whole(files, capsys):
    assert run("output=out") == 0
    before = {path.name: path.read_bytes() for path in (files / "out").iterdir()}
    size = (files / "out/y_figure.png").stat().st_size
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, old[1]))
        assert run("output=out", "recon.iterations=61") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert "y_figure.png: cannot be written" in capsys.readouterr().err
    assert {path.name for path in (files / "out").iterdir()} == set(before)
    assert (files / "out/y_figure.png").read_bytes() == before["y_figure.png"]
    assert run("output=out", "recon.iterations=61") == 0
    assert record(files / "out/y.json")["config"]["recon"]["iterations"] == 61


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write_says_so_before_the_work(files, capsys):
    (files / "locked").mkdir(mode=0o500)
    assert run("output=locked") == 2
    assert "output: locked cannot be written to (Permission denied)" in capsys.readouterr().err


def test_two_measurements_of_one_name_are_refused(files, capsys):
    write_png16("y.png", random_image(1, 0))
    assert run("measurement=y.*") == 2
    assert "y.npy, y.png would all write y.png" in capsys.readouterr().err


def test_pick_device():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device: expected cpu"):
        pick_device("cuda:x")


def test_a_frame_of_a_record_is_read_as_its_record_says(tmp_path, monkeypatch):
    """The same numbers as with everything stated by hand."""
    monkeypatch.chdir(tmp_path)
    psf = np.random.default_rng(1).random((16, 24, 3), np.float32)
    np.save("psf.npy", psf)
    counts = np.random.default_rng(2).integers(300, 4000, (16, 24)).astype(np.uint16)
    cv2.imwrite("000007.png", counts)
    record = {"kind": "scene", "bits": 12, "black_level": 256, "bayer": "GRBG"}
    (tmp_path / "000007.json").write_text(json.dumps(record))
    words = ["reconstruct", "psf=psf.npy", "measurement=000007.png", "recon=wiener"]
    assert main([*words, "output=silent"]) == 0
    (tmp_path / "000007.json").unlink()
    stated = ["input.bits=12", "input.bayer=GRBG", "input.black_level=256.0"]
    unlike_it = ["psf_input.bits=null", "psf_input.bayer=null", "psf_input.black_level=0.0"]
    assert main([*words, *stated, *unlike_it, "output=stated"]) == 0
    np.testing.assert_array_equal(np.load("silent/000007.npy"), np.load("stated/000007.npy"))
