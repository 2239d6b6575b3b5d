"""`lensless reconstruct psf=PATH measurement=PATH [model=NAME]`: one measurement or a batch, from files to files."""

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryFile

from omegaconf import DictConfig
from tqdm import tqdm

from lensless.errors import InputError, NonFiniteError
from lensless.images.read import list_images
from lensless.tasks.compose import build
from lensless.tasks.records import is_finished, stamp
from lensless.tasks.results import View, write_result
from lensless.tasks.session import Result, Session

PATHS = ("psf", "measurement", "model", "background", "ground_truth", "output")
POSITIONAL = None


def run(cfg: DictConfig) -> int:
    """Reconstruct every measurement that is not finished; 1 if some of a batch failed, else 0.

    Raises what is wrong with the configuration or the PSF, and with the measurement where there is only one.
    """
    files = list_images(cfg.measurement)
    folder = output_folder(cfg, files)
    session, view = Session(cfg), build(cfg.view, "view")
    check_folder(folder, inputs=[*files, *session.psf_files, *session.background_files, *session.truth_files])
    skipped, failures = 0, {}
    for file in tqdm(files, unit="image", disable=None if len(files) > 1 else True):
        try:
            skipped += not one(cfg, session, view, file, folder)
        except (InputError, NonFiniteError, OSError) as error:
            if len(files) == 1:
                raise
            failures[file.name] = error
    if len(files) > 1:
        print(f"{len(files) - skipped - len(failures)} done, {skipped} skipped, {len(failures)} failed: {folder}")
    for name, error in failures.items():
        print(f"  {name}: {error}", file=sys.stderr)
    return 1 if failures else 0


def check_folder(folder: Path, *, inputs: list[Path]) -> None:
    """Raise InputError, before any work, if ``folder`` cannot be written to or holds what is read."""
    if folder.resolve() in {path.resolve().parent for path in inputs}:
        raise InputError(f"output: {folder} holds input files, which results could replace; choose another folder")
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(f"output: {folder} cannot be written to ({error.strerror}); choose another folder") from error


def one(cfg: DictConfig, session: Session, view: View, file: Path, folder: Path) -> bool:
    """Reconstruct one measurement and write the result; False if it was finished already."""
    fingerprint = session.fingerprint(file)
    if not cfg.overwrite and is_finished(folder / f"{file.stem}.json", fingerprint):
        tqdm.write(f"{file.name}: finished already; overwrite=true does it again")
        return False
    result = session.reconstruct(file)
    record = {
        "measurement": stamp(file),
        "fingerprint": fingerprint,
        "config": session.config,
        **session.method.record(),
    }
    write_result(result, folder, file.stem, view=view, record=record)
    tqdm.write(f"{file.name}: {summary(result)}, {folder / file.stem}.png")
    for note in result.notes:
        tqdm.write(f"  {note}")
    return True


def summary(result: Result) -> str:
    """How long it took and, where there is a ground truth, how good it is, in one line."""
    solution = result.solution
    parts = [f"{solution.iterations} iterations" if solution.iterations else solution.stopped_by]
    parts.append(f"{result.seconds['solve']:.1f} s")
    if result.metrics:
        parts.append("PSNR {psnr:.2f} dB, SSIM {ssim:.3f}".format(**result.metrics))
        parts.append("affine-fitted {psnr_affine:.2f} dB, {ssim_affine:.3f}".format(**result.metrics))
    return ", ".join(parts)


def output_folder(cfg: DictConfig, files: list[Path]) -> Path:
    """Where the results go. Raises InputError if two measurements would write the same files."""
    for name, count in Counter(file.stem for file in files).items():
        if count > 1:
            same = ", ".join(file.name for file in files if file.stem == name)
            raise InputError(f"measurement: {same} would all write {name}.png; narrow it by a glob such as '*.png'")
    if cfg.output is not None:
        return Path(cfg.output).expanduser()
    one_file = Path(cfg.measurement).expanduser().is_file()
    return Path("outputs") / (files[0].stem if one_file else files[0].absolute().parent.name)
