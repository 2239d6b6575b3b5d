"""The trainer, Lightning's, and what a run keeps in its folder."""

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from lensless.errors import check_name, require
from lensless.training.checkpoints import KeepLast, WholeCheckpoints, end_quietly, leaving_by_sigterm
from lensless.training.curves import Curves
from lensless.training.module import Training
from lensless.training.pictures import ValidationPictures

PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long and in which steps a training runs.

    epochs: passes over the training set. accumulate: batches whose gradients make one step. ema: decay of the average
    of the weights that is validated and kept, 0 for none. precision: "32-true", or "bf16-mixed" for networks in
    bfloat16 where the machine has it. save_every: steps between checkpoints within an epoch. log_every: steps between
    numbers of the curves. Raises InputError on other values.
    """

    epochs: int
    accumulate: int = 1
    ema: float = 0.999
    precision: str = "32-true"
    save_every: int = 500
    log_every: int = 10

    def __post_init__(self):
        for name in ("epochs", "accumulate", "save_every", "log_every"):
            require(getattr(self, name) >= 1, f"{name}: expected a whole number >= 1, got {getattr(self, name)}")
        require(0 <= self.ema < 1, f"ema: expected a decay in [0, 1), got {self.ema}")
        check_name("precision", self.precision, list(PRECISIONS))

    def steps(self, batches: int) -> int:
        """How often the weights change in all, with so many batches in an epoch."""
        return self.epochs * math.ceil(batches / self.accumulate)


@dataclass(frozen=True)
class RunFolder:
    """What a run keeps: run.json about itself, last.ckpt to go on from, best.ckpt by validation, curves.csv,
    tensorboard/, validation/."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "run.json"

    @property
    def last(self) -> Path:
        return self.root / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.root / "best.ckpt"

    @property
    def curves(self) -> Path:
        return self.root / "curves.csv"


def processes() -> tuple[int, int]:
    """(rank, number) of the processes that torchrun started, (0, 1) without it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def fit(
    training: Training,
    settings: Settings,
    *,
    train: DataLoader,
    validation: DataLoader,
    folder: RunFolder,
    device: torch.device,
) -> None:
    """Train to the end, from ``folder.last`` if it is there, and leave the best weights by validation PSNR in
    ``training``.

    train: with `state_dict`, so that it can return to its place. device: of this process; under torchrun all processes
    train together, each with its own part of every batch. Raises InputError where the folder cannot be written.
    """
    resumed, steps = folder.last.exists(), 0
    if resumed:
        last = WholeCheckpoints().load_checkpoint(folder.last)
        steps = last["global_step"]
        # the trainer would do this within an epoch, not after one
        (place,) = last["loops"]["fit_loop"]["state_dict"]["combined_loader"]
        train.load_state_dict(place)
    curves = Curves(folder.curves, steps=steps)
    curves.begin()
    callbacks = [
        ValidationPictures(folder.root / "validation"),
        ModelCheckpoint(folder.root, "best", monitor="val/psnr", mode="max", enable_version_counter=False),
        KeepLast(folder.last, every=settings.save_every),
    ]
    if settings.ema:
        callbacks.insert(0, EMAWeightAveraging(decay=settings.ema))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        accumulate_grad_batches=settings.accumulate,
        precision=settings.precision,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=local if device.index is None else [device.index],
        num_nodes=processes()[1] // local,
        strategy="ddp" if processes()[1] > 1 else "auto",
        use_distributed_sampler=False,
        logger=[curves, TensorBoardLogger(folder.root, name="", version="tensorboard", purge_step=steps)],
        log_every_n_steps=settings.log_every,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        default_root_dir=folder.root,
    )
    train.worker_init_fn = end_quietly
    with leaving_by_sigterm(folder.last):
        trainer.fit(training, train, validation, ckpt_path=folder.last if resumed else None, weights_only=True)
    training.load_state_dict(WholeCheckpoints().load_checkpoint(folder.best)["state_dict"])
