"""`lensless simulate` as a user runs it: the same bytes however the work is cut, and whole files whatever happens."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from lensless.cli import main
from lensless.data.folder import read_card, sha256

MASKS = ["n_masks=3", "test_masks=1"]
COMMAND = [sys.executable, "-c", "import sys; from lensless.cli import main; sys.exit(main())"]


def words(out, *more, n=7):
    return ["simulate", "system=digicam", "size=tiny", "scenes=skimage", f"out={out}", f"n={n}", *more]


def contents(folder):
    """{path: sha256} of everything in a data set but its card."""
    files = (file for file in Path(folder).rglob("*") if file.is_file() and file.name != "card.json")
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


def start(arguments):
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Seven samples of three masks, made in one process."""
    folder = tmp_path_factory.mktemp("simulate") / "reference"
    assert main(words(folder, *MASKS)) == 0
    return folder


def test_the_card_says_what_is_in_the_folder(reference):
    card = read_card(reference)
    listed = dict(card["sha256"])
    for one in card["samples"]:
        listed |= one["sha256"]
        assert one["mask"] == one["index"] % 3
        assert one["split"] == ("test" if one["mask"] in card["test_masks"] else "train")
    assert listed == {name: digest for name, digest in contents(reference).items() if not name.startswith("records/")}
    assert card["complete"] and len(card["samples"]) == 7 and len(card["test_masks"]) == 1
    assert card["config"]["system"]["mask"]["values"]["seed"] == 0 and card["config"]["n_masks"] == 3
    assert "CC0" in card["licence"] and card["versions"]["torch"]


def test_worker_processes_make_the_same_bytes(reference, tmp_path):
    assert main(words(tmp_path / "set", *MASKS, "workers=2")) == 0
    assert contents(tmp_path / "set") == contents(reference)


def test_two_processes_make_disjoint_shards_and_one_card(reference, tmp_path):
    folder = tmp_path / "set"
    processes = [start(words(folder, *MASKS, f"shard={k}/2")) for k in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert "4 samples made, 0 were there" in outputs[0] and "3 samples made, 0 were there" in outputs[1]
    assert contents(folder) == contents(reference)
    ours, theirs = read_card(folder), read_card(reference)
    assert all(ours[key] == theirs[key] for key in ("complete", "fingerprint", "n", "samples", "sha256", "test_masks"))


def test_a_killed_run_is_completed_with_the_same_bytes(reference, tmp_path):
    folder = tmp_path / "set"
    process = start(words(folder, *MASKS, n=5000))
    deadline = time.monotonic() + 60
    while not (folder / "records/000002.json").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not read_card(folder)["complete"]
    before = {name: (folder / name).stat().st_mtime_ns for name in contents(folder)}
    made = [name for name in before if name.startswith("records/")]
    assert main(words(folder, *MASKS, n=max(7, len(made) + 2))) == 0
    assert read_card(folder)["complete"] and contents(folder).items() >= contents(reference).items()
    assert all((folder / name).stat().st_mtime_ns == before[name] for name in made)


def test_more_samples_are_added_to_a_complete_set(reference, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(reference, folder)
    assert main(words(folder, *MASKS, n=8)) == 0
    assert contents(folder).items() > contents(reference).items()
    assert read_card(folder)["n"] == 8 and sha256(folder / "measurements/000007.npy")


def test_a_write_that_fails_leaves_the_finished_samples_valid(reference, tmp_path, capsys):
    """A limit on the size of files stands for a full disk: a measurement of 20 864 bytes does not fit any more."""
    folder = tmp_path / "set"
    assert main(words(folder, *MASKS, n=2)) == 0
    before, card = contents(folder), read_card(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, hard))
    try:
        code = main(words(folder, *MASKS))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    assert f"{folder / 'psfs/002.npy'}: cannot be written (File too large)" in capsys.readouterr().err
    assert contents(folder) == before and read_card(folder) == card
    assert main(words(folder, *MASKS)) == 0
    assert contents(folder) == contents(reference)


def test_reconstruct_takes_the_folder_as_it_is(reference, tmp_path):
    assert main([
        "reconstruct", f"psf={reference}/psfs/000.npy", f"measurement={reference}/measurements/000000.npy",
        f"ground_truth={reference}/scenes", f"output={tmp_path}", "recon.progress=false",
    ]) == 0  # fmt: skip
    assert json.loads((tmp_path / "000000.json").read_text())["metrics"]["psnr"] > 22


def test_ambient_light_is_a_dark_frame_for_reconstruct(tmp_path):
    folder = tmp_path / "set"
    assert main(words(folder, "system.ambient=0.2", "system.exposure=0.6", n=1)) == 0
    background, measurement = (np.load(folder / name) for name in ("backgrounds/000.npy", "measurements/000000.npy"))
    assert background.min() > 0.15 and measurement.mean() > background.mean()
    assert main([
        "reconstruct", f"psf={folder}/psfs/000.npy", f"measurement={folder}/measurements/000000.npy",
        f"ground_truth={folder}/scenes/000000.png", f"output={tmp_path}", "recon.progress=false",
        f"prepare.background={folder}/backgrounds/000.npy", "psf_prepare.background=null",
    ]) == 0  # fmt: skip
    assert json.loads((tmp_path / "000000.json").read_text())["metrics"]["psnr"] > 20


def test_corrupt_pictures_stop_the_run_or_are_skipped_if_asked(tmp_path, capsys):
    pictures, folder = tmp_path / "pictures", tmp_path / "set"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(Path(skimage.data.__file__).with_name("chelsea.png").read_bytes())
    (pictures / "b.png").write_bytes((pictures / "a.png").read_bytes()[:5000])
    arguments = [*words(folder, n=4), f"scenes={pictures}"]
    assert main(arguments) == 2
    assert "b.png: cannot be read" in capsys.readouterr().err
    assert [file.stem for file in folder.glob("records/*.json")] == ["000000"]
    assert main([*arguments, "skip_corrupt=true", "workers=1"]) == 0
    card = read_card(folder)
    assert ["skipped" in one for one in card["samples"]] == [False, True, False, True]
    assert "b.png" in card["samples"][1]["skipped"]
    assert sorted(file.stem for file in folder.glob("scenes/*")) == ["000000", "000002"]


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("system=digicm", "'digicm' is not known; did you mean digicam"),
        ("system.sensor.name=imx478", "did you mean"),
        ("size=smal", "expected one of tiny, small, full"),
        ("shard=2/2", "expected K/N with 0 <= K < N"),
        ("shard=one", "expected K/N with 0 <= K < N"),
        ("n_masks=0", "n_masks: expected a whole number >= 1"),
        ("test_masks=1", "expected 0 to 0 of 1 masks"),
        ("placement.height=-1.0", "height: expected metres > 0"),
        ("placement.position=left", "position: expected random or centre"),
        ("system.exposure=0.0", "exposure: expected seconds > 0"),
        ("system.mask_distance=1.0", "wider than the sensor"),
        ("seed=-1", "seed: expected a whole number >= 0"),
    ],
)
def test_wrong_input_is_named_and_makes_nothing(tmp_path, capsys, word, complaint):
    assert main(words(tmp_path / "set", word)) == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.rglob("records/*"))


def test_a_folder_without_pictures_and_a_mask_without_a_seed_are_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([*words(tmp_path / "set"), f"scenes={tmp_path / 'empty'}"]) == 2
    assert "found none" in capsys.readouterr().err
    assert main(words(tmp_path / "set", "system=fza", "n_masks=2")) == 2
    assert "the mask of fza is not drawn from a seed" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_folder_with_another_configuration_is_left_alone(reference, capsys):
    before = contents(reference)
    assert main(words(reference, *MASKS, "seed=1")) == 2
    assert "holds a data set of another configuration" in capsys.readouterr().err
    assert contents(reference) == before


def test_linear_pictures_are_taken_as_they_are(tmp_path):
    picture = np.full((20, 20, 3), 0.5, np.float32)
    np.save(tmp_path / "half.npy", picture)
    assert main([*words(tmp_path / "set", "encoding=linear", n=1), f"scenes={tmp_path / 'half.npy'}"]) == 0
    scene = cv2.imread(str(tmp_path / "set/scenes/000000.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(scene)) == {0, 32768}
