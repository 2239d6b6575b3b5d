"""Peace between the two thread pools of a solver on the CPU: OpenMP's (torch) and ducc0's."""

import os


def spin_briefly() -> None:
    """Let OpenMP's idle threads sleep after some hundred microseconds; call it before torch is imported.

    By default they spin for milliseconds after every operation and hold a core that the next FFT needs: on two cores
    an ADMM iteration then takes about one and a half times as long. A GOMP_SPINCOUNT or OMP_WAIT_POLICY that
    is set already stays. The `lensless` command calls this; in Python call it first, or export
    GOMP_SPINCOUNT=10000.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
