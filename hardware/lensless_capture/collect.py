"""Measuring a data set: every shot of a plan becomes a record, whatever breaks meanwhile."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from lensless_capture.cameras.base import Frame, Settings
from lensless_capture.errors import DeviceError, require
from lensless_capture.exposure import AutoExposure, level, saturated
from lensless_capture.plan import Shot, describe, list_scenes, plan
from lensless_capture.png import read_picture
from lensless_capture.records import RecordFolder
from lensless_capture.rig import Rig
from lensless_capture.screens.base import black, place

# Frames tried for one record, and pauses (seconds) before the rig is opened again when nothing was written in between.
TRIES = 8
PAUSES = (0.2, 1, 5, 15, 60, 60, 60)


@dataclass
class Report:
    """What a run did. rejected: frames taken again, by reason. backgrounds: level of the first and the last one."""

    written: int = 0
    quarantined: int = 0
    reopened: int = 0
    rejected: Counter = field(default_factory=Counter)
    verdicts: Counter = field(default_factory=Counter)
    exposures: tuple[float, float] | None = None
    backgrounds: tuple[float, float] | None = None

    def count(self, shot: Shot, frame: Frame, verdict: str | None) -> None:
        self.written += 1
        exposure = frame.reported.exposure
        low, high = self.exposures or (exposure, exposure)
        self.exposures = (min(low, exposure), max(high, exposure))
        if verdict is not None:
            self.verdicts[verdict.partition(":")[0]] += 1
        if shot.kind == "background":
            now = level(frame, 50)
            self.backgrounds = (self.backgrounds[0] if self.backgrounds else now, now)

    def __str__(self) -> str:
        lines = [f"{self.written} records written, {self.quarantined} damaged ones taken again"]
        lines.append(f"rig opened again {self.reopened} times; frames rejected: {_tally(self.rejected)}")
        lines.append(f"light: {_tally(self.verdicts)}")
        if self.exposures:
            lines.append("exposures from {:g} s to {:g} s".format(*self.exposures))
        if self.backgrounds:
            lines.append("background {:.2%} of full scale at first, {:.2%} at last".format(*self.backgrounds))
        return "\n".join(lines)


@dataclass(frozen=True)
class Collection:
    """What to measure. scenes: folder of pictures. every: scenes between backgrounds. height, shift, brightness: as in
    :func:`~lensless_capture.screens.base.place`. auto: None keeps ``settings`` throughout."""

    scenes: Path
    settings: Settings
    auto: AutoExposure | None
    every: int = 100
    height: float = 1.0
    shift: tuple[int, int] = (0, 0)
    brightness: float = 1.0


def collect(
    out: Path,
    collection: Collection,
    open_rig: Callable[[], AbstractContextManager[Rig]],
    *,
    pauses: tuple[float, ...] = PAUSES,
) -> Report:
    """Write what is missing in the record folder ``out``, opening the rig again when it fails.

    Raises DeviceError when the rig fails again after each of ``pauses`` (seconds) with no record in between,
    InputError on wrong input and OSError on a full disk; what is written stays, and the next call goes on from there.
    """
    report, scenes, failures = Report(), list_scenes(collection.scenes), 0
    while True:
        before = report.written
        try:
            with open_rig() as rig:
                _Run(out, collection, scenes, rig, report).go()
                return report
        except DeviceError as error:
            failures = 0 if report.written > before else failures + 1
            if failures == len(pauses):
                raise
            report.reopened += 1
            tqdm.write(f"{error}; trying again in {pauses[failures]:g} s", file=sys.stderr)
            time.sleep(pauses[failures])


class _Run:
    """One stretch of a collection, from opening the rig to its end or failure."""

    def __init__(self, out: Path, collection: Collection, scenes: list[str], rig: Rig, report: Report):
        require(rig.display is not None, "display: this rig has none; add [display] to its file")
        self.collection, self.rig, self.report = collection, rig, report
        labels = list(rig.mask.labels) if rig.mask else []
        self.shots = plan(scenes, masks=labels, every=collection.every)
        self.records = RecordFolder.open(out, rig.camera.info, describe(self.shots))
        report.quarantined += len(self.records.damaged)
        self.settings = self._carried_over()
        self.shown = self.masked = self.last = None

    def go(self) -> None:
        missing = list(self.records.missing(len(self.shots)))
        if missing and self.collection.auto is not None and not self.records.numbers():
            # the first background is taken as the first scene will be
            self._take(next(shot for shot in self.shots if shot.kind == "scene"))
        done = len(self.shots) - len(missing)
        with (
            tqdm(total=len(self.shots), initial=done, unit="frame", smoothing=0.05) as bar,
            ThreadPoolExecutor(max_workers=1) as writer,
        ):
            written = None
            for number in missing:
                shot = self.shots[number]
                frame = self._take(shot)  # while the one before is compressed and written
                verdict = self._verdict(frame) if shot.kind == "scene" else None
                if written is not None:
                    written.result()
                written = writer.submit(self._write, number, shot, frame, verdict, bar)
            if written is not None:
                written.result()

    def _write(self, number: int, shot: Shot, frame: Frame, verdict: str | None, bar: tqdm) -> None:
        self.records.write(number, frame, kind=shot.kind, scene=shot.scene, mask=shot.mask, verdict=verdict)
        self.report.count(shot, frame, verdict)
        bar.update()

    def _take(self, shot: Shot) -> Frame:
        self._show(shot)
        for _ in range(TRIES):
            frame = self.rig.camera.capture(self.settings)
            if self.last is not None and frame.reported.timestamp <= self.last:
                self.report.rejected["stale"] += 1
                continue
            self.last = frame.reported.timestamp
            wanted = self._wanted(shot, frame)
            if wanted == self.settings:
                return frame
            self.report.rejected["exposure"] += 1
            self.settings = wanted
        raise DeviceError(f"camera: {TRIES} frames in a row were stale or badly exposed; is the light flickering?")

    def _wanted(self, shot: Shot, frame: Frame) -> Settings:
        if self.collection.auto is None or shot.kind != "scene":
            return self.settings
        return self.collection.auto.next(frame, self.settings, self.rig.camera.info)

    def _show(self, shot: Shot) -> None:
        mask = (shot.kind, shot.mask) if shot.kind == "dark" else shot.mask
        if self.rig.mask and mask != self.masked:
            if shot.kind == "dark":
                self.rig.mask.close()
            else:
                self.rig.mask.show(shot.mask)
            self.masked = mask
        if self.shown is None or shot.scene != self.shown[0]:
            self.rig.display.show(self._picture(shot.scene))
            self.shown = (shot.scene,)

    def _picture(self, scene: str | None):
        size = self.rig.display.size
        if scene is None:
            return black(size)
        at = self.collection
        return place(
            read_picture(at.scenes / scene), size, height=at.height, shift=at.shift, brightness=at.brightness
        )

    def _verdict(self, frame: Frame) -> str:
        if self.collection.auto is None:
            return f"fixed: {saturated(frame):.2%} of the pixels clipped"
        return self.collection.auto.verdict(frame, self.settings, self.rig.camera.info)

    def _carried_over(self) -> Settings:
        """The settings of the last record, so that a run that was cut goes on as it was."""
        numbers = self.records.numbers()
        if not numbers or self.collection.auto is None:
            return self.collection.settings
        last, info = self.records.record(numbers[-1]), self.rig.camera.info
        (shortest, longest), (lowest, highest) = info.exposure_range, info.gain_range
        return replace(
            self.collection.settings,
            exposure=min(max(last["exposure"], shortest), longest),
            gain=min(max(last["gain"], lowest), highest),
        )


def _tally(counts: Counter) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common()) or "none"
