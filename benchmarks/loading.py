"""Training of `cpu_small` as `lensless train` does it: how long the trainer waits for data, and the peak of memory.

With one worker that makes batches ahead, and with none, where waiting is making them. The first batch, for which the
worker starts, does not count. The trainer, its loader, model, loss and optimiser are the task's own; the scenes are the
four photographs of scikit-image, whose size is that of any others after they are shrunk.
"""

import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lensless.memory import keep_freed_memory
from lensless.threads import spin_briefly

spin_briefly()  # as the `lensless` command does, before torch is imported

import torch  # noqa: E402
from protocol import read_job  # noqa: E402

from lensless.data.samplers import Loader  # noqa: E402
from lensless.tasks.compose import build, compose  # noqa: E402
from lensless.tasks.train import loaders  # noqa: E402
from lensless.training.fit import RunFolder, fit  # noqa: E402
from lensless.training.losses import Loss  # noqa: E402
from lensless.training.module import Training  # noqa: E402

STEPS = 120


class Watched(Loader):
    """A loader that notes when it was asked for a batch and when it gave it."""

    def __iter__(self) -> Iterator[Any]:
        self.asked, self.gave = [], []
        batches = super().__iter__()
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self.asked.append(began)
            self.gave.append(time.perf_counter())
            yield batch


def train(workers: int, folder: Path) -> dict[str, float]:
    """What one short training measures."""
    words = [f"experiment.train.samples={4 * STEPS}", "experiment.validation.samples=4", "experiment.settings.epochs=1"]
    cfg = compose("train", ["experiment=cpu_small", f"workers={workers}", f"out={folder}", *words], paths=("out",))
    experiment = cfg.experiment
    torch.manual_seed(experiment.seed)
    sets = {name: build(experiment[name], name) for name in ("train", "validation")}
    settings = build(experiment.settings, "settings")
    made, validation = loaders(cfg, **sets)
    watched = Watched(made.dataset, sampler=made.batch_sampler, workers=workers)
    training = Training(
        build(cfg.model, "model"),
        loss=Loss(dict(experiment.loss.weights), brightness=sets["train"].brightness),
        optimisation=build(experiment.optimisation, "optimisation"),
        steps=settings.steps(len(made)),
    )
    fit(
        training,
        settings,
        train=watched,
        validation=validation,
        folder=RunFolder(folder),
        device=torch.device("cpu"),
    )
    whole = watched.gave[-1] - watched.gave[0]
    waited = sum(gave - asked for asked, gave in zip(watched.asked[1:], watched.gave[1:], strict=True))
    return {"seconds": whole / (len(watched.gave) - 1), "waiting": waited / whole}


def main() -> None:
    torch.set_num_threads(read_job()["threads"])
    keep_freed_memory()
    for workers in (1, 0):
        with tempfile.TemporaryDirectory() as folder:
            found = train(workers, Path(folder))
        peak, worker = (
            resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(json.dumps({"workers": workers, **found, "peak_bytes": peak, "peak_bytes_worker": worker}))


main()
