"""The help pages, made of the comments in the configuration files."""

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lensless.resources import resource_dir
from lensless.tasks.compose import compose, groups, task_file, task_names

KEY = re.compile(r"^( *)([A-Za-z]\w*):(?: |$)")
COLUMN = 30
QUOTE = '"'


@dataclass(frozen=True)
class Page:
    """What a YAML file says in comments: a heading for the file, a line or more for each dotted key."""

    heading: list[str]
    keys: dict[str, list[str]]


def read_page(path: Path) -> Page:
    """Comments of a YAML file: those above a key belong to it, those at the top, above a blank line or the defaults,
    to the file. Keys of the files that it takes over by a default `/FILE@PACKAGE` follow its own; those of a list's
    items are left out."""
    heading: list[str] | None = None
    found: dict[str, list[str]] = {}
    comments: list[str] = []
    parents: list[tuple[int, str]] = []
    item: int | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            comments.append(line.lstrip().removeprefix("#").removeprefix(" "))
            continue
        depth = len(line) - len(line.lstrip())
        if line.lstrip().startswith("- "):
            item = depth if item is None else item
        elif depth <= (item or 0):
            item = None
        match = KEY.match(line) if item is None else None
        if match and match[2] != "defaults":
            depth, name = len(match[1]), match[2]
            parents = [parent for parent in parents if parent[0] < depth] + [(depth, name)]
            found[".".join(parent[1] for parent in parents)] = comments
        elif heading is None:
            heading = comments
        comments = []
    for default in OmegaConf.load(path).get("defaults", []):
        if isinstance(default, str) and default.startswith("/"):
            file, _, package = default[1:].partition("@")
            prefix = "" if package == "_here_" else f"{package}."
            for key, text in read_page(resource_dir("configs") / f"{file}.yaml").keys.items():
                found[prefix + key] = found.get(prefix + key) or text
    return Page(heading or [], found)


def overview() -> str:
    """What `lensless` alone prints: the tasks with one line each."""
    lines = ["usage: lensless TASK [key=value ...]", "", "tasks"]
    lines += [f"  {task:<14}{read_page(task_file(task)).heading[0]}" for task in task_names()]
    lines += ["", "`lensless TASK --help` shows every key of a task; --debug shows where an error came from."]
    return "\n".join(lines)


def task_help(task: str, words: list[str]) -> str:
    """What `lensless TASK --help` prints: its heading, every key with its value and meaning, every choice.

    The overrides in ``words`` are followed: `recon=fista --help` shows the keys of FISTA.
    """
    page, cfg = read_page(task_file(task)), compose(task, words, complete=False)
    lines = [*page.heading, "", "keys", *_entries(page, cfg, "")]
    for name, group in groups(task).items():
        chosen = next((word.partition("=")[2] for word in words if word.startswith(f"{name}=")), group.default)
        lines += ["", f"{name}={chosen}, or one of"]
        lines += [_row(choice, read_page(path).heading) for choice, path in group.choices.items()]
        lines += [f"keys of {name}={chosen}", *_entries(read_page(group.choices[chosen]), cfg[name], f"{name}.")]
    return "\n".join(lines)


def _entries(page: Page, cfg: DictConfig, prefix: str) -> list[str]:
    values = OmegaConf.to_container(cfg, resolve=False)
    lines, listed = [], ()
    for key, text in page.keys.items():
        if key.startswith(listed):
            continue
        value = values
        for part in key.split("."):
            value = value[part]
        members = [other for other in page.keys if other.startswith(f"{key}.")]
        if isinstance(value, dict) and text and value and not any(page.keys[other] for other in members):
            # entries that the file gives names to
            lines.append(_row(f"{prefix}{key}={{{', '.join(value)}}}", text))
            listed = (*listed, f"{key}.")
        elif isinstance(value, dict) and members:
            lines += [""] * bool(text) + [f"  {line}" for line in text]
        elif value == "???":
            lines.append(_row(f"{prefix}{key}=(required)", text))
        elif isinstance(value, str) and value.startswith("${"):
            lines.append(_row(f"{prefix}{key}", [f"as {value[2:-1]}"]))
        else:
            lines.append(_row(f"{prefix}{key}={json.dumps(value).strip(QUOTE)}", text))
    return lines


def _row(left: str, text: list[str]) -> str:
    wrapped = textwrap.wrap(" ".join(text), 110 - COLUMN) or [""]
    first = f"  {left:<{COLUMN - 2}}"
    if len(left) > COLUMN - 4:
        first = f"  {left}\n{' ' * COLUMN}"
    return f"\n{' ' * COLUMN}".join([first + wrapped[0], *wrapped[1:]]).rstrip()
