"""`lensless data ACTION card=...`: look at, align, check, pack and publish data sets of measurements and scenes."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from lensless.calibration.alignment import aligned_region
from lensless.calibration.registration import register
from lensless.data.card import Card, card_names, load_card, store_alignment
from lensless.data.check import ImageCheck, check_duplicates, check_files
from lensless.data.dataset import PairedDataset
from lensless.data.pack import pack
from lensless.data.pairing import check_pairing
from lensless.data.push import push
from lensless.data.sample import Sample
from lensless.data.source import Source
from lensless.data.splits import split_indices
from lensless.errors import check_name, require
from lensless.images.prepare import subtract_background
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.base import Reconstructor
from lensless.resources import resource_dir
from lensless.tasks.compose import build

# taken literally: paths, and lines of text
PATHS = ("card", "folder", "out", "summary", "source", "licence")
POSITIONAL = "action"

# samples in a row that are compared with each other, at the beginning, in the middle and at the end
RUN = 6


def run(cfg: DictConfig) -> int:
    """Do ``cfg.action``; returns 1 where a check found something, else 0."""
    actions = {"list": list_cards, "align": align, "check": check, "pack": pack_card, "push": push_folder}
    check_name("action", str(cfg.action), list(actions))
    return actions[cfg.action](cfg)


def list_cards(_: DictConfig) -> int:
    """Print the shipped cards."""
    for name in card_names():
        print(f"{name:<24}{load_card(resource_dir('datasets') / f'{name}.yaml').about['summary']}")
    return 0


def align(cfg: DictConfig) -> int:
    """Find where scenes lie in reconstructions, and store it in the card."""
    card = opened(cfg)
    target = alignment_file(cfg, card)
    source = replace(card, alignment=None, fit_scenes=False).open()
    require(cfg.pairs > 0, f"pairs: expected at least 1, got {cfg.pairs}")
    places = np.unique(np.linspace(0, len(source) - 1, cfg.pairs).round().astype(int))
    samples = [sample for sample in PairedDataset(source, indices=places) if sample.scene is not None]
    require(bool(samples), "card: expected scenes to align with, found none")
    samples = [sample for sample in samples if sample.scene.shape == samples[0].scene.shape]
    solver = build(cfg.recon, "recon")
    estimates = [estimate(sample, solver) for sample in tqdm(samples, unit="pair", disable=None)]
    found = register(estimates, [sample.scene for sample in samples], model=cfg.model)
    store_alignment(card, found.alignment, target)
    geometry = found.alignment
    x, y = (row[2] for row in geometry.matrix[:2])
    print(
        f"flip {geometry.flip}, scale {geometry.scale:.4f}, rotation {math.degrees(geometry.rotation):.2f} degrees, "
        f"first scene pixel at row {y:.1f}, column {x:.1f}"
    )
    print(
        f"{found.used} of {len(samples)} pairs agree to {found.spread:.2f} pixels; correlations "
        f"{min(found.correlations):.2f} to {max(found.correlations):.2f}: {target}"
    )
    return 0


def check(cfg: DictConfig) -> int:
    """Print what is wrong with files, images, pairing and splits."""
    card = opened(cfg)
    source = card.open()
    splits = split_indices(card.splits, source)
    stated = {name: file["sha256"] for name, file in ((card.about or {}).get("files") or {}).items()}
    problems = list(check_files(card.root, {**stated, **source.digests}))
    images = ImageCheck(source)
    problems += images.problems
    if not images.problems:
        problems += check_duplicates(source, splits, images.thumbnails)
        problems += pairing_problems(cfg, card, source)
    for problem in problems:
        print(problem)
    counts = ", ".join(f"{name} {len(indices)}" for name, indices in splits.items())
    print(f"{len(source)} samples ({counts}), {len(np.unique(source.labels))} masks: {len(problems)} problems")
    return 1 if problems else 0


def pack_card(cfg: DictConfig) -> int:
    """Write a data set as parquet files with a card."""
    require(cfg.out is not None, "out: expected a folder for the packed data set")
    card = opened(cfg)
    about = {key: cfg[key] or (card.about or {}).get(key) for key in ("summary", "source", "licence")}
    out = Path(cfg.out).expanduser()
    content = pack(card, split_indices(card.splits, card.open()), out, about=about)
    counts = ", ".join(f"{name} {rule['rows']}" for name, rule in content["splits"].items())
    print(f"{counts}: {out}")
    return 0


def push_folder(cfg: DictConfig) -> int:
    """Upload a packed data set."""
    require(cfg.card is not None, "card: expected the folder of a packed data set")
    require(cfg.repository is not None, "repository: expected OWNER/NAME on the hub")
    print(push(Path(cfg.card).expanduser(), cfg.repository, private=cfg.private))
    return 0


def opened(cfg: DictConfig) -> Card:
    """The card that the configuration names."""
    require(cfg.card is not None, "card: expected a data set: a folder, a YAML card, or a name of `lensless data list`")
    return load_card(cfg.card, folder=cfg.folder)


def alignment_file(cfg: DictConfig, card: Card) -> Path:
    """Where the alignment goes. Raises InputError for a shipped card, which is not to be changed."""
    if cfg.out is not None:
        return Path(cfg.out).expanduser()
    if card.file is None:
        return card.root / "card.yaml"
    shipped = card.file.parent == resource_dir("datasets") and cfg.card in card_names()
    require(not shipped, f"out: expected a YAML file, such as out={cfg.card}.yaml; the shipped card stays as it is")
    return card.file


def estimate(sample: Sample, solver: Reconstructor) -> Tensor:
    """The reconstruction (C, H, W) of a sample. Raises InputError where its PSF is not known."""
    require(sample.psf is not None, f"card: the PSF of mask {sample.mask} is not known; name its file in the card")
    y = sample.measurement
    if sample.background is not None:
        y, _ = subtract_background(y, sample.background)
    return solver(y[None], LenslessConvolution(sample.psf[None]))[0]


def pairing_problems(cfg: DictConfig, card: Card, source: Source) -> Iterator[str]:
    """Shifted or swapped scenes among some runs of samples, where there are PSFs and scenes to see it by."""
    dataset = PairedDataset(source, alignment=card.alignment)
    first = dataset[0]
    if first.scene is None or first.psf is None:
        print("pairing not checked: it needs scenes and PSFs")
        return
    if card.alignment is None and first.scene.shape[-2:] != first.measurement.shape[-2:]:
        print("pairing not checked: where scenes lie in reconstructions is not known; run `lensless data align` first")
        return
    solver = build(cfg.recon, "recon")
    for start in np.unique(np.linspace(0, max(len(source) - RUN, 0), 3).round().astype(int)):
        samples = [dataset[int(place)] for place in range(start, min(start + RUN, len(source)))]
        if len(samples) < 2:
            return
        estimates = [estimate(sample, solver) for sample in samples]
        if card.alignment is not None:
            estimates = [aligned_region(x[None], card.alignment)[0] for x in estimates]
        found = check_pairing(estimates, [sample.scene for sample in samples])
        names = [source.name(sample.index) for sample in samples]
        if found.shift:
            yield f"{names[0]} to {names[-1]}: the scenes have slipped by {found.shift}, so none is of its measurement"
        else:
            yield from (f"{names[place]}: another scene matches the measurement better" for place in found.strangers)
