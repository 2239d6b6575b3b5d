"""Every contender on every system: what is missing among the records is computed, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch.utils.data import Dataset

from lensless.data.sample import Batch, Sample, collate
from lensless.errors import require
from lensless.evaluation.contender import Contender
from lensless.evaluation.cost import Cost, measured
from lensless.evaluation.lpips import LPIPS
from lensless.evaluation.records import record_key
from lensless.evaluation.scoring import Scorer, reprojection


@dataclass(frozen=True)
class TestSystem:
    """One column of the benchmark: held-out samples of a camera, simulated or measured.

    name: unique. dataset: of samples with scene and PSF. identity: whatever decides these samples, as JSON can hold it.
    x, series: its place along the axis of a sweep, and the name of the line that it is on. seen: whether training of
    some contender has met this camera; unseen ones are set apart.
    """

    __test__ = False  # no test class, whatever pytest thinks of the name

    name: str
    _: KW_ONLY
    dataset: Dataset
    identity: Any
    x: float | None = None
    series: str | None = None
    seen: bool = True


Save = Callable[[str, str, int, torch.Tensor], None]


def missing_records(
    system: TestSystem,
    contenders: Sequence[Contender],
    *,
    images: range,
    known: set[str],
    lpips: dict[str, LPIPS],
    device: torch.device,
    version: str,
    save: Save,
) -> Iterator[list[dict[str, Any]]]:
    """The records of ``images`` of a system that are not ``known`` by their keys, one list for each contender.

    A record's key is a hash of the contender's and the system's identity, the image's number, the networks and the
    library's ``version``. save: called with (contender, system, image, picture (C, h, w)) for each new reconstruction,
    and with ("scene", ...) and ("measurement", ...). Raises InputError where a sample misses its scene or PSF.
    """

    def key(contender: Contender, image: int) -> str:
        return record_key(contender.identity, system.identity, image, sorted(lpips), version)

    wanted = {
        contender.name: [image for image in images if key(contender, image) not in known] for contender in contenders
    }
    if not any(wanted.values()):
        return
    samples = {image: system.dataset[image] for image in sorted(set().union(*wanted.values()))}
    for image, sample in samples.items():
        for name in ("scene", "psf"):
            require(getattr(sample, name) is not None, f"{system.name}: scoring needs the {name} of sample {image}")
        save("scene", system.name, image, sample.scene)
        save("measurement", system.name, image, sample.measurement)
    scorers: dict[tuple[int, ...], tuple[Batch, Scorer]] = {}
    for contender in contenders:
        numbers = tuple(wanted[contender.name])
        if not numbers:
            continue
        if numbers not in scorers:
            batch = collate([samples[image] for image in numbers])
            scorers[numbers] = batch, Scorer(batch.scene, lpips=lpips)
        batch, scorer = scorers[numbers]
        scores, cost, estimates = _scored(contender, batch.to(device), scorer, device)
        for image, estimate in zip(numbers, estimates, strict=True):
            save(contender.name, system.name, image, estimate)
        yield [
            {
                "key": key(contender, image),
                "model": contender.name,
                "system": system.name,
                "model_key": record_key(contender.identity),
                "system_key": record_key(system.identity),
                "image": image,
                "picture": _shown(samples[image]),
                "metrics": metrics,
                "seconds": cost.seconds / len(numbers),
                "bytes": cost.bytes,
                "batch": len(numbers),
            }
            for image, metrics in zip(numbers, scores, strict=True)
        ]


def _scored(
    contender: Contender, batch: Batch, scorer: Scorer, device: torch.device
) -> tuple[list[dict[str, float]], Cost, torch.Tensor]:
    """Scores of each image, the cost of all, and the estimates on the scenes' pixels."""
    (x, y, physics), cost = measured(lambda: contender(batch), device)
    misfits = reprojection(x, y, physics)
    estimates = batch.aligned(x).float().cpu()
    scores = scorer(estimates)
    return [score | {"reprojection": misfit} for score, misfit in zip(scores, misfits, strict=True)], cost, estimates


def _shown(sample: Sample) -> str:
    """What a sample shows: the picture it was made of, or its own name."""
    return str(sample.origin.get("picture") or sample.origin.get("name") or sample.index)
