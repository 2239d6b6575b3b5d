"""A benchmark on a Ray cluster of two nodes, a part killed in mid-run: nothing is lost, nothing counts twice.

Needs `pip install hydra-ray-launcher`, which continuous integration has not.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lensless.evaluation.records import Records, read_records

pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs hydra-ray-launcher")
cluster_utils = pytest.importorskip("ray.cluster_utils")

ROOT = Path(__file__).parents[2]
MODULE = [sys.executable, "-m", "lensless.tasks.benchmark"]
WORDS = [
    *("score", "suite=cross_mask", "models=[admm100,wiener]", "systems=[fza,flatcam_mls]", "scenes=skimage"),
    *("images=24", "batch=2", "size=tiny", "lpips=[]", "pictures=0", "cache=cache"),
]
TUNINGS, SYSTEMS, IMAGES = 6 + 5, 2, 24
PATIENCE = 300  # seconds, for what takes half a minute on a quiet machine


@pytest.fixture(scope="module")
def metrics(tmp_path_factory) -> dict[str, dict]:
    """The scores of each record, by key, that one process makes."""
    folder = tmp_path_factory.mktemp("one_process")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([*MODULE, *WORDS, "out=out"], cwd=folder, env=environment, check=True)
    return {record["key"]: record["metrics"] for record in read_records(folder / "out" / "records")}


@pytest.fixture
def cluster(monkeypatch) -> Iterator:
    """Two nodes, each with room for one job."""
    for name, value in (("PYTHONPATH", str(ROOT)), ("RAY_AUTH_MODE", "disabled"), ("RAY_USAGE_STATS_ENABLED", "0")):
        monkeypatch.setenv(name, value)
    cluster = cluster_utils.Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
        yield cluster
    finally:
        cluster.shutdown()


def job_processes() -> dict[int, int]:
    """Processes that Ray runs a Hydra job in: their number, and that of the node's process that started them."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title, status = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:  # it has ended
            continue
        if title.startswith(b"ray::_run_job"):
            found[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    return found


def until(condition, run: subprocess.Popen) -> None:
    """Wait for it, and fail where ``run`` ends before or nothing comes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


@pytest.mark.parametrize("victim", ["job", "node"])
def test_what_a_killed_worker_leaves_is_finished_by_another(victim, cluster, metrics, tmp_path):
    records = tmp_path / "out" / "records"
    launcher = [
        *("hydra/launcher=ray", f"hydra.launcher.ray.init.address={cluster.address}"),
        *("+hydra.launcher.ray.init.object_store_memory=null", f"hydra.sweep.dir={tmp_path / 'jobs'}"),
    ]
    with subprocess.Popen(
        [*MODULE, "--multirun", *launcher, "shard=0/2,1/2", *WORDS, "out=out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        until(lambda: len(list(records.glob("*.jsonl"))) == 2 and len(read_records(records).by_key) > 100, run)
        if victim == "job":
            killed = max(job_processes())
            os.kill(killed, signal.SIGKILL)
        else:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        at_death: Records = read_records(records)
        output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, output
    assert 0 < len(at_death.by_key) < len(metrics)
    found = read_records(records)
    counts = f"{len(found.by_key)} in the end, {found.repeated} repeated, {len(found.damaged)} cut off"
    print(f"{victim} killed: {len(at_death.by_key)} records at its death, {counts}")
    assert len(metrics) == TUNINGS * SYSTEMS * IMAGES
    assert {record["key"]: record["metrics"] for record in found} == metrics
    assert len(found.damaged) <= 1  # what was being written
    # the processes of a node outlive it by a moment, in which they may write what is then computed again
    assert found.repeated == 0 or victim == "node"
