"""`lensless collect rig=... scenes=FOLDER out=FOLDER`: a data set measured by `lensless-capture`, and its card."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lensless.errors import InputError, require
from lensless.images.write import atomic_write

# taken literally
PATHS = ("rig", "ssh_config", "agent", "scenes", "out", "psf")
POSITIONAL = None

PROGRAM = "lensless-capture"


def run(cfg: DictConfig) -> int:
    """Run `lensless-capture collect` to its end, whose output and exit code are this command's, and write the card."""
    check_psf(cfg)
    code = wait([program(), *words(cfg)])
    if code == 0:
        write_card(cfg)
    return code


def program() -> str:
    """Path of lensless-capture, beside this Python or on the PATH. Raises InputError where it is not installed."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    found = shutil.which(PROGRAM, path=os.pathsep.join(places))
    if found is None:
        raise InputError(f"{PROGRAM}: not installed; `pip install ./hardware` in a checkout of this repository")
    return found


def words(cfg: DictConfig) -> Iterator[str]:
    """Arguments of lensless-capture."""
    yield from ("collect", f"--rig={cfg.rig}")
    for key in ("every", "exposure", "gain", "height", "brightness"):
        yield f"--{key}={cfg[key]}"
    require(len(cfg.shift) == 2, f"shift: expected (down, right), got {list(cfg.shift)}")
    yield from ("--shift", *map(str, cfg.shift))
    if cfg.fixed:
        yield "--fixed"
    if cfg.host is not None:
        yield from (f"--host={cfg.host}", "--agent", *shlex.split(cfg.agent))
        if cfg.ssh_config is not None:
            yield f"--ssh-config={Path(cfg.ssh_config).expanduser()}"
    yield from ("--", *(str(Path(cfg[key]).expanduser()) for key in ("scenes", "out")))


def wait(command: list[str]) -> int:
    """Run ``command`` on this terminal; returns its exit code, 128 + N where signal N ended it, as a shell does."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait()
                return code if code >= 0 else 128 - code
            except KeyboardInterrupt:
                continue  # the terminal told it too, and it ends in its own time


def check_psf(cfg: DictConfig) -> None:
    """Raise InputError for a PSF that cannot be there, before hours of measuring."""
    if cfg.psf is not None and "{" not in cfg.psf:
        require(Path(cfg.psf).expanduser().is_file(), f"psf: no such file: {cfg.psf}; `lensless calibrate` measures it")


def write_card(cfg: DictConfig) -> None:
    """Write card.yaml beside the records, unless there is one: where an alignment may have been added since."""
    out = Path(cfg.out).expanduser()
    if (out / "card.yaml").exists():
        return
    samples = {"kind": "records", "scenes": _beside(out, cfg.scenes)}
    if cfg.psf is not None:
        samples["psf"] = _beside(out, cfg.psf)
    with atomic_write(out / "card.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create({"samples": samples})), encoding="utf-8")
    print(out / "card.yaml")


def _beside(folder: Path, name: str) -> str:
    """Path of ``name`` from ``folder``, so that both can be moved together."""
    return Path(os.path.relpath(Path(name).expanduser().absolute(), folder.absolute())).as_posix()
