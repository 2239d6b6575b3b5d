import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_top_level_names_of_the_wheel(wheel):
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    distribution = {name for name in names if name.endswith(".dist-info")}
    assert names - distribution == {"lensless"}
    assert len(distribution) == 1


@pytest.mark.parametrize("folder", ["configs", "datasets"])
def test_the_wheel_carries_every_resource(wheel, folder):
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(f"lensless/_resources/{folder}/")}
    ours = {f"lensless/_resources/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob("*.yaml")}
    assert shipped == ours != set()


def test_the_source_distribution_can_be_tested_and_its_examples_run(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    folders = ("lensless", "configs", "datasets", "tests", "examples")
    ours = {file.relative_to(ROOT).as_posix() for folder in folders for file in (ROOT / folder).rglob("*.py")}
    assert ours <= shipped


def test_the_command_works_from_the_wheel_alone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import lensless, sys; from lensless.cli import main; print(lensless.__file__); "
        "sys.exit(main(['reconstruct', '--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
    assert "prepare.downsample=1" in done.stdout


def test_constraints_are_exact_and_cover_what_we_need():
    lines = [line.partition(";")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9a-z.]+", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *(need for extra in project["project"]["optional-dependencies"].values() for need in extra),
    ]
    assert {re.split(r"[<>=;\[ ]", need)[0].lower() for need in needed} <= pinned
