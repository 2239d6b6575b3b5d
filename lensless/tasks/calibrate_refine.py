"""`lensless calibrate refine`: a PSF improved by ordinary measurements, if it really is better then."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from lensless.calibration.alignment import Alignment, aligned_region
from lensless.calibration.refine import FEWEST, LEAST_GAIN
from lensless.data.card import load_card
from lensless.data.dataset import PairedDataset
from lensless.data.sample import Sample
from lensless.errors import require
from lensless.evaluation.calibration_figures import refine_figure
from lensless.images.prepare import normalise_psf
from lensless.images.read import read_image
from lensless.images.write import write_npy
from lensless.tasks.calibration_files import averaged_like, write_report
from lensless.tasks.compose import build


def improve_psf(cfg: DictConfig) -> int:
    """Write refine.json and refine.png and, where the PSF is better, refined_psf.npy; say which one is to be used."""
    require(cfg.psf is not None, "psf: expected the PSF to improve, such as that of `lensless calibrate psf`")
    psf, _ = normalise_psf(read_image(cfg.psf))
    refine = build(cfg.refine, "refine")
    samples, alignment = read_samples(cfg)
    measurements = torch.stack([prepared(sample, psf) for sample in samples])
    scenes = None
    if cfg.paired:
        scenes = torch.stack([on_the_sensor(sample.scene, alignment, psf) for sample in samples])
    with tqdm(total=cfg.refine.steps, unit="step", disable=None) as bar:

        def progress(step: int, error: float) -> None:
            bar.update(step - bar.n)
            bar.set_postfix_str(f"error {error:.4f}")

        found = refine(psf, measurements, scenes=scenes, progress=progress)
    fell = int((found.after < found.before).sum())
    told = (
        f"held-out error {float(found.before.mean()):.4f} before, {float(found.after.mean()):.4f} after "
        f"({-found.gain:+.1%}), lower in {fell} of {len(found.before)} measurements"
    )
    out = Path(cfg.out).expanduser()
    if found.accepted:
        verdict = "better: use refined_psf.npy"
        write_npy(out / "refined_psf.npy", found.psf)
    else:
        verdict = f"no better by the {LEAST_GAIN:.0%} that it takes to be sure: {cfg.psf} stays the PSF"
    content = {
        "verdict": verdict,
        "accepted": found.accepted,
        "gain": found.gain,
        "before": found.before.tolist(),
        "after": found.after.tolist(),
        "step": found.step,
        "history": found.history,
        "measurements": [sample.origin["name"] for sample in samples],
    }
    figure = refine_figure(psf, found.candidate, found.before, found.after, verdict)
    files = write_report(cfg, "refine", content, figure)
    print(told)
    print(f"verdict: {verdict}")
    print(*([out / "refined_psf.npy"] if found.accepted else []), *files, sep="\n")
    return 0


def read_samples(cfg: DictConfig) -> tuple[list[Sample], Alignment | None]:
    """``cfg.measurements`` samples of the mask ``cfg.label``, evenly spread over the data set."""
    require(cfg.records is not None, "records: expected measurements: a folder of records, or any data set or card")
    card = load_card(cfg.records)
    source = card.open()
    of_mask = np.flatnonzero(source.labels == cfg.label)
    labels = ", ".join(map(str, np.unique(source.labels)[:8]))
    require(len(of_mask) > 0, f"label: expected the label of a mask, of {labels}, got {cfg.label}")
    require(
        min(cfg.measurements, len(of_mask)) >= FEWEST,
        f"measurements: expected at least {FEWEST}, got {min(cfg.measurements, len(of_mask))} of mask {cfg.label}",
    )
    places = np.unique(np.linspace(0, len(of_mask) - 1, cfg.measurements).round().astype(int))
    samples = list(PairedDataset(source, indices=of_mask[places]))
    paired = all(sample.scene is not None for sample in samples)
    require(paired or not cfg.paired, "paired: expected scenes in the data set, found none")
    return samples, card.alignment


def prepared(sample: Sample, psf: Tensor) -> Tensor:
    """The measurement less its background, averaged to the PSF's size."""
    y = sample.measurement if sample.background is None else sample.measurement - sample.background
    return averaged_like(y, psf, sample.origin["name"])


def on_the_sensor(scene: Tensor, alignment: Alignment | None, psf: Tensor) -> Tensor:
    """The scene on the grid of reconstructions, black where it is not known."""
    size = tuple(psf.shape[-2:])
    if alignment is None:
        require(
            tuple(scene.shape[-2:]) == size,
            f"paired: expected scenes of {size}, or an alignment in the card (`lensless calibrate align`, "
            f"`lensless data align`), got {tuple(scene.shape[-2:])}",
        )
        return scene.expand(psf.shape)
    inverse = np.linalg.inv(np.array(alignment.matrix))
    back = Alignment(tuple(map(tuple, inverse.tolist())), size)
    return aligned_region(scene[None], back)[0].expand(psf.shape)
