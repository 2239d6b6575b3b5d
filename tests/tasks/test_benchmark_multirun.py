"""`python -m lensless.tasks.benchmark --multirun`: shards as the jobs of a Hydra launcher, and words that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lensless.evaluation.records import read_records
from lensless.tasks.multirun import choices, multirun

ROOT = Path(__file__).parents[2]
# two cameras and two seeds, three batches of each: two shards of six batches, 60 records
WORDS = [
    *("suite=cross_mask", "models=[wiener]", "systems=[fza,flatcam_mls]", "scenes=skimage", "images=5", "batch=2"),
    *("size=tiny", "lpips=[]", "pictures=0", "suite.system.seed=2,3"),
]
RULES, SYSTEMS, SEEDS, IMAGES = 5, 2, 2, 5
# what a clock and a thermometer of memory say is not decided by the configuration
MEASURED = ("seconds", "bytes")
PLUGINS = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher"}


def python_m(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "lensless.tasks.benchmark", *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def kept(folder: Path) -> dict[str, dict]:
    """The records by key, less what was measured of the machine."""
    found = read_records(folder)
    assert (found.damaged, found.repeated) == ([], 0)
    return {
        key: {name: value for name, value in record.items() if name not in MEASURED}
        for key, record in found.by_key.items()
    }


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> Path:
    """A folder with the records that one process made of the whole sweep."""
    folder = tmp_path_factory.mktemp("one_process")
    done = python_m("--multirun", "score", *WORDS, "out=out", "cache=cache", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("launcher", PLUGINS)
def test_shards_in_two_processes_make_the_records_of_one(launcher, one_process, tmp_path):
    pytest.importorskip(f"hydra_plugins.{PLUGINS[launcher]}", reason="needs the extra cluster")
    hydra = [f"hydra/launcher={launcher}", "hydra.sweep.dir=jobs"]
    hydra += ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    # a folder's name may hold what Hydra's grammar or a shell would take for something else
    out = "my records, (1) a=b"
    done = python_m(
        "-m", *hydra, "score", "shard=0/2,1/2", *WORDS, f"out={out}", f"cache={one_process / 'cache'}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    shards = kept(tmp_path / out / "records")
    assert shards == kept(one_process / "out" / "records")
    assert len(shards) == RULES * SYSTEMS * SEEDS * IMAGES
    # between lines of two jobs that write one shard at once there may be an empty one
    files = (tmp_path / out / "records").iterdir()
    lines = {file.name: sum(not line.isspace() for line in file.open()) for file in files}
    # each has one of the two systems' short batches of every seed
    assert lines == {"0-of-2.jsonl": len(shards) // 2, "1-of-2.jsonl": len(shards) // 2}


def test_a_job_that_leaves_work_undone_fails_the_run_and_keeps_the_rest(one_process, tmp_path):
    words = [word for word in WORDS if not word.startswith(("models", "suite."))]
    done = python_m(
        *("--multirun", "score", *words, "models=[wiener,tape],[wiener]", "suite.system.seed=3"),
        *("out=out", f"cache={one_process / 'cache'}"),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "not trained yet, so not scored: tape" in done.stdout
    assert "models=[wiener,tape]" in done.stderr and "exit code 1" in done.stderr
    assert "0 records made, 50 were there" in done.stdout  # by the second job
    whole = kept(one_process / "out" / "records")
    assert kept(tmp_path / "out" / "records").items() <= whole.items()
    assert json.loads((tmp_path / "out" / "cross_mask.json").read_text())["systems"].keys() == {"fza", "flatcam_mls"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("imagse=3", "key: 'imagse' is not known; did you mean images?"),
        ("suite=noise,nosie", "suite: 'nosie' is not known; did you mean noise?"),
        ("images=many,3", "images: expected an integer, got 'many'"),
        ("+new=1", "keys can be changed, not added"),
        ("images=[1,", "expected key=value"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_launched(word, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--multirun", "hydra/launcher=basic", "score", "out=out", word])
    with pytest.raises(SystemExit) as stop:
        multirun("benchmark")
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_has_a_word_for_each_value():
    assert choices("shard=0/2,1/2") == ["shard=0/2", "shard=1/2"]
    assert choices("models=[a,b],[c]") == ["models=[a,b]", "models=[c]"]
    assert choices("images=range(1,4)") == ["images=1", "images=2", "images=3"]
    assert choices("models=[a,b]") == ["models=[a,b]"]
    assert choices("out='a, b'") == ["out='a, b'"]
