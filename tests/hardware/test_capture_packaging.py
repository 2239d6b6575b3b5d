"""The Pi's distribution stands alone: its own wheel, no torch, no vendor library before it is needed."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

HARDWARE = Path(__file__).parents[2] / "hardware"
FILES = sorted((HARDWARE / "lensless_capture").rglob("*.py"))
LATE = {"picamera2", "libcamera", "cv2", "pygame", "st7735"}


def modules(nodes):
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HARDWARE)))
def test_imports_are_what_the_distribution_needs(file):
    project = tomllib.loads((HARDWARE / "pyproject.toml").read_text())["project"]
    needed = {need.partition(">")[0] for need in project["dependencies"]}
    assert needed == {"numpy", "pillow", "tqdm"}
    tree = ast.parse(file.read_text(encoding="utf-8"))
    known = set(sys.stdlib_module_names) | {"numpy", "PIL", "tqdm", "lensless_capture"}
    assert set(modules(tree.body)) <= known
    assert set(modules(ast.walk(tree))) <= known | LATE


def test_the_wheel_has_one_name_and_works_alone(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=HARDWARE, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
        archive.extractall(tmp_path)
    assert {name for name in names if not name.endswith(".dist-info")} == {"lensless_capture"}
    script = (
        "import sys; from lensless_capture.cli import main; code = main(['info', '--rig', 'virtual']); "
        f"print(sorted({{'torch', 'lensless', *{sorted(LATE)!r}}} & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n") and '"masks": null' in done.stdout
