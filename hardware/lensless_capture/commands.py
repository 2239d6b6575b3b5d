"""What the commands do once their words are understood: each takes an open rig."""

import io
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lensless_capture.cameras.base import Camera, Frame, Settings
from lensless_capture.errors import DeviceError, InputError, require
from lensless_capture.exposure import AutoExposure
from lensless_capture.files import write_whole
from lensless_capture.merge import average, hdr, hot_pixels
from lensless_capture.plan import Shot, describe
from lensless_capture.png import encode, read_picture
from lensless_capture.preview import PreviewPage, histogram
from lensless_capture.records import RecordFolder
from lensless_capture.rig import Rig
from lensless_capture.screens.base import black, checkerboard, place, point

# Rounds in which auto-exposure finds its level: each changes the light by a factor of up to 8.
ROUNDS = 12
PATTERNS = {"black": black, "point": point}
# Squares of a checkerboard along the display's shorter side, unless their size is stated.
SQUARES = 6


def info(rig: Rig) -> None:
    """Print the rig as JSON."""
    print(json.dumps(rig.describe(), indent=1))


def chosen(rig: Rig, mask: int | None) -> list[int | None]:
    """Labels of the masks that are meant by ``mask``: that one, by default all; [None] where there is one mask only."""
    require(mask is None or rig.mask is not None, f"mask: this rig has one mask and no label {mask}; add [mask]")
    if rig.mask is None:
        return [None]
    return list(rig.mask.labels) if mask is None else [mask]


def preview(rig: Rig, settings: Settings, auto: AutoExposure | None, *, port: int, count: int | None) -> None:
    """Show frame after frame, ``count`` of them or until interrupted, in the terminal and on the page."""
    with PreviewPage(port) as page:
        print(f"{page.url} (this machine only); stop with Ctrl-C", file=sys.stderr)
        taken = 0
        while count is None or taken < count:
            page.frame = frame = rig.camera.capture(settings)
            taken += 1
            print(f"\r{histogram(frame)}", end="", flush=True)
            if auto is not None:
                settings = auto.next(frame, settings, rig.camera.info)
            time.sleep(0.05)
        print()


def metered(camera: Camera, settings: Settings, auto: AutoExposure | None) -> tuple[Settings, str]:
    """Settings that auto-exposure arrives at from ``settings``, and its verdict on the light."""
    if auto is None:
        return settings, "fixed"
    for _ in range(ROUNDS):
        frame = camera.capture(settings)
        wanted = auto.next(frame, settings, camera.info)
        if wanted == settings:
            return settings, auto.verdict(frame, settings, camera.info)
        settings = wanted
    raise DeviceError(f"camera: no exposure found in {ROUNDS} frames; is the light flickering?")


def capture(
    rig: Rig,
    out: Path,
    settings: Settings,
    auto: AutoExposure | None,
    *,
    frames: int,
    show: str | None,
    square: int | None,
    mask: int | None,
) -> None:
    """One record, the average of ``frames`` frames, in a new folder, while the display shows ``show``:
    black, point, checkerboard (of squares of ``square`` pixels) or a picture file. mask: label of the pattern, by
    default the first."""
    require(square is None or show == "checkerboard", "square: expected with --show checkerboard alone")
    label = chosen(rig, mask)[0]
    if label is not None:
        rig.mask.show(label)
    notes = {"frames": frames}
    if show is not None:
        require(rig.display is not None, "show: this rig has no display; add [display] to its file")
        size = rig.display.size
        if show == "checkerboard":
            notes["square"] = max(min(size) // SQUARES, 1) if square is None else square
            rig.display.show(checkerboard(size, square=notes["square"]))
        else:
            rig.display.show(PATTERNS[show](size) if show in PATTERNS else place(read_picture(Path(show)), size))
    records = _new(rig, out, describe([Shot("frame", show, label)]))
    settings, verdict = metered(rig.camera, settings, auto)
    taken = [rig.camera.capture(settings) for _ in range(frames)]
    frame = taken[0] if frames == 1 else average(taken)
    records.write(0, frame, kind="frame", scene=show, mask=label, verdict=verdict, notes=notes)
    print(f"{out}: {settings.exposure:g} s, gain {settings.gain:g}; light: {verdict}")


def dark(rig: Rig, out: Path, settings: Settings, *, frames: int, like: Path | None) -> None:
    """Records of frames in the dark, ``frames`` at ``settings``, or at each exposure and gain of the records ``like``.

    Of the longest exposure their mean `dark.png` in 16 bits, and `hot_pixels.png`, white where hot.
    """
    if rig.mask is not None:
        rig.mask.close()
    if rig.display is not None:
        rig.display.show(black(rig.display.size))
    steps = [settings] if like is None else _settings_of(RecordFolder(like))
    records = _new(rig, out, describe([Shot("dark", None, None)] * (frames * len(steps))))
    for index, step in enumerate(steps):
        taken = []
        for number in range(index * frames, (index + 1) * frames):
            taken.append(rig.camera.capture(step))
            records.write(number, taken[-1], kind="dark")
    write_whole(out / "dark.png", encode(average(taken).pixels))
    hot = hot_pixels(taken)
    write_whole(out / "hot_pixels.png", encode(hot * np.uint8(255)))
    exposures = ", ".join(f"{step.exposure:g} s" for step in steps)
    print(f"{out}: {frames} darks of {exposures}; {int(hot.sum())} hot pixels")


def _settings_of(records: RecordFolder) -> list[Settings]:
    """The exposures and gains of records, each once, the longest last. Raises InputError where there are none."""
    said = (records.record(number) for number in records.numbers())
    found = {(record["exposure"], record["gain"]) for record in said}
    require(bool(found), f"like: expected a folder of records, found none in {records.folder}")
    return [Settings(exposure, gain) for exposure, gain in sorted(found)]


def psf(
    rig: Rig,
    out: Path,
    settings: Settings,
    auto: AutoExposure | None,
    *,
    frames: int,
    stops: Sequence[float],
    radius: int,
    mask: int | None,
) -> None:
    """Records of a point source through each mask or one, a bracket of averages ``stops`` (factors of two) about the
    metered exposure, and their merged light `psf.npy`, float32, or `psf_NNN.npy` of several masks."""
    labels = chosen(rig, mask)
    records = _new(rig, out, {"shots": len(labels) * len(stops), "stops": list(stops), "radius": radius})
    if rig.display is not None:
        rig.display.show(point(rig.display.size, radius=radius))
    numbers = itertools.count()
    for label in labels:
        if label is not None:
            rig.mask.show(label)
        settings, verdict = metered(rig.camera, settings, auto)
        bracket = _bracket(rig.camera, settings, frames, stops)
        for frame in bracket:
            records.write(
                next(numbers), frame, kind="psf", mask=label, verdict=verdict, notes={"frames": frames}
            )
        buffer = io.BytesIO()
        np.save(buffer, hdr(bracket), allow_pickle=False)
        write_whole(out / ("psf.npy" if len(labels) == 1 else f"psf_{label:03d}.npy"), buffer.getvalue())
        named = "" if label is None else f", mask {label}"
        print(f"{out}{named}: {len(bracket)} exposures about {settings.exposure:g} s; light: {verdict}")


def _bracket(camera: Camera, settings: Settings, frames: int, stops: Sequence[float]) -> list[Frame]:
    """The mean of ``frames`` frames at each of the exposures that the camera can do."""
    low, high = camera.info.exposure_range
    exposures = [settings.exposure * 2.0**stop for stop in stops]
    steps = [replace(settings, exposure=exposure) for exposure in exposures if low <= exposure <= high]
    if not steps:
        raise InputError(f"stops: none of {stops} about {settings.exposure:g} s is within {low:g} s to {high:g} s")
    return [average([camera.capture(step) for _ in range(frames)]) for step in steps]


def _new(rig: Rig, out: Path, told: dict[str, Any]) -> RecordFolder:
    """The folder ``out`` for what the rig is to measure. Raises InputError where it holds records."""
    records = RecordFolder.open(out, rig.camera.info, told, **rig.surroundings())
    require(not records.numbers(), f"{out}: holds records already; name another folder")
    return records
