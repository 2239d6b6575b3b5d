"""`lensless calibrate align`: where the monitor's pixels lie in reconstructions, from a checkerboard on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from lensless.calibration.alignment import Alignment
from lensless.calibration.checkerboard import Board, BoardFit, find_checkerboard
from lensless.calibration.point_source import expose
from lensless.calibration.raw import to_colours
from lensless.calibration.registration import pixel_scaling
from lensless.data.card import load_card, store_alignment
from lensless.data.records import RecordFolder
from lensless.errors import require
from lensless.evaluation.calibration_figures import board_figure
from lensless.images.prepare import normalise_psf
from lensless.images.read import read_image
from lensless.images.write import atomic_write
from lensless.physics.convolution import LenslessConvolution
from lensless.tasks.calibration_files import (
    averaged_like,
    frames_of,
    read_darks,
    record_folders,
    records_of,
    write_report,
)
from lensless.tasks.compose import build

# Where a board stops being well placed: pixels of the reconstruction, the share of its corners, and by how much it
# correlates better than mirrored, in shares of a square: it differs by two, and by up to one where none is marked.
MOST_SPREAD, LEAST_FOUND, LEAST_LEAD = 1.0, 0.8, 1.0

# What a record of the board calls it.
BOARD = "checkerboard"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the monitor showed, and what to expect of its image; see :mod:`lensless.calibration.checkerboard`.

    size: (H, W) of the monitor, and square: pixels, None as the records say. model: similarity or homography.
    """

    size: Sequence[int] | None = None
    square: int | None = None
    model: str = "homography"


def align_board(cfg: DictConfig) -> int:
    """Write alignment.yaml, align.json and align.png, store the alignment in a card if one is named; say a verdict."""
    require(cfg.psf is not None, "psf: expected the PSF of this camera, such as that of `lensless calibrate psf`")
    shown = build(cfg.board, "board")
    records = records_of("records", cfg.records, "frame")
    others = sorted({str(record.scene) for record in records} - {BOARD})
    require(not others, f"records: expected frames of --show {BOARD}, got of {', '.join(others)}")
    display = shown.size or record_folders("records", cfg.records)[0].display
    require(display is not None, "board.size: expected [height, width] of the monitor, which the records do not say")
    square = shown.square or records[0].square
    require(square is not None, "board.square: expected pixels of the monitor, which the records do not say")
    board = Board(tuple(display), square)
    psf, _ = normalise_psf(read_image(cfg.psf))
    exposed = expose(frames_of(records), read_darks(cfg.darks))
    y = averaged_like(to_colours(exposed.merged.light, exposed.bayer, "demosaic"), psf, records[0].stem)
    estimate = build(cfg.recon, "recon")(y[None], LenslessConvolution(psf))[0]
    found = find_checkerboard(estimate, board, model=shown.model)
    card = None if cfg.card is None else store_in_card(cfg.card, found, display, tuple(estimate.shape[-2:]))
    verdict = "; ".join(problems(found, board)) or "good"
    written = Path(cfg.out).expanduser() / "alignment.yaml"
    with atomic_write(written) as temporary:
        entry = OmegaConf.to_yaml(OmegaConf.create({"alignment": found.alignment.to_card()}))
        temporary.write_text(f"# from pixels of the monitor to those of a reconstruction\n{entry}", encoding="utf-8")
    content = {
        "verdict": verdict,
        "matrix": found.alignment.matrix,
        "size": found.alignment.size,
        "flip": found.alignment.flip,
        "corners": found.corners.tolist(),
        "places": found.places.tolist(),
        "expected_corners": board.count,
        "spread": found.spread,
        "correlation": found.correlation,
        "lead": found.lead,
    }
    files = write_report(cfg, "align", content, board_figure(estimate, found.corners, outline(found)))
    geometry = found.alignment
    print(
        f"flip {geometry.flip}, scale {geometry.scale:.4f}, rotation {math.degrees(geometry.rotation):.2f} degrees; "
        f"{len(found.corners)} of {board.count} corners agree to {found.spread:.2f} pixels, "
        f"correlation {found.correlation:.2f}"
    )
    print(f"verdict: {verdict}")
    print(*([] if card is None else [card]), written, *files, sep="\n")
    return 0


def problems(found: BoardFit, board: Board) -> list[str]:
    """What is wrong and what to do, a sentence each; empty for a good fit."""
    sentences = []
    share = len(found.corners) / board.count
    if share < LEAST_FOUND:
        sentences.append(
            f"only {share:.0%} of the corners were found: is all of the board in view? larger squares are easier"
        )
    if found.spread > MOST_SPREAD:
        sentences.append(
            f"the corners scatter by {found.spread:.2f} pixels: average more frames, or take larger squares and, for a "
            "monitor seen at an angle, board.model=homography"
        )
    if found.lead < LEAST_LEAD * found.correlation / board.count:
        sentences.append(
            "the black square that tells the board from its mirror images is hardly seen, so the flip may be another: "
            "average more frames, or take larger squares"
        )
    return sentences


def outline(found: BoardFit) -> np.ndarray:
    """The monitor's border in the reconstruction, (5, 2) as (x, y), closed."""
    height, width = found.alignment.size
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1], [0, 0, 1]]) - [0.5, 0.5, 0]
    there = corners @ np.array(found.alignment.matrix).T
    return there[:, :2] / there[:, 2:]


def store_in_card(name: str, found: BoardFit, display: Sequence[int], shape: tuple[int, int]) -> Path:
    """The alignment of a data set's scenes, which a part of the monitor showed, into its card.

    shape: (H, W) of the reconstruction that the board was found in; those of the data set may have other pixels.
    """
    card = load_card(name)
    require(card.samples["kind"] == "records", f"card: expected records, got {card.samples['kind']}")
    folder = RecordFolder.open(card.root)
    same = folder.display is not None and tuple(folder.display) == tuple(display) and folder.screen is not None
    require(same, f"card: expected records of the same monitor of {tuple(display)} pixels, got {folder.display}")
    source = card.open()
    scene, measured = (source.light(what, 0) for what in ("scene", "measurement"))
    require(scene is not None, "card: expected scenes, found none; name their folder in the card")
    size = tuple(scene.shape[-2:])
    # from the scenes' pixels to those that they took on the monitor, to the reconstruction, to the data set's
    top, left = (
        (whole - part) / 2 + shift
        for whole, part, shift in zip(folder.display, folder.screen, folder.shift, strict=True)
    )
    moved = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    monitor = pixel_scaling(shape, measured.shape[-2:]) @ np.array(found.alignment.matrix)
    matrix = monitor @ moved @ pixel_scaling(size, folder.screen)
    file = card.root / "card.yaml" if card.file is None else card.file
    store_alignment(card, Alignment(tuple(map(tuple, matrix.tolist())), size), file)
    return file
