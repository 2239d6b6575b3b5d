"""`lensless TASK key=value ...`: the command line."""

import argparse
import importlib
import sys
import traceback

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lensless.errors import InputError, NonFiniteError
from lensless.tasks.compose import compose, task_file
from lensless.tasks.help import overview, task_help
from lensless.threads import spin_briefly
from lensless.versions import version


def main(arguments: list[str] | None = None) -> int:
    """Run one task; returns the exit code: 0 done, 1 part of a batch failed, 2 wrong input, 130 interrupted."""
    parser = argparse.ArgumentParser("lensless", add_help=False, usage="lensless TASK [key=value ...]")
    parser.add_argument("task", nargs="?")
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_intermixed_args(arguments)
    try:
        if options.version:
            print(f"lensless {version('lensless-torch')}")
        elif options.task is None:
            print(overview())
        elif options.help:
            print(task_help(options.task, keyed(options.task, options.words)))
        else:
            return run(options.task, options.words)
    except KeyboardInterrupt:
        print("lensless: interrupted", file=sys.stderr)
        return 130
    except (InputError, NonFiniteError, OSError, HydraException, OmegaConfBaseException) as error:
        if options.debug:
            traceback.print_exception(error)
        print(f"lensless: error: {describe(error)}", file=sys.stderr)
        return 2
    return 0


def run(task: str, words: list[str]) -> int:
    """Compose the configuration of ``task`` and call `run(cfg)` of its module, which says the exit code.

    The module's PATHS are the keys that hold a path or a pattern, its POSITIONAL the key of a word without "=".
    """
    spin_briefly()
    words = keyed(task, words)
    module = importlib.import_module(f"lensless.tasks.{task}")
    return module.run(compose(task, words, paths=module.PATHS))


def keyed(task: str, words: list[str]) -> list[str]:
    """``words`` with the task's POSITIONAL key before those that have no "=": "tape" becomes "mask=tape".

    Raises InputError with the nearest names for an unknown task.
    """
    task_file(task)
    if all("=" in word for word in words):
        return words  # and a help page does not wait for torch
    key = importlib.import_module(f"lensless.tasks.{task}").POSITIONAL
    return [word if "=" in word or key is None else f"{key}={word}" for word in words]


def describe(error: BaseException) -> str:
    """The message without Python's or Hydra's decoration: "No space left on device: out/hand.npy"."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    return str(error)
