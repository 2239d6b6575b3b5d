"""What `lensless benchmark score` costs as the images become more: CPU seconds and peak memory, in fresh processes.

    python benchmarks/benchmark_scale.py [IMAGES ...]          default 16 64 256; five minutes

One simulated camera (tape, 36 x 48), ADMM of 20 iterations and Wiener, no LPIPS, one thread. A process first scores
one image, so that imports and the camera's PSF do not count, then so many, and then the same again, which finds every
record there: the first time less the second is what the images cost. It is linear where its slope on log-log axes is 1.
CPU seconds of one thread do not mind what else the machine does. Rounds take turns, and the median counts. Memory is
the largest resident set that was seen while the process ran (Linux); the kernel's own peak would not do, because the
benchmark resets it for its records of memory.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from lensless.versions import machine

ROUNDS = 3
WORDS = [
    *("action=score", "suite=iterations", "models=['admm, iterations 20',wiener]", "systems=[tape]", "scenes=skimage"),
    *("size=tiny", "lpips=[]", "pictures=0", "batch=8"),
]
PAGE = os.sysconf("SC_PAGE_SIZE")


def child(folder: str, images: str) -> None:
    """Score one image, then ``images`` of them, then these again; print the CPU seconds of both, as JSON."""
    from lensless.tasks import benchmark
    from lensless.tasks.compose import compose

    def seconds(count: str, out: str) -> float:
        cfg = compose("benchmark", [*WORDS, f"images={count}", f"out={folder}/{out}", f"cache={folder}/cache"])
        began = time.process_time()
        benchmark.run(cfg)
        return time.process_time() - began

    seconds("1", "warm-up")
    print(json.dumps({"scored": seconds(images, "out"), "found": seconds(images, "out")}))


def run(images: int) -> dict[str, float]:
    """CPU seconds and peak bytes of a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "child", folder, str(images)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            peak = 0
            while process.poll() is None:
                with suppress(OSError, IndexError):  # it has just ended
                    peak = max(peak, PAGE * int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]))
                time.sleep(0.01)
            output = process.stdout.read()
    if process.returncode:
        raise SystemExit(process.returncode)
    return {**json.loads(output.splitlines()[-1]), "peak": peak}


def main(counts: list[int]) -> None:
    found = {count: [] for count in counts}
    for _ in range(ROUNDS):
        for count in counts:
            found[count].append(run(count))
    medians = {
        count: {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        for count, rounds in found.items()
    }
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}, median of {ROUNDS} rounds\n")
    print("| images | CPU seconds | again | milliseconds an image | peak memory, MB |")
    print("|---:|---:|---:|---:|---:|")
    seconds = [one["scored"] - one["found"] for one in medians.values()]
    for (count, one), cost in zip(medians.items(), seconds, strict=True):
        cells = (f"{one['scored']:.2f}", f"{one['found']:.2f}", f"{1e3 * cost / count:.1f}", f"{one['peak'] / 1e6:.0f}")
        print(f"| {count} | {' | '.join(cells)} |")
    slope = np.polyfit(np.log(counts), np.log(seconds), 1)[0]
    growth = medians[counts[-1]]["peak"] / medians[counts[0]]["peak"] - 1
    print(f"\nslope on log-log axes {slope:.3f}; {counts[-1] / counts[0]:g} times the images, {growth:+.1%} memory")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        main([int(word) for word in sys.argv[1:]] or [16, 64, 256])
