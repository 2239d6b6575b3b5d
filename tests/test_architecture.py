"""Imports point one way: physics <- recon <- models <- training, evaluation <- tasks <- cli."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lensless"
FOUNDATION = {"errors", "resources", "threads", "memory", "versions"}
OPTICS = FOUNDATION | {"physics"}
# what each part may import besides itself
ALLOWED = {
    "errors": set(),
    "resources": set(),
    "threads": set(),
    "memory": set(),
    "versions": set(),
    "physics": FOUNDATION,
    "calibration": OPTICS,
    "images": OPTICS | {"calibration"},
    "data": OPTICS | {"calibration", "images"},
    "recon": OPTICS,
    "models": OPTICS | {"images", "recon"},
    "training": OPTICS | {"recon", "models", "data", "images", "evaluation"},
    "evaluation": OPTICS | {"recon", "models", "data", "images"},
    "interop": OPTICS | {"recon", "models"},
    "tasks": OPTICS | {"calibration", "images", "data", "recon", "models", "training", "evaluation", "interop"},
    "cli": FOUNDATION | {"recon", "tasks"},
}


def part(module: str) -> str:
    """"recon" of "lensless.recon.admm"."""
    return module.split(".")[1] if "." in module else ""


def imports(file: Path) -> set[str]:
    """Modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
            # "from lensless import recon" names the part among the names
            found |= {f"lensless.{alias.name}" for alias in node.names if node.module == "lensless"}
    return {name for name in found if name.split(".")[0] in ("lensless", "")}


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE or file.stem != "__init__")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file):
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    used = {part(name) for name in imports(file) if name.startswith("lensless")}
    assert used - {own, ""} <= ALLOWED[own]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_are_absolute_and_know_no_pi(file):
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [node.lineno for node in froms if node.level]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert "lensless_capture" not in {name.split(".")[0] for name in names | {node.module for node in froms}}


def test_the_walk_sees_imports():
    assert "lensless.physics.operator" in imports(PACKAGE / "recon" / "base.py")
    assert "lensless.tasks.compose" in imports(PACKAGE / "cli.py")


def test_no_code_among_configurations_and_data_cards():
    root = PACKAGE.parent
    assert not [file for folder in ("configs", "datasets") for file in (root / folder).rglob("*.py")]
