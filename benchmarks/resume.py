"""What it costs that a training is cut: `lensless train experiment=cpu_small`, stopped by SIGTERM and by SIGKILL.

Measured from the start of the command to the first step that the run had not made before, as it appears in curves.csv.
After SIGTERM no step is made twice; after SIGKILL those since the last checkpoint are, here at most 20.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from protocol import read_job

SAVE_EVERY = 20
WORDS = (
    "experiment=cpu_small",
    "experiment.settings.log_every=1",
    f"experiment.settings.save_every={SAVE_EVERY}",
)
COMMAND = (sys.executable, "-c", "from lensless.cli import main; raise SystemExit(main())", "train", *WORDS)
POLL = 0.01


class Run:
    """The command in a process of its own, and what it writes."""

    def __init__(self, folder: Path, threads: int):
        self.curves = folder / "curves.csv"
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [*COMMAND, f"out={folder}"],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
        )

    def last_step(self) -> int:
        """The last step in the curves, -1 before the first."""
        if not self.curves.exists():
            return -1
        steps = [line.split(",")[0] for line in self.curves.read_text().splitlines() if "train/loss" in line]
        return int(steps[-1]) if steps else -1

    def reaches(self, step: int) -> float:
        """Seconds from the start of the command until ``step`` is in the curves."""
        while self.last_step() < step:
            if self.process.poll() is not None:
                raise SystemExit(f"lensless train ended with {self.process.returncode}")
            time.sleep(POLL)
        return time.perf_counter() - self.began

    def stop(self, sign: signal.Signals) -> int:
        """End it; the last step that it made."""
        self.process.send_signal(sign)
        self.process.wait()
        return self.last_step()


def main() -> None:
    threads = read_job()["threads"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "run")
        run = Run(folder, threads)
        fresh = run.reaches(0)
        tenth = run.reaches(10)
        step = (run.reaches(50) - tenth) / 40
        made = run.stop(signal.SIGTERM)
        run = Run(folder, threads)
        terminated = run.reaches(made + 1)
        run.reaches(made + 35)
        made = run.stop(signal.SIGKILL)
        run = Run(folder, threads)
        killed = run.reaches(made + 1)
        run.stop(signal.SIGKILL)
    record = {"seconds_step": step, "seconds_start": fresh, "seconds_after_sigterm": terminated}
    print(json.dumps({**record, "seconds_after_sigkill": killed, "steps_again": (made + 1) % SAVE_EVERY}))


main()
