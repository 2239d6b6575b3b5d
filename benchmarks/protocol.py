"""What every measured process shares: read the job, time it, answer in JSON. Standard library only.

The cost of an iteration is (T(1 + n) - T(1)) / n, where T(k) is the time of one whole call of the public
interface for k iterations. What happens once a call (padding, transforms of the PSF, the operator's norm, buffers,
forming the image) cancels, for every contender alike and without reaching into anyone's internals.
"""

import json
import resource
import sys
import time
from collections.abc import Callable


def read_job() -> dict:
    """The job: the one argument of the process, as JSON."""
    return json.loads(sys.argv[1])


def answer(seconds: dict[str, float], versions: dict[str, str]) -> None:
    """Print the result, the last line of stdout."""
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**seconds, "peak_bytes": peak_kib * 1024, "versions": versions}))


def measure(run: Callable[[int], object], iterations: int) -> dict[str, float]:
    """Seconds of one iteration of ``run(k)``, and of all the rest of a call, after a warm-up."""
    run(1)
    one = _seconds(run, 1)
    iteration = (_seconds(run, 1 + iterations) - one) / iterations
    return {"seconds": iteration, "seconds_once": one - iteration}


def _seconds(run: Callable[[int], object], iterations: int) -> float:
    began = time.perf_counter()
    run(iterations)
    return time.perf_counter() - began
