"""Measuring a data set: every shot of a plan becomes a record, whatever breaks meanwhile."""

import hashlib
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from tqdm import tqdm

from lensless_capture.cameras.base import Frame, Settings
from lensless_capture.drift import Drift, warning
from lensless_capture.errors import DeviceError, require
from lensless_capture.exposure import AutoExposure, Forecast, saturated
from lensless_capture.files import write_whole
from lensless_capture.plan import Shot, describe, list_scenes, plan
from lensless_capture.png import read_picture
from lensless_capture.records import RecordFolder
from lensless_capture.report import in_words, summarise
from lensless_capture.rig import Rig
from lensless_capture.screens.base import black, mean_light, place, placement, point

# Of the point of light, in heights of the display.
RADIUS = 0.02
# Frames that are compressed and written at once; each holds four times its size in memory.
WRITERS = 2
# Frames tried for one record, and pauses (seconds) before the rig is opened again when nothing was written in between.
TRIES = 8
PAUSES = (0.2, 1, 5, 15, 60, 60, 60)


@dataclass
class Report:
    """What a run did, and (``summary``) what the folder holds after it.

    written, quarantined: records. reopened: how often the rig was opened again.
    """

    written: int = 0
    quarantined: int = 0
    reopened: int = 0
    summary: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        run = (
            f"this run: {self.written} records written, {self.quarantined} damaged ones taken again, "
            f"rig opened again {self.reopened} times"
        )
        return f"{run}\n{in_words(self.summary)}"


@dataclass(frozen=True)
class Collection:
    """What to measure. scenes: folder of pictures. every: scenes between backgrounds. height, shift, brightness: as in
    :func:`~lensless_capture.screens.base.place`. auto: None keeps ``settings`` for all but the points of light."""

    scenes: Path
    settings: Settings
    auto: AutoExposure | None
    every: int = 100
    height: float = 1.0
    shift: tuple[int, int] = (0, 0)
    brightness: float = 1.0

    def check(self, shapes: set[tuple[int, int]], display: tuple[int, int]) -> None:
        """Raise InputError unless pictures of all these shapes have their place on the display."""
        for shape in shapes:
            placement(shape, display, height=self.height, shift=self.shift)
        require(0 < self.brightness <= 1, f"brightness: expected in (0, 1], got {self.brightness}")


def collect(
    out: Path,
    collection: Collection,
    open_rig: Callable[[], AbstractContextManager[Rig]],
    *,
    pauses: tuple[float, ...] = PAUSES,
) -> Report:
    """Write what is missing in the record folder ``out``, opening the rig again when it fails, and at last report.json.

    Raises DeviceError when the rig fails again after each of ``pauses`` (seconds) with no record in between,
    InputError on wrong input and OSError on a full disk; what is written stays, and the next call goes on from there.
    """
    report, scenes, failures = Report(), list_scenes(collection.scenes), 0
    shapes = set() if (out / "manifest.json").exists() else _shapes(collection.scenes, scenes)
    while True:
        before = report.written
        try:
            with open_rig() as rig:
                require(rig.display is not None, "display: this rig has none; add [display] to its file")
                collection.check(shapes, rig.display.size)
                records = _Run(out, collection, scenes, rig, report).go()
            report.summary = summarise(records)
            write_whole(out / "report.json", (json.dumps(asdict(report), indent=1) + "\n").encode())
            return report
        except DeviceError as error:
            failures = 0 if report.written > before else failures + 1
            if failures == len(pauses):
                raise
            report.reopened += 1
            tqdm.write(f"{error}; trying again in {pauses[failures]:g} s", file=sys.stderr)
            time.sleep(pauses[failures])


def _shapes(folder: Path, scenes: list[str]) -> set[tuple[int, int]]:
    """(H, W) of the pictures. Raises InputError for one that cannot be read, rather than in the middle of a night."""
    bar = tqdm(scenes, desc="looking at the pictures", unit="picture", leave=False)
    return {read_picture(folder / scene).shape[:2] for scene in bar}


class _Run:
    """One stretch of a collection, from opening the rig to its end or failure."""

    def __init__(self, out: Path, collection: Collection, scenes: list[str], rig: Rig, report: Report):
        self.collection, self.rig, self.report = collection, rig, report
        self.shots = plan(scenes, masks=list(rig.mask.labels) if rig.mask else [], every=collection.every)
        placed = {name: getattr(collection, name) for name in ("every", "height", "shift", "brightness")}
        told = {**describe(self.shots), **placed}
        self.records = RecordFolder.open(out, rig.camera.info, told, **rig.surroundings())
        report.quarantined += len(self.records.damaged)
        self.drift = Drift(self.records, self.shots)
        self.settings = {group: self._carried_over(group) for group in ("scene", "psf")}
        self.forecast = None if collection.auto is None else Forecast(collection.auto)
        self.shown = self.masked = self.last = self.digest = None
        self.light, self.counting = 0.0, Lock()
        self.rejected: Counter[str] = Counter()

    def go(self) -> RecordFolder:
        missing = list(self.records.missing(len(self.shots)))
        if missing and self.collection.auto is not None and not self.records.numbers():
            # the first background is taken as the first scene will be
            self._take(next(shot for shot in self.shots if shot.kind == "scene"))
        done = len(self.shots) - len(missing)
        with (
            tqdm(total=len(self.shots), initial=done, unit="frame", smoothing=0.05) as self.bar,
            ThreadPoolExecutor(max_workers=WRITERS) as writers,
        ):
            writing: deque[Future[None]] = deque()
            for number in missing:
                frame = self._take(self.shots[number])  # while those before are compressed and written
                verdict, drift = self._verdict(self.shots[number], frame), self._drift(number, frame)
                notes = {"scene_sha256": self.digest, "rejected": self.rejected, "drift": drift}
                if len(writing) == WRITERS:
                    writing.popleft().result()
                writing.append(writers.submit(self._write, number, frame, verdict, notes))
            for written in writing:
                written.result()
        return self.records

    def _write(self, number: int, frame: Frame, verdict: str | None, notes: dict[str, Any]) -> None:
        self.records.write(number, frame, **vars(self.shots[number]), verdict=verdict, notes=notes)
        with self.counting:
            self.report.written += 1
            self.bar.update()

    def _drift(self, number: int, frame: Frame) -> dict[str, Any] | None:
        shot = self.shots[number]
        if shot.kind == "psf" and self._verdict(shot, frame) != "good":
            return None
        drift = self.drift.of(number, shot, frame)
        said = None if drift is None else warning(drift)
        if said is not None:
            tqdm.write(f"record {number:06d}: {said}", file=sys.stderr)
        return drift

    def _take(self, shot: Shot) -> Frame:
        self._show(shot)
        self.rejected, group, info = Counter(), _group(shot), self.rig.camera.info
        if self.forecast is not None and shot.kind == "scene":
            self.settings[group] = self.forecast.settings(shot.mask, self.light, self.settings[group], info)
        for _ in range(TRIES):
            frame = self.rig.camera.capture(self.settings[group])
            if self.last is not None and frame.reported.timestamp <= self.last:
                self.rejected["stale"] += 1
                continue
            self.last = frame.reported.timestamp
            if self.forecast is not None and shot.kind == "scene":
                self.forecast.note(shot.mask, self.light, frame)
            wanted = self._wanted(shot, frame)
            if wanted == self.settings[group]:
                return frame
            if group == "scene":  # for a point of light that is how its exposure is found
                self.rejected["exposure"] += 1
            self.settings[group] = wanted
        raise DeviceError(f"camera: {TRIES} frames in a row were stale or badly exposed; is the light flickering?")

    def _wanted(self, shot: Shot, frame: Frame) -> Settings:
        auto, settings = self._auto(shot), self.settings[_group(shot)]
        return settings if auto is None else auto.next(frame, settings, self.rig.camera.info)

    def _auto(self, shot: Shot) -> AutoExposure | None:
        """What sets the exposure of a shot; that of a point of light is far from the scenes' and always looked for."""
        if shot.kind == "psf":
            return self.collection.auto or AutoExposure()
        return self.collection.auto if shot.kind == "scene" else None

    def _verdict(self, shot: Shot, frame: Frame) -> str | None:
        auto = self._auto(shot)
        if auto is not None:
            return auto.verdict(frame, self.settings[_group(shot)], self.rig.camera.info)
        return f"fixed: {saturated(frame):.2%} of the pixels clipped" if shot.kind == "scene" else None

    def _show(self, shot: Shot) -> None:
        mask = (shot.kind, shot.mask) if shot.kind == "dark" else shot.mask
        if self.rig.mask and mask != self.masked:
            if shot.kind == "dark":
                self.rig.mask.close()
            else:
                self.rig.mask.show(shot.mask)
            self.masked = mask
        picture = (shot.kind == "psf", shot.scene)
        if picture != self.shown:
            shown = self._picture(*picture)
            self.rig.display.show(shown)
            self.light, self.shown = mean_light(shown), picture

    def _picture(self, point_of_light: bool, scene: str | None) -> np.ndarray:
        """What the display shows; ``digest`` becomes that of the picture's file."""
        self.digest, size, at = None, self.rig.display.size, self.collection
        if point_of_light:
            return point(size, radius=max(1, round(RADIUS * size[0])))
        if scene is None:
            return black(size)
        file = at.scenes / scene
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return place(read_picture(file), size, height=at.height, shift=at.shift, brightness=at.brightness)

    def _carried_over(self, group: str) -> Settings:
        """The settings of the last record of a group of shots, so that a run that was cut goes on as it was."""
        same = [number for number in self.records.numbers() if _group(self.shots[number]) == group]
        if not same or (self.collection.auto is None and group == "scene"):
            return self.collection.settings
        last, info = self.records.record(same[-1]), self.rig.camera.info
        (shortest, longest), (lowest, highest) = info.exposure_range, info.gain_range
        return replace(
            self.collection.settings,
            exposure=min(max(last["exposure"], shortest), longest),
            gain=min(max(last["gain"], lowest), highest),
        )


def _group(shot: Shot) -> str:
    """Shots of a group have their exposure in common: points of light, and all others, as the scenes have it."""
    return "psf" if shot.kind == "psf" else "scene"
