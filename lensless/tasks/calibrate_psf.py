"""`lensless calibrate psf`: from frames of a point source to a PSF and what it is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from lensless.calibration.frame import RawFrame
from lensless.calibration.point_source import Exposed, expose, flat_field
from lensless.calibration.psf_image import background, centroid_shift, cropped, shifted, significant
from lensless.calibration.psf_report import PSFReport, reduced, report, summary
from lensless.calibration.raw import COLOURS, to_colours
from lensless.errors import check_name, require
from lensless.evaluation.calibration_figures import psf_figure
from lensless.images.prepare import downsample, normalise_psf
from lensless.images.write import write_npy
from lensless.physics.mask_report import autocorrelation
from lensless.tasks.calibration_files import frames_of, read_darks, records_of, write_report
from lensless.tasks.compose import build

CENTRES = ("none", "centroid")
# Signal to noise, in decibels, below which there is no PSF to speak of.
NOTHING = 0.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is made of the merged frames, in this order; see :mod:`lensless.calibration.psf_image`.

    colour: "demosaic" or "cells". clean: set to 0 what does not stand out. centre: "none" or "centroid". size: central
    (h, w) to keep, None for all. downsample: side of the blocks to average. Raises InputError on other words.
    """

    colour: str = "demosaic"
    clean: bool = True
    centre: str = "none"
    size: Sequence[int] | None = None
    downsample: int = 1

    def __post_init__(self):
        check_name("colour", self.colour, list(COLOURS))
        check_name("centre", self.centre, list(CENTRES))


def measure_psfs(cfg: DictConfig) -> int:
    """Write psf.npy, or psf_NNN.npy of every mask where the records are of several, whatever the verdict."""
    point = build(cfg.point, "point")
    records = records_of("records", cfg.records, "psf")
    darks = read_darks(cfg.darks)
    flat = None if cfg.flat is None else flat_field(frames_of(records_of("flat", cfg.flat, "frame")), darks)
    masks = sorted({record.mask for record in records})
    for mask in masks:
        name = "psf" if len(masks) == 1 else f"psf_{mask:03d}"
        frames = frames_of([one for one in records if one.mask == mask])
        measure_psf(cfg, name, expose(frames, darks), frames, flat=flat, point=point)
    return 0


def measure_psf(
    cfg: DictConfig, name: str, exposed: Exposed, frames: list[RawFrame], *, flat: Tensor | None, point: Point
) -> None:
    """Write NAME.npy, NAME.png and NAME.json, and print what there is to say."""
    light = exposed.merged.light
    if flat is not None:
        require(flat.shape == light.shape, f"flat: expected {tuple(light.shape)}, got {tuple(flat.shape)}")
        light = light / flat
    image = to_colours(light, exposed.bayer, point.colour)
    found = background(image)
    before = image - found.level
    psf = before.clamp_min(0) * (significant(before) if point.clean else 1)
    numbers = report(exposed, found, before, psf) if bool(psf.any()) else None
    require(
        numbers is not None and numbers.snr_db > NOTHING,
        f"records: nothing in {frames[0].name} and its like stands out of the background; is the source on?",
    )
    shift = centroid_shift(psf) if point.centre == "centroid" else (0, 0)
    kept = cropped(shifted(psf, shift), point.size)
    lost = 1 - float(kept.sum() / psf.sum())
    result, factor = normalise_psf(downsample(kept, point.downsample))
    written = Path(cfg.out).expanduser() / f"{name}.npy"
    write_npy(written, result)
    content = {
        **summary(numbers),
        "frames": [[frame.name, frame.exposure, frame.gain] for frame in frames],
        "drift": exposed.drift,
        "shift": shift,
        "light_lost": lost,
        "factor": factor,
        "shape": tuple(result.shape),
        "notes": exposed.notes,
    }
    figure = psf_figure(result, autocorrelation(reduced(result.mean(0))), describe(numbers))
    files = write_report(cfg, name, content, figure)
    for note in exposed.notes:
        print(note)
    if shift != (0, 0):
        print(f"moved by {shift[0]} rows and {shift[1]} columns")
    if lost > 1e-3:
        print(f"{lost:.1%} of the light was cut off")
    print(f"{name}: {describe(numbers)}")
    print(f"verdict: {numbers.verdict()}")
    print(written, *files, sep="\n")


def describe(numbers: PSFReport) -> str:
    """The report in a line."""
    gains = ", ".join(f"{gain:.2f}" for gain in numbers.channel_gains)
    moved = "" if numbers.drift_pixels is None else f", drift {numbers.drift_pixels:.2f} pixels"
    return (
        f"SNR {numbers.snr_db:.1f} dB, peak / sidelobe {numbers.peak_to_sidelobe:.2f}, 99 % of the light in "
        f"{numbers.support_share:.1%} of the pixels, channel gains {gains}{moved}, {numbers.hot_pixels} hot pixels"
    )
