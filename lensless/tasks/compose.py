"""From the words of a command line to a checked configuration, and from that to objects."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf

from lensless.errors import InputError, check_name, unknown
from lensless.resources import resource_dir
from lensless.tasks.values import check_value


def task_names() -> list[str]:
    """The tasks, one for each `configs/NAME.yaml`."""
    return sorted(path.stem for path in resource_dir("configs").glob("*.yaml"))


def task_file(task: str) -> Path:
    """`configs/TASK.yaml`. Raises InputError with the nearest names for an unknown task."""
    check_name("task", task, task_names())
    return resource_dir("configs") / f"{task}.yaml"


@dataclass(frozen=True)
class Group:
    """Alternatives for one part of a configuration: a file for each choice, and the one taken by default."""

    choices: dict[str, Path]
    default: str


def groups(task: str) -> dict[str, Group]:
    """The groups in the task's defaults: {"recon": Group({"admm": .../admm.yaml, ...}, "admm"), ...}."""
    found = {}
    for item in OmegaConf.load(task_file(task)).get("defaults", []):
        if isinstance(item, DictConfig):
            for name, default in item.items():
                files = sorted((resource_dir("configs") / name).glob("*.yaml"))
                found[name] = Group({path.stem: path for path in files}, default)
    return found


def compose(task: str, words: list[str], *, paths: tuple[str, ...] = (), complete: bool = True) -> DictConfig:
    """The task's configuration with the overrides ``words`` ("key=value").

    ``paths`` are keys whose values are taken literally, so that a file may have any name. Raises InputError on
    an unknown key or choice, with the nearest names, and (``complete``) on a required key that has no value.
    """
    words = [quoted(word, paths) for word in words]
    overrides = [_parse(word) for word in words]
    available = groups(task)
    chosen = [override for override in overrides if override.key_or_group in available]
    for override in chosen:
        name = override.key_or_group
        check_name(name, str(override.value()), list(available[name].choices))
    with hydra.initialize_config_dir(str(resource_dir("configs")), version_base="1.3"):
        cfg = hydra.compose(task, [override.input_line for override in chosen])
    known = keys(cfg)
    for override in overrides:
        if override not in chosen:
            _check_key(override.key_or_group, known)
            check_value(cfg, override.key_or_group, override.value())
            OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
    missing = sorted(OmegaConf.missing_keys(cfg))
    if complete and missing:
        raise InputError(f"{missing[0]}: expected a value, got none; `lensless {task} --help` says what it is")
    return cfg


def keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    """Every key that may be set, dotted, sections before their members."""
    found = []
    for key in cfg:
        if not str(key).startswith("_"):
            found.append(prefix + str(key))
            elsewhere = OmegaConf.is_missing(cfg, key) or OmegaConf.is_interpolation(cfg, key)
            if not elsewhere and isinstance(cfg[key], DictConfig):
                found += keys(cfg[key], f"{prefix}{key}.")
    return found


def _check_key(key: str, known: list[str]) -> None:
    if key in known:
        return
    section, dot, name = key.rpartition(".")
    siblings = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == section}
    if dot and siblings:
        near = [siblings[other] for other in difflib.get_close_matches(name, siblings)]
    else:  # "bits" for "input.bits", "inptu.bits" for "input.bits"
        near = [other for other in known if other.endswith(f".{key}")] or difflib.get_close_matches(key, known)
    raise unknown("key", key, near, list(siblings.values()) or known)



def build(node: DictConfig, name: str) -> Any:
    """The object that the section ``name`` describes by `_target_` and arguments. Raises InputError on bad ones."""
    try:
        return hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, (InputError, TypeError)):
            raise InputError(f"{name}: {cause}") from error
        raise


def quoted(word: str, paths: tuple[str, ...]) -> str:
    """``word`` with its value quoted for Hydra where its key is one of ``paths``."""
    key, equals, value = word.partition("=")
    if not equals or key not in paths or value in ("", "null"):
        return word
    escaped = value.replace("'", "\\'")
    return f"{key}='{escaped}'"


def _parse(word: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise InputError(
            f"{word!r}: expected key=value; quote a value with special characters twice, as in \"key='a (b)'\""
        ) from error
    if override.type is not OverrideType.CHANGE:
        raise InputError(f"{word!r}: expected key=value; keys can be changed, not added or deleted")
    if override.is_sweep_override():
        raise InputError(f"{word!r}: expected one value; write a list as key=[a,b]")
    return override
