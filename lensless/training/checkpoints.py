"""Checkpoints that are whole or not there, and a run that can be killed at any time."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lensless.images.write import atomic_write

TERMINATED = 128 + signal.SIGTERM


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name and renames it; reads nothing but tensors and plain values.

    Writing raises InputError naming the file where the disk is full: the checkpoint before it is still there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: None = None) -> None:
        content = io.BytesIO()  # a full disk would end torch.save itself with an error of its own
        torch.save(checkpoint, content)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class KeepLast(lightning.Callback):
    """Writes ``file`` every ``every`` steps, after every epoch with its validation, and when SIGTERM comes.

    A run that goes on from the file makes the steps that the first one would have made. After SIGTERM, on whichever
    process it came, all processes finish their step and :func:`leaving_by_sigterm` ends them.
    """

    def __init__(self, file: Path, *, every: int):
        self.file, self.every = file, every
        self.told = False

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        # in place of the trainer's own, in which the processes talk to each other; it puts back what was there before
        signal.signal(signal.SIGTERM, self._tell)

    def _tell(self, *_: Any) -> None:
        self.told = True

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        told = trainer.strategy.reduce_boolean_decision(self.told, all=False)
        # validation follows the last step of an epoch and belongs to the same checkpoint
        if not trainer.is_last_batch and (told or trainer.global_step % self.every == 0):
            self._save(trainer, told)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._save(trainer, trainer.strategy.reduce_boolean_decision(self.told, all=False))

    def _save(self, trainer: lightning.Trainer, told: bool) -> None:
        trainer.save_checkpoint(self.file)
        # the trainer leaves once the step is in the curves, before it asks for another batch
        trainer._signal_connector.received_sigterm = told


def end_quietly(_: int) -> None:
    """As `worker_init_fn`: a data worker that is ended by SIGTERM, sent to all processes of a job, is no error."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


@contextmanager
def leaving_by_sigterm(file: Path) -> Iterator[None]:
    """Exit with code 143, as a shell reports it, where the trainer leaves because of SIGTERM."""
    try:
        yield
    except SIGTERMException as error:
        print(f"stopped by SIGTERM; resume=auto goes on from {file}", flush=True)
        raise SystemExit(TERMINATED) from error
