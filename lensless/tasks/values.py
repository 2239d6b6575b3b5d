"""Whether an override's value is of the kind that the constructor behind its key takes."""

import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from lensless.errors import InputError

NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "text", NoneType: "null"}
SECTION = "a section in {braces}; set one of its keys instead"


def check_value(cfg: DictConfig, key: str, value: Any) -> None:
    """Raise InputError unless ``value`` may stand at the dotted ``key`` of the configuration ``cfg``.

    Below a `_target_` the type hints of the constructor decide; elsewhere the value that it replaces does.
    """
    kinds = _kinds(cfg, key)
    if not any(_fits(value, kind) for kind in kinds):
        expected = " or ".join(dict.fromkeys(_name(kind) for kind in kinds))
        raise InputError(f"{key}: expected {expected}, got {'null' if value is None else repr(value)}")


def _kinds(cfg: DictConfig, key: str) -> tuple[Any, ...]:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if "_target_" in node:
        target = get_object(node["_target_"])
        hint = typing.get_type_hints(target.__init__ if isinstance(target, type) else target).get(name)
        if hint is not None:
            return typing.get_args(hint) if typing.get_origin(hint) in (UnionType, typing.Union) else (hint,)
    if OmegaConf.is_missing(node, name):
        return (str,)
    kind = type(node[name])
    return (NoneType, str) if kind is NoneType else (kind,)


def _name(kind: Any) -> str:
    return SECTION if kind is DictConfig else NAMES.get(kind, "a [list]")


def _fits(value: Any, kind: Any) -> bool:
    if kind is float:
        return type(value) in (int, float)
    if kind in NAMES:
        return type(value) is kind
    return isinstance(value, list | Mapping)
