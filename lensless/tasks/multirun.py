"""`python -m lensless.tasks.TASK --multirun ...`: a task once for each choice of a sweep, by any of Hydra's launchers.

Hydra sweeps and launches; each job's words are then composed and checked as the `lensless` command does.
"""

import importlib
import itertools
import os
import sys

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from lensless.errors import InputError
from lensless.resources import resource_dir
from lensless.tasks.compose import compose, quoted


def multirun(task: str) -> None:
    """The command line of `python -m lensless.tasks.TASK`: words of `lensless TASK`, values with commas for a sweep
    ("shard=0/2,1/2"), Hydra's own words ("hydra/launcher=joblib") and flags.

    Every job's words are checked before the first one is launched. Exits with code 2 where they are wrong, and with 1
    where a job fails or says that a part of its work is not done.
    """
    module = importlib.import_module(f"lensless.tasks.{task}")
    words = [quoted(_keyed(word, module.POSITIONAL), module.PATHS) for word in sys.argv[1:]]
    try:
        for job_words in itertools.product(*[choices(word) for word in words if not of_hydra(word)]):
            compose(task, list(job_words))
    except InputError as error:
        print(f"{task}: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    sys.argv[1:] = words
    hydra.main(config_path=str(resource_dir("configs")), config_name=task, version_base="1.3")(job)()


def _keyed(word: str, key: str | None) -> str:
    return word if "=" in word or word.startswith("-") or key is None else f"{key}={word}"


def of_hydra(word: str) -> bool:
    """Whether a word is a flag, or sets what is Hydra's own."""
    return word.lstrip("+~").startswith(("-", "hydra.", "hydra/"))


def choices(word: str) -> list[str]:
    """A word for each value of its sweep: "shard=0/2" and "shard=1/2"; a word without a sweep is the only one."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return [word]  # compose says what is wrong with it
    if not override.is_sweep_override():
        return [word]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def job(_: DictConfig) -> None:
    """Run the task with the words of one job, in the folder that it was launched from, on whatever machine.

    Raises RuntimeError where the task returns another code than 0, so that the launcher sees it.
    """
    launched = HydraConfig.get()
    task, words = launched.job.config_name, list(launched.overrides.task)
    GlobalHydra.instance().clear()  # else no other configuration can be composed
    os.chdir(launched.runtime.cwd)
    code = importlib.import_module(f"lensless.tasks.{task}").run(compose(task, words))
    if code:
        raise RuntimeError(f"{task} {' '.join(words)}: exit code {code}, its output says why")
