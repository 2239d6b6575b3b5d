"""What the commands do once their words are understood: each takes an open rig."""

import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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
PATTERNS = {"black": black, "point": point, "checkerboard": checkerboard}


def info(rig: Rig) -> None:
    """Print the rig as JSON."""
    print(json.dumps(rig.describe(), indent=1))


def put(rig: Rig, mask: int | None) -> int | None:
    """Put pattern ``mask`` before the sensor, by default the first; returns its label, None where there is one mask."""
    require(mask is None or rig.mask is not None, f"mask: this rig has one mask and no label {mask}; add [mask]")
    if rig.mask is None:
        return None
    rig.mask.show(mask or 0)
    return mask or 0


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
    mask: int | None,
) -> None:
    """One record, the average of ``frames`` frames, in a new folder, while the display shows ``show``:
    black, point, checkerboard or a picture file. mask: label of the pattern, by default the first."""
    label = put(rig, mask)
    if show is not None:
        require(rig.display is not None, "show: this rig has no display; add [display] to its file")
        size = rig.display.size
        rig.display.show(PATTERNS[show](size) if show in PATTERNS else place(read_picture(Path(show)), size))
    settings, verdict = metered(rig.camera, settings, auto)
    taken = [rig.camera.capture(settings) for _ in range(frames)]
    frame = taken[0] if frames == 1 else average(taken)
    _record(rig, out, Shot("frame", show, label), [frame], verdict)
    print(f"{out}: {settings.exposure:g} s, gain {settings.gain:g}; light: {verdict}")


def dark(rig: Rig, out: Path, settings: Settings, *, frames: int) -> None:
    """Records of frames in the dark, their mean `dark.png` in 16 bits, and `hot_pixels.png`, white where hot."""
    if rig.mask is not None:
        rig.mask.close()
    if rig.display is not None:
        rig.display.show(black(rig.display.size))
    taken = [rig.camera.capture(settings) for _ in range(frames)]
    mean = average(taken)
    _record(rig, out, Shot("dark", None, None), taken, "dark")
    write_whole(out / "dark.png", encode(mean.pixels))
    hot = hot_pixels(taken)
    write_whole(out / "hot_pixels.png", encode(hot * np.uint8(255)))
    print(f"{out}: {frames} darks of {settings.exposure:g} s, {int(hot.sum())} hot pixels")


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
    """Records of a point source, a bracket of averages ``stops`` (factors of two) about the metered exposure,
    and their merged light `psf.npy`, float32. mask: label of the pattern, by default the first."""
    label = put(rig, mask)
    if rig.display is not None:
        rig.display.show(point(rig.display.size, radius=radius))
    settings, verdict = metered(rig.camera, settings, auto)
    low, high = rig.camera.info.exposure_range
    exposures = [settings.exposure * 2.0**stop for stop in stops]
    bracket = []
    for exposure in (exposure for exposure in exposures if low <= exposure <= high):
        step = replace(settings, exposure=exposure)
        bracket.append(average([rig.camera.capture(step) for _ in range(frames)]))
    if not bracket:
        raise InputError(f"stops: none of {stops} about {settings.exposure:g} s is within {low:g} s to {high:g} s")
    _record(rig, out, Shot("psf", None, label), bracket, verdict)
    buffer = io.BytesIO()
    np.save(buffer, hdr(bracket), allow_pickle=False)
    write_whole(out / "psf.npy", buffer.getvalue())
    print(f"{out}: {len(bracket)} exposures about {settings.exposure:g} s; light: {verdict}")


def _record(rig: Rig, out: Path, shot: Shot, frames: Sequence[Frame], verdict: str) -> None:
    records = RecordFolder.open(out, rig.camera.info, describe([shot] * len(frames)), **rig.surroundings())
    if records.numbers():
        raise InputError(f"{out}: holds records already; name another folder")
    for number, frame in enumerate(frames):
        records.write(number, frame, **vars(shot), verdict=verdict)
