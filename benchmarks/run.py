"""Measure this library against LenslessPiCam and against the cost of the FFTs: `make benchmark`, or

    python benchmarks/run.py BENCHMARK ... [--peer-python PATH]        --help lists the benchmarks

Every measurement is a fresh process; contenders take turns (A B C A B C ...) and the median over the rounds
counts. Results are appended to benchmarks/results/DATE-MACHINE.jsonl; benchmarks/report.py makes tables of them.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sample import write_sample

HERE = Path(__file__).parent
THREADS = 2
FULL_FRAME = (3040, 4056)
ALLOCATORS = {
    "default": {},
    "tuned": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40), "GOMP_SPINCOUNT": "10000"},
}
CONTENDERS = {
    "ours": ("ours.py", "auto"),
    "ours, torch FFT": ("ours.py", "torch"),
    "ours, bfloat16": ("ours.py", "bf16"),
    "LenslessPiCam torch": ("peer_lenslesspicam.py", "torch"),
    "LenslessPiCam NumPy": ("peer_lenslesspicam.py", "numpy"),
    "ours, waves": ("ours.py", "waves"),
    "LenslessPiCam waves": ("peer_lenslesspicam.py", "waves"),
    "FFTs": ("floor.py", "full"),
    "FFTs, pruned": ("floor.py", "pruned"),
}


@dataclass(frozen=True)
class Plan:
    """Which contenders run a solver, at which sensor sizes, with which allocator settings, how often.

    iterations: None for a number that falls with the sensor's size. scripts: what the names of their scripts end in.
    batches: numbers of measurements that are worked on at once.
    """

    solver: str
    contenders: tuple[str, ...] = ("ours",)
    shapes: tuple[tuple[int, int], ...] = ((270, 480), (760, 1014), (1520, 2028))
    allocators: tuple[str, ...] = ("default",)
    rounds: int = 3
    iterations: int | None = None
    scripts: str = ".py"
    batches: tuple[int, ...] = (1,)


SOLVERS = tuple(name for name in CONTENDERS if "waves" not in name and "bfloat16" not in name)
PLANS = {
    "admm": Plan("admm", SOLVERS, allocators=tuple(ALLOCATORS)),
    "fista": Plan(
        "fista", tuple(name for name in SOLVERS if "NumPy" not in name), allocators=tuple(ALLOCATORS)
    ),
    "memory": Plan("admm", shapes=(FULL_FRAME,), rounds=1),
    "scaling": Plan(
        "admm", shapes=((274, 366), (443, 591), (717, 957), (1161, 1549), (1879, 2507), FULL_FRAME), rounds=3
    ),
    "lcd": Plan(
        "lcd",
        ("ours", "LenslessPiCam torch", "LenslessPiCam NumPy", "ours, waves", "LenslessPiCam waves"),
        shapes=((190, 253), (380, 507)),
        iterations=100,
        scripts="_lcd.py",
    ),
    "convolution": Plan(
        "convolution", ("ours", "FFTs"), shapes=((270, 480),), rounds=5, iterations=40, scripts="_simulation.py"
    ),
    "photograph": Plan(
        "photograph",
        ("ours", "LenslessPiCam torch"),
        shapes=((270, 480),),
        rounds=5,
        iterations=40,
        scripts="_simulation.py",
    ),
    "measurement": Plan(
        "measurement",
        ("ours", "LenslessPiCam torch"),
        shapes=((270, 480),),
        rounds=5,
        iterations=20,
        scripts="_simulation.py",
    ),
    "unrolled-forward": Plan(
        "unrolled-forward",
        ("ours", "LenslessPiCam torch"),
        shapes=((270, 480),),
        iterations=4,
        scripts="_learned.py",
        batches=(1, 4, 8),
    ),
    "unrolled-training": Plan(
        "unrolled-training",
        ("ours", "LenslessPiCam torch"),
        shapes=((270, 480),),
        allocators=tuple(ALLOCATORS),
        rounds=2,
        iterations=3,
        scripts="_learned.py",
        batches=(4,),
    ),
    "modular-training": Plan(
        "modular-training",
        ("ours", "ours, bfloat16", "LenslessPiCam torch"),
        shapes=((270, 480),),
        iterations=1,
        scripts="_learned.py",
        batches=(4,),
    ),
    "light-training": Plan(
        "light-training",
        ("ours", "ours, bfloat16", "LenslessPiCam torch"),
        shapes=((96, 128),),
        rounds=5,
        iterations=10,
        scripts="_learned.py",
        batches=(4,),
    ),
    "sensor": Plan("sensor", shapes=((270, 480), (1520, 2028)), iterations=5, scripts="_simulation.py"),
}
# of this library alone; each script answers with its records
OWN = {"fft": "fft_sizes.py", "loading": "loading.py", "resume": "resume.py"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="+", choices=[*PLANS, *OWN])
    parser.add_argument("--peer-python", default=str(HERE / ".venv-peer/bin/python"))
    arguments = parser.parse_args()
    compared = {
        name for name, plan in PLANS.items() if any(contender.startswith("Lens") for contender in plan.contenders)
    } & set(arguments.benchmarks)
    if compared and not Path(arguments.peer_python).exists():
        parser.error(f"--peer-python: no {arguments.peer_python}; make one with `make benchmark`, or give a Python "
                     "that has lensless==1.0.8")
    machine = describe_machine()
    name = re.sub(r"\W+", "-", f"{machine['cpu']} {machine['cores']} cores").lower()
    path = HERE / "results" / f"{machine['date']}-{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as lines, tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"benchmark": "machine", **machine}), file=lines)
        for benchmark in arguments.benchmarks:
            if benchmark in OWN:
                records = run_child(sys.executable, OWN[benchmark], {}, {})
            else:
                records = compare(PLANS[benchmark], arguments.peer_python, Path(folder))
            for record in records:
                line = json.dumps({"benchmark": benchmark, **record})
                print(line, file=lines, flush=True)
                print(line, flush=True)
    print(f"tables: {sys.executable} {HERE / 'report.py'} {path}")


def compare(plan: Plan, peer_python: str, folder: Path) -> Iterator[dict]:
    """One record for each shape, allocator, batch and contender."""
    for shape in plan.shapes:
        write_sample(folder, shape)
        # enough work to time, and no more than minutes for the slowest
        iterations = plan.iterations or min(40, max(3, round(4e6 / (shape[0] * shape[1]))))
        for allocator, batch in itertools.product(plan.allocators, plan.batches):
            results: dict[str, list[dict]] = {contender: [] for contender in plan.contenders}
            for _ in range(plan.rounds):
                for contender in plan.contenders:
                    script, backend = CONTENDERS[contender]
                    script = script.replace(".py", plan.scripts)
                    job = {"solver": plan.solver, "backend": backend, "iterations": iterations, "batch": batch}
                    job["folder"] = str(folder)
                    python = peer_python if script.startswith("peer") else sys.executable
                    results[contender] += run_child(python, script, job, ALLOCATORS[allocator])
            for contender, answers in results.items():
                seconds = [answer["seconds"] for answer in answers]
                yield {
                    "contender": contender,
                    "shape": shape,
                    "allocator": allocator,
                    "batch": batch,
                    "iterations": iterations,
                    "threads": THREADS,
                    "seconds": statistics.median(seconds),
                    "seconds_of_rounds": seconds,
                    "seconds_once": statistics.median(answer["seconds_once"] for answer in answers),
                    "peak_bytes": max(answer["peak_bytes"] for answer in answers),
                    "versions": answers[0]["versions"],
                }


def run_child(python: str, script: str, job: dict, variables: dict[str, str]) -> list[dict]:
    """What ``script`` answers to ``job`` in a process of its own, one dictionary a line."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), **variables}
    if script.startswith("peer"):
        environment.pop("PYTHONPATH", None)
    command = [python, str(HERE / script), json.dumps({**job, "threads": THREADS})]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"{script} failed:\n{process.stderr[-2000:]}")
    return [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]


def describe_machine() -> dict:
    """What a reader needs to judge the numbers, and no more."""
    cpu_info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpu_info.read_text()) if cpu_info.exists() else []
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
    }


if __name__ == "__main__":
    main()
