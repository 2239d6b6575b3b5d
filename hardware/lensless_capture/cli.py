"""`lensless-capture COMMAND`: the command line."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from lensless_capture import commands
from lensless_capture.agent import serve
from lensless_capture.cameras.base import Settings
from lensless_capture.collect import Collection, collect
from lensless_capture.errors import DeviceError, InputError
from lensless_capture.exposure import AutoExposure
from lensless_capture.records import RecordFolder
from lensless_capture.remote import remote_rig
from lensless_capture.report import in_words, summarise
from lensless_capture.rig import Rig, read_rig, rig_opener
from lensless_capture.ssh import AGENT, SshAgent


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 the hardware failed, 2 wrong input, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("lensless-capture: interrupted; what is written stays", file=sys.stderr)
        return 130
    except (InputError, OSError) as error:
        print(f"lensless-capture: error: {error}", file=sys.stderr)
        return 2
    except DeviceError as error:
        print(f"lensless-capture: error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("lensless-capture", description="Capture raw frames of a lensless camera.")
    sub = top.add_subparsers(required=True, metavar="COMMAND")

    rig = argparse.ArgumentParser(add_help=False)
    rig.add_argument("--rig", default="pi", help="pi, virtual or a TOML file; with --host a name or file over there")
    rig.add_argument("--host", help="SSH name of the Pi that has the rig; default: this machine")
    rig.add_argument("--ssh-config", type=Path, help="instead of ~/.ssh/config")
    rig.add_argument("--agent", nargs="+", default=AGENT, help="command that starts the agent on the host")

    pattern = argparse.ArgumentParser(add_help=False)
    pattern.add_argument("--mask", type=int, help="label of a mask's pattern; default the first, for psf all")

    light = argparse.ArgumentParser(add_help=False)
    light.add_argument("--exposure", type=float, default=0.01, help="seconds; where auto-exposure starts")
    light.add_argument("--gain", type=float, default=1.0)
    light.add_argument("--fixed", action="store_true", help="no auto-exposure")

    def command(name: str, run: Callable, parents: list, help: str) -> argparse.ArgumentParser:
        made = sub.add_parser(name, parents=parents, help=help, description=help)
        made.set_defaults(run=run)
        return made

    command("info", _info, [rig], "what is connected, and what it can do")
    preview = command("preview", _preview, [rig, light], "live histogram in the terminal and on a local page")
    preview.add_argument("--port", type=int, default=8000)
    preview.add_argument("--frames", type=int, help="stop after so many")
    for name, run, parents, help, frames in (
        ("capture", _capture, [pattern], "one record, the average of some frames", 1),
        ("dark", _dark, [], "darks and hot pixels; cover the sensor first", 16),
        ("psf", _psf, [pattern], "an HDR bracket of a point source", 8),
    ):
        made = command(name, run, [rig, light, *parents], help)
        made.add_argument("out", type=Path, help="new folder for the records")
        made.add_argument("--frames", type=int, default=frames)
        if name == "capture":
            made.add_argument("--show", help="meanwhile on the display: black, point, checkerboard or a picture file")
            made.add_argument("--square", type=int, help="of the checkerboard, pixels; default a sixth of the display")
        if name == "dark":
            made.add_argument("--like", type=Path, help="take them at every exposure and gain of these records")
        if name == "psf":
            made.add_argument("--stops", type=float, nargs="+", default=[-4, -2, 0, 2, 4], help="factors of two")
            made.add_argument("--radius", type=int, default=2, help="of the point on the display, pixels")
    data = command("collect", _collect, [rig, light], "a record of each picture; goes on where it was cut")
    data.add_argument("scenes", type=Path, help="folder of pictures")
    data.add_argument("out", type=Path, help="folder for the records")
    data.add_argument("--every", type=int, default=100, help="scenes between backgrounds")
    data.add_argument("--height", type=float, default=1.0, help="share of the display that a picture takes")
    data.add_argument("--shift", type=int, nargs=2, default=(0, 0), metavar=("DOWN", "RIGHT"), help="pixels")
    data.add_argument("--brightness", type=float, default=1.0)
    told = command("report", _report, [], "what a folder of records holds: exposures, rejected frames, drift")
    told.add_argument("folder", type=Path)
    agent = command("serve", _serve, [], "the agent: framed messages on standard input and output")
    agent.add_argument("--rig", default="pi")
    return top


def _opener(options: argparse.Namespace) -> Callable[[], AbstractContextManager[Rig]]:
    if options.host is None:
        return rig_opener(read_rig(options.rig))
    command = [*options.agent, "--rig", options.rig]
    return lambda: remote_rig(SshAgent(options.host, command=command, config=options.ssh_config))


def _light(options: argparse.Namespace) -> tuple[Settings, AutoExposure | None]:
    return Settings(options.exposure, options.gain), None if options.fixed else AutoExposure()


def _info(options):
    with _opener(options)() as rig:
        commands.info(rig)


def _preview(options):
    with _opener(options)() as rig:
        commands.preview(rig, *_light(options), port=options.port, count=options.frames)


def _capture(options):
    with _opener(options)() as rig:
        commands.capture(
            rig,
            options.out,
            *_light(options),
            frames=options.frames,
            show=options.show,
            square=options.square,
            mask=options.mask,
        )


def _dark(options):
    with _opener(options)() as rig:
        commands.dark(rig, options.out, _light(options)[0], frames=options.frames, like=options.like)


def _psf(options):
    with _opener(options)() as rig:
        commands.psf(
            rig,
            options.out,
            *_light(options),
            frames=options.frames,
            stops=options.stops,
            radius=options.radius,
            mask=options.mask,
        )


def _collect(options):
    settings, auto = _light(options)
    collection = Collection(
        options.scenes,
        settings,
        auto,
        every=options.every,
        height=options.height,
        shift=tuple(options.shift),
        brightness=options.brightness,
    )
    print(collect(options.out, collection, _opener(options)))


def _report(options):
    print(in_words(summarise(RecordFolder(options.folder))))


def _serve(options):
    # what a library prints must not come between the messages
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer.raw, sink, lambda: rig_opener(read_rig(options.rig))())
