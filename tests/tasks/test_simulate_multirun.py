"""`python -m lensless.tasks.simulate --multirun`: shards as the jobs of a Hydra launcher."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lensless.cli import main

WORDS = ["system=digicam", "size=tiny", "scenes=skimage", "n=5", "n_masks=2"]


@pytest.mark.parametrize("launcher", ["basic", "submitit_local"])
def test_a_multirun_makes_disjoint_shards_of_the_same_data_set(launcher, tmp_path):
    if launcher == "submitit_local":
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra cluster")
    hydra = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path / 'jobs'}"]
    done = subprocess.run(
        [sys.executable, "-m", "lensless.tasks.simulate", "--multirun", *hydra, "shard=0/2,1/2", *WORDS, "out=set"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert main(["simulate", *WORDS, f"out={tmp_path / 'whole'}"]) == 0
    shards, whole = (json.loads((tmp_path / name / "card.json").read_text()) for name in ("set", "whole"))
    assert shards["complete"] and len(shards["samples"]) == 5
    assert all(shards[key] == whole[key] for key in ("fingerprint", "sha256", "samples"))
