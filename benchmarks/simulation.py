"""Measure simulated measurements and LCD masks against LenslessPiCam and the cost of the FFTs:

    python benchmarks/simulation.py [--peer-python PATH]

The peer's Python needs `pip install lensless==1.0.8 waveprop==0.0.12 torchvision pyffs progressbar`. As in run.py every
measurement is a fresh process, contenders take turns, and results are appended to benchmarks/results.

    convolution   one image, y = crop(psf * x), against FarFieldSimulator without noise and against the bare FFTs
    measurement   one image with placement, 40 dB of shot noise, against FarFieldSimulator with noise and 8 bits
    sensor        one image with placement and the whole sensor model, which has no peer
    lcd           100 patterns of 54 x 26 sub-pixels as shadows on the sensor, against the peer's loop over sub-pixels
    waves         the same patterns diffracted over 2 mm
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run import HERE, THREADS, describe_machine, run_child
from sample import write_sample

OURS, PEER = "simulation_ours.py", "simulation_peer.py"
ROUNDS = 5


@dataclass(frozen=True)
class Plan:
    """One task at one sensor size, the scripts that do it, and how often within a round."""

    task: str
    shape: tuple[int, int]
    iterations: int
    scripts: tuple[str, ...] = (OURS, PEER)


PLANS = [
    Plan("convolution", (270, 480), 40),
    Plan("fft", (270, 480), 40, (OURS,)),
    Plan("measurement", (270, 480), 20),
    Plan("sensor", (270, 480), 20, (OURS,)),
    Plan("sensor", (1520, 2028), 2, (OURS,)),
    Plan("lcd", (95, 126), 2),
    Plan("lcd", (190, 253), 2),
    Plan("lcd", (380, 507), 2),
    Plan("waves", (95, 126), 1, (OURS,)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=str(HERE / ".venv-peer/bin/python"))
    peer_python = parser.parse_args().peer_python
    machine = describe_machine()
    name = re.sub(r"\W+", "-", f"{machine['cpu']} {machine['cores']} cores").lower()
    path = HERE / "results" / f"{machine['date']}-{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as lines, tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"benchmark": "machine", **machine}), file=lines)
        answers: dict[tuple[Plan, str], list[dict]] = {(plan, script): [] for plan in PLANS for script in plan.scripts}
        for _ in range(ROUNDS):
            for (plan, script), answer in answers.items():
                write_sample(Path(folder), plan.shape)
                job = {"task": plan.task, "shape": plan.shape, "iterations": plan.iterations, "folder": folder}
                answer += run_child(peer_python if script == PEER else sys.executable, script, job, {})
        for (plan, script), answer in answers.items():
            line = json.dumps({"benchmark": "simulation", **summary(plan, script, answer)})
            print(line, file=lines)
            print(line)


def summary(plan: Plan, script: str, answers: list[dict]) -> dict:
    """The median over the rounds, and what it takes to judge it."""
    seconds = [answer["seconds"] for answer in answers]
    return {
        "task": plan.task,
        "contender": "LenslessPiCam" if script == PEER else "ours",
        "shape": plan.shape,
        "threads": THREADS,
        "seconds": statistics.median(seconds),
        "seconds_of_rounds": seconds,
        "peak_bytes": max(answer["peak_bytes"] for answer in answers),
        "versions": answers[0]["versions"],
    }


if __name__ == "__main__":
    main()
