"""`lensless train` as real processes: killed, resumed, two at a time, fine-tuned."""

import json
import multiprocessing
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

from lensless.cli import main
from lensless.data.photographs import split_pictures
from lensless.errors import InputError
from lensless.models.pretrained import Model
from lensless.tasks.compose import build, compose, groups
from lensless.training.checkpoints import WholeCheckpoints
from lensless.training.curves import curve, read_curves

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

# 12 steps of some hundred weights on the tiny camera
SMALL = [
    "model=unrolled5_light",
    "model.inversion.iterations=2",
    "model.post.network.widths=[4,8]",
    "model.post.network.blocks=1",
    "experiment.train.size=tiny",
    "experiment.train.samples=16",
    "experiment.validation.samples=3",
    "experiment.settings.epochs=3",
    "experiment.settings.log_every=1",
    "experiment.settings.save_every=3",
    "experiment.settings.ema=0.5",
    "experiment.optimisation.warmup=2",
    "experiment.batch_size=4",
    "workers=0",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


def words(out, cache, *more):
    return ["train", *SMALL, f"experiment.train.cache={cache}", f"out={out}", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """A run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(words(out, cache)) == 0
    return out


@pytest.fixture(scope="module")
def processes():
    """Makes processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lensless.tasks.train"])
    return context


def start(processes, command):
    process = processes.Process(target=main, args=(command,))
    process.start()
    return process


def steps(out):
    file = out / "curves.csv"
    return len(curve(read_curves(file), "train/loss")[0]) if file.exists() else 0


def wait_for(process, out, count):
    while steps(out) < count and process.is_alive():
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("how", "when", "workers"),
    [(signal.SIGTERM, (2, 8), 0), (signal.SIGKILL, (1, 4, 9), 0), (signal.SIGTERM, (5,), 1)],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(how, when, workers, processes, whole, cache, tmp_path):
    command = words(tmp_path / "run", cache, f"workers={workers}")
    for count in when:
        process = start(processes, command)
        wait_for(process, tmp_path / "run", count)
        assert process.is_alive()
        process.kill() if how == signal.SIGKILL else process.terminate()
        process.join()
        assert process.exitcode == (-signal.SIGKILL if how == signal.SIGKILL else 128 + signal.SIGTERM)
        assert not (tmp_path / "run" / "model").exists()
    process = start(processes, command)
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "run" / "curves.csv").read_text() == (whole / "curves.csv").read_text()
    weights = [(out / "model" / "model.safetensors").read_bytes() for out in (tmp_path / "run", whole)]
    assert weights[0] == weights[1]


def test_a_run_that_a_full_disk_ended_goes_on(processes, whole, cache, tmp_path):
    command = words(tmp_path / "run", cache)
    process = start(processes, command)
    wait_for(process, tmp_path / "run", 4)
    # no file may grow beyond this: the next checkpoint cannot be written
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    process.join()
    assert 4 <= steps(tmp_path / "run") < 12
    assert WholeCheckpoints().load_checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] < 12
    process = start(processes, command)
    process.join()
    assert (tmp_path / "run" / "curves.csv").read_text() == (whole / "curves.csv").read_text()


def test_two_processes_make_the_curve_of_one(whole, cache, tmp_path):
    script = "import sys; from lensless.cli import main; sys.exit(main(sys.argv[1:]))"
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--no-python", sys.executable, "-c", script]
    done = subprocess.run(
        [sys.executable, *launch, *words(tmp_path / "run", cache)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    one, two = (read_curves(out / "curves.csv") for out in (whole, tmp_path / "run"))
    assert [row[:2] for row in one] == [row[:2] for row in two]
    assert [row[2] for row in two] == pytest.approx([row[2] for row in one], rel=1e-3)
    for name in ("train/loss", "val/psnr"):
        assert curve(two, name)[1] == pytest.approx(curve(one, name)[1], rel=1e-5)


def test_a_finished_run_has_its_files_and_is_not_repeated(whole, cache, capsys):
    record = json.loads((whole / "run.json").read_text())
    assert all((whole / name).exists() for name in record["files"])
    before = (whole / "curves.csv").stat().st_mtime_ns
    assert main(words(whole, cache)) == 0
    assert "finished before" in capsys.readouterr().out
    assert (whole / "curves.csv").stat().st_mtime_ns == before


def test_the_model_is_the_best_by_validation(whole):
    model = Model.from_pretrained(whole / "model")
    quality = curve(read_curves(whole / "curves.csv"), "val/psnr")[1]
    assert model.card.metrics["val/psnr"] == max(quality)
    assert model.card.data["validation"]["split"] == "validation"
    assert model.card.alignment["brightness"] == "absolute"


def test_fine_tuning_changes_the_parts_that_are_named(whole, cache, tmp_path):
    more = [f"init={whole / 'model'}", "experiment.train.system=digicam", "experiment.optimisation.train=[inversion]"]
    assert main(words(tmp_path / "run", cache, *more)) == 0
    old, new = (Model.from_pretrained(out / "model").reconstruction.state_dict() for out in (whole, tmp_path / "run"))
    changed = {name.partition(".")[0] for name in old if not old[name].equal(new[name])}
    assert changed == {"inversion"}


def test_parts_of_another_model_begin_a_new_one(whole, cache, tmp_path):
    more = [f"init={whole / 'model'}", "init_parts=[post]", "model.inversion.iterations=3"]
    assert main(words(tmp_path / "run", cache, *more, "experiment.optimisation.train=[inversion]")) == 0
    old, new = (Model.from_pretrained(out / "model").reconstruction for out in (whole, tmp_path / "run"))
    assert (old.inversion.iterations, new.inversion.iterations) == (2, 3)
    kept = new.post.state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in old.post.state_dict().items())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["experiment.optimisation.train=[posst]"], "train: part: 'posst' is not known; did you mean post?"),
        (["resume=yes"], "resume: 'yes' is not known"),
        (["init=nowhere"], "model: nowhere is no folder"),
        (["init_parts=[post]"], "init_parts: expected [], or a model in init to take them from"),
        (["init=cpu_small", "init_parts=[posst]"], "part: 'posst' is not known; did you mean post?"),
        (["experiment.batch_size=17"], "batch_size: expected at most 16"),
        (["experiment.validation.split=train"], "validation: expected other scenes than for training, 2 are in both"),
        (["experiment.train.split=trian"], "did you mean train?"),
        (["experiment.train.system=tapee"], "did you mean tape?"),
    ],
)
def test_wrong_input_is_told_before_the_first_step(more, message, cache, tmp_path, capsys):
    assert main(words(tmp_path / "run", cache, *more)) == 2
    assert message in capsys.readouterr().err
    # so that the corrected command finds no run of another configuration
    assert not list((tmp_path / "run").glob("*"))


def test_a_folder_with_another_run_is_left_alone(whole, cache, capsys):
    before = (whole / "run.json").read_bytes()
    assert main(words(whole, cache, "experiment.optimisation.rate=0.5")) == 2
    assert "has a run of another configuration" in capsys.readouterr().err
    assert main(words(whole, cache, "resume=never")) == 2
    assert "has a run in it" in capsys.readouterr().err
    assert (whole / "run.json").read_bytes() == before


@pytest.mark.parametrize("choice", sorted(groups("train")["experiment"].choices))
def test_every_experiment_composes(choice):
    experiment = compose("train", [f"experiment={choice}", "out=run"]).experiment
    assert build(experiment.settings, "settings").epochs > 0
    assert build(experiment.optimisation, "optimisation").rate > 0
    assert set(experiment) >= {"seed", "batch_size", "mixed", "settings", "optimisation", "loss", "train", "validation"}


def test_pictures_are_split_by_their_names(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(40)]
    splits = split_pictures(files)
    assert {name: len(found) for name, found in splits.items()} == {"test": 4, "validation": 4, "train": 32}
    assert sorted(file for found in splits.values() for file in found) == sorted(files)
    assert split_pictures(files[::-1]) == splits
    with pytest.raises(InputError, match="expected at least 3 pictures"):
        split_pictures(files[:2])


def test_a_checkpoint_knows_how_far_it_is(whole):
    assert WholeCheckpoints().load_checkpoint(whole / "last.ckpt")["global_step"] == 12
