"""What a data set consists of, shot by shot, so that record n always is shot n."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensless_capture.errors import require

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Shot:
    """One record to be: its kind, the picture shown (None: a black screen, or a point of light where the kind is psf),
    the mask's label (None: the only mask)."""

    kind: str
    scene: str | None
    mask: int | None


def plan(scenes: Sequence[str], *, masks: Sequence[int] = (), every: int = 100) -> list[Shot]:
    """Scene i through mask i mod M; before each ``every`` scenes a background (black screen) of every mask, and a point
    of light through the first, which comes last of all once more: it shows whether anything has moved.

    Where the mask is programmable a dark frame, its LCD closed, goes before the backgrounds.
    scenes: file names. masks: labels; empty for a fixed mask. Raises InputError unless ``every`` >= 1.
    """
    require(every >= 1, f"every: expected at least 1 scene between backgrounds, got {every}")
    labels = masks or (None,)
    point = Shot("psf", None, labels[0])
    shots = []
    for index, scene in enumerate(scenes):
        if index % every == 0:
            if masks:
                shots.append(Shot("dark", None, None))
            shots += [*(Shot("background", None, mask) for mask in labels), point]
        shots.append(Shot("scene", scene, labels[index % len(labels)]))
    return [*shots, point]


def list_scenes(folder: str | Path) -> list[str]:
    """File names of the pictures in ``folder``, sorted. Raises InputError where there is none."""
    folder = Path(folder)
    require(folder.is_dir(), f"scenes: {folder} is not a folder")
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    require(bool(names), f"scenes: {folder} holds no picture ({', '.join(PICTURES)})")
    return names


def describe(shots: Sequence[Shot]) -> dict[str, Any]:
    """What a manifest says of a plan: its length and the sha256 of its shots."""
    lines = "\n".join(f"{shot.kind}\t{shot.scene}\t{shot.mask}" for shot in shots)
    return {"shots": len(shots), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
