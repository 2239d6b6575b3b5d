"""`lensless train experiment=NAME out=FOLDER`: from a data set to a trained model, or on from where it was killed."""

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader, Dataset

from lensless.data.sample import collate
from lensless.data.samplers import Loader, MaskBatchSampler
from lensless.errors import InputError, check_name, require
from lensless.images.write import atomic_write, write_json
from lensless.memory import keep_freed_memory
from lensless.models.card import Card, describe_psf
from lensless.models.modular import ModularReconstruction
from lensless.models.pretrained import Model
from lensless.tasks.compose import build
from lensless.tasks.records import fingerprint, is_finished
from lensless.tasks.session import pick_device
from lensless.versions import versions

try:
    from lensless.training.curves import curve, read_curves, training_figure
    from lensless.training.fit import RunFolder, fit, processes
    from lensless.training.losses import Loss
    from lensless.training.module import Training, check_batch
    from lensless.training.pictures import grid
except ModuleNotFoundError as error:
    raise InputError(f"train: needs {error.name}; pip install 'lensless-torch[train]'") from error

PATHS = ("out", "init", "experiment.scenes")
POSITIONAL = None

# the curve depends on none of these
NOT_IN_THE_CURVE = ("out", "resume", "device", "workers", "licence")
# of the weights: themselves, their average and two moments, in last.ckpt, best.ckpt and a temporary file
COPIES = 12
# what says that a run is finished
FILES = ["figure.png", "model/model.safetensors", "model/card.json"]


def run(cfg: DictConfig) -> int:
    """Train to the end and write the model; says so and does nothing where that is done.

    Raises InputError for what is wrong with the configuration, the data or the disk, before the first step where that
    can be known.
    """
    check_name("resume", cfg.resume, ["auto", "never"])
    keep_freed_memory()
    device = pick_device(cfg.device)
    folder = RunFolder(Path(cfg.out).expanduser())
    record = describe(cfg, folder)
    if is_finished(folder.record, record["fingerprint"]):
        print(f"finished before: {folder.root}")
        return 0
    # its advice is not for the users of this command
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

    experiment = cfg.experiment
    torch.manual_seed(experiment.seed)
    model = starting_model(cfg)
    check_room(model, folder)
    settings, optimisation = build(experiment.settings, "settings"), build(experiment.optimisation, "optimisation")
    sets = {name: build(experiment[name], name) for name in ("train", "validation")}
    check_sets(**sets)
    loss = Loss(dict(experiment.loss.weights), brightness=sets["train"].brightness, lpips=experiment.loss.lpips)
    train, validation = loaders(cfg, **sets)
    training = Training(model, loss=loss, optimisation=optimisation, steps=settings.steps(len(train)))
    if processes()[0] == 0:
        write_json(folder.record, record)
    fit(training, settings, train=train, validation=validation, folder=folder, device=device)
    if processes()[0] == 0:
        finish(folder, record, training, validation, cfg.licence)
    return 0


def describe(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """The run's record. Raises InputError where the folder has another run, or `resume` leaves this one alone."""
    settings = OmegaConf.to_container(cfg, resolve=True)
    decisive = {name: value for name, value in settings.items() if name not in NOT_IN_THE_CURVE}
    record = {"fingerprint": fingerprint(decisive, []), "config": settings, "versions": versions(), "files": FILES}
    if folder.record.exists():
        require(cfg.resume == "auto", f"out: {folder.root} has a run in it; choose another folder, or resume=auto")
        require(
            json.loads(folder.record.read_text(encoding="utf-8"))["fingerprint"] == record["fingerprint"],
            f"out: {folder.root} has a run of another configuration or version, see its run.json; choose another",
        )
    return record


def starting_model(cfg: DictConfig) -> ModularReconstruction:
    """`init`, or else `model` with fresh weights, but for `init_parts` of `init`."""
    if cfg.init is None:
        require(not cfg.init_parts, "init_parts: expected [], or a model in init to take them from")
        return build(cfg.model, "model")
    found = Model.from_pretrained(cfg.init).reconstruction
    if not isinstance(found, ModularReconstruction):
        raise InputError(f"init: expected a modular reconstruction, got {type(found).__name__}")
    if not cfg.init_parts:
        return found.train()
    model = build(cfg.model, "model")
    for name in cfg.init_parts:
        model.load_part(name, found)
    return model


def check_room(model: ModularReconstruction, folder: RunFolder) -> None:
    """Make the folder; raise InputError where its disk has not enough room for the run's checkpoints."""
    folder.root.mkdir(parents=True, exist_ok=True)
    needed = COPIES * sum(parameter.nbytes for parameter in model.parameters())
    free = shutil.disk_usage(folder.root).free
    require(
        needed < free,
        f"out: the checkpoints need {needed / 1e9:.2g} GB, {folder.root} has {free / 1e9:.2g} GB left; free some space",
    )


def check_sets(train: Dataset, validation: Dataset) -> None:
    """Raise InputError where a sample misses what training needs, or a scene is in both sets."""
    for dataset in (train, validation):
        check_batch(collate([dataset[0]]))
    both = sorted(train.shown & validation.shown)
    require(not both, f"validation: expected other scenes than for training, {len(both)} are in both: {both[:3]}")


def loaders(cfg: DictConfig, train: Dataset, validation: Dataset) -> tuple[Loader, DataLoader]:
    """Batches to train with, this process's share of each, and all of those to validate with."""
    rank, world = processes()
    experiment = cfg.experiment
    batches = MaskBatchSampler(
        train.labels,
        batch_size=experiment.batch_size,
        seed=experiment.seed,
        mixed=experiment.mixed,
        rank=rank,
        world=world,
    )
    loader = Loader(train, sampler=batches, workers=cfg.workers, pin_memory=cfg.device != "cpu")
    return loader, DataLoader(validation, batch_size=experiment.batch_size // world, collate_fn=collate)


def finish(
    folder: RunFolder, record: dict[str, Any], training: Training, validation: DataLoader, licence: str
) -> None:
    """Write the figure, the model with its card, and the record with the scores."""
    rows = read_curves(folder.curves)
    steps, quality = curve(rows, "val/psnr")
    best = steps[quality.index(max(quality))]
    metrics = {name: value for step, name, value in rows if step == best and name.startswith("val/")}
    training.eval()
    batch = next(iter(validation))
    with torch.no_grad():
        stages, _ = training.reconstruct(batch)
    figure = training_figure(rows, grid(stages, batch, training.loss, rows=4))
    with atomic_write(folder.root / "figure.png") as temporary:
        figure.savefig(temporary, dpi=120)
    alignment = None if batch.alignments is None else batch.alignments[0].to_card()
    card = Card(
        "Modular lensless reconstruction, trained by `lensless train`",
        licence=licence,
        psf=describe_psf(batch.psf),
        alignment={"region": alignment, "brightness": training.loss.brightness},
        data={name: record["config"]["experiment"][name] for name in ("train", "validation")},
        metrics={"step": best + 1} | metrics,
    )
    Model(training.model, card).save(folder.root / "model")
    write_json(folder.record, record | {"metrics": card.metrics})
    print(f"best after step {best + 1}, validation PSNR {max(quality):.2f} dB: {folder.root / 'model'}")
