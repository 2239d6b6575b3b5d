"""One PSF and one solver or model for any number of measurements: read, prepare, reconstruct, score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lensless.data.records import record_of
from lensless.errors import InputError
from lensless.images.prepare import Preparation, Prepared, normalise_psf
from lensless.images.read import list_images
from lensless.models.pretrained import Model
from lensless.physics.operator import LinearOperator
from lensless.recon.base import Solution
from lensless.tasks.compose import build
from lensless.tasks.method import Classical, Learned
from lensless.tasks.records import Stopwatch, fingerprint

# which files these stand for is in the fingerprint by their stamps
NOT_IN_THE_RESULT = ("psf", "measurement", "background", "ground_truth", "output", "overwrite")
# what a model has no use for
OF_A_SOLVER = ("recon", "denoiser")


@dataclass(frozen=True, kw_only=True)
class Result:
    """A reconstruction (C, H, W) or (D, C, H, W) with all that there is to show and to record about it.

    stages: what a model made on the way, by the names of ``ModularReconstruction.stages``.
    """

    psf: Tensor
    measurement: Tensor
    solution: Solution
    stages: dict[str, Tensor]
    image: Tensor
    truth: Tensor | None
    metrics: dict[str, float]
    notes: list[str]
    psf_factor: float
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The prepared PSF for one number of channels, the factor it was divided by, and the operator made from it."""

    psf: Tensor
    factor: float
    physics: LinearOperator


class Session:
    """What all measurements of a batch share, made from the configuration of `lensless reconstruct`.

    Raises InputError on a wrong configuration or PSF.
    """

    def __init__(self, cfg: DictConfig):
        self.read, self.read_psf, self.read_truth = (
            build(cfg[name], name) for name in ("input", "psf_input", "truth_input")
        )
        self.silent = (cfg.input.bits, cfg.input.bayer, cfg.input.black_level) == (None, None, 0)
        self.prepare, self.prepare_psf, self.prepare_truth = (
            build(cfg[name], name) for name in ("prepare", "psf_prepare", "truth_prepare")
        )
        self.make_physics = build(cfg.physics, "physics")
        self.score = build(cfg.score, "score")
        self.device = pick_device(cfg.device)
        self.psf_files = _files("psf", cfg.psf)
        self.background_files = [] if cfg.background is None else _files("background", cfg.background)
        self.truth_files = [] if cfg.ground_truth is None else _files("ground_truth", cfg.ground_truth)
        self.truth_is_one = cfg.ground_truth is not None and Path(cfg.ground_truth).expanduser().is_file()
        self.method = self.make_method(cfg)
        config = OmegaConf.to_container(cfg, resolve=True)
        unused = () if cfg.model is None else OF_A_SOLVER
        self.config = {name: config[name] for name in config if name not in unused}
        self.settings = {name: self.config[name] for name in self.config if name not in NOT_IN_THE_RESULT}
        self.psf, self.psf_notes = self.read_planes()
        self._cameras: dict[int, Camera] = {}

    def fingerprint(self, path: Path) -> str:
        """Of everything that decides the result for the measurement ``path``."""
        frames = (self.prepare.dark_frame, self.prepare_psf.dark_frame)
        dark = [Path(frame).expanduser() for frame in frames if frame]
        truth = self.truth_files and [self.truth_of(path)]
        files = [path, *self.psf_files, *self.background_files, *dark, *truth]
        return fingerprint(self.settings | self.method.identity(), files)

    def reconstruct(self, path: Path) -> Result:
        """Raises InputError on a file that is wrong, NonFiniteError where the solver diverges."""
        watch = Stopwatch()
        with watch("read"):
            raw = self.read_measurement(path)
            if raw.ndim != 3:
                raise InputError(f"measurement: expected one image, got {len(raw)} planes in {path}")
        with watch("prepare"):
            prepared = _prepare(self.prepare, raw, self.read_measurement)
            measurement = prepared.image
            if self.psf.shape[-2:] != measurement.shape[-2:]:
                raise InputError(
                    f"psf: expected the measurement's size, {_size(measurement)} as prepared, got "
                    f"{_size(self.psf)}; both must come from the same sensor area, see psf_prepare"
                )
            if not bool(measurement.any()):
                raise InputError(f"measurement: expected light, got zeros from {path}; is the background too high?")
            camera = self.camera(measurement.shape[0])
            truth = self.truth(path, camera.physics.scene_shape) if self.truth_files else None
        with watch("solve"):
            solution, stages = self.method(measurement[None].to(self.device), camera.physics)
            image = solution.image[0].cpu()
        with watch("score"):
            metrics = {} if truth is None else self.score(image, truth)
        return Result(
            psf=camera.psf,
            measurement=measurement,
            solution=solution,
            stages={name: stage[0].cpu() for name, stage in stages.items()},
            image=image,
            truth=truth,
            metrics=metrics,
            notes=[
                *self.psf_notes,
                *[f"measurement: {note}" for note in prepared.notes],
                *self.method.notes(camera.psf),
            ],
            psf_factor=camera.factor,
            seconds=watch.seconds,
        )

    def read_measurement(self, path: str | Path) -> Tensor:
        """Linear light of a file as `input` says; where that is silent, a record's frame as its record says."""
        record = record_of(Path(path).expanduser()) if self.silent else None
        return self.read(path) if record is None else record.image()

    def make_method(self, cfg: DictConfig) -> Classical | Learned:
        """The solver, or the model with the prepared capture of the background where there is one."""
        if cfg.model is None:
            if self.background_files:
                raise InputError("background: expected with model=, for a solver use prepare.background")
            return Classical(build(cfg.recon, "recon"))
        if len(self.background_files) > 1:
            raise InputError(f"background: expected one image, got {len(self.background_files)}")
        read = self.read_measurement
        captures = [_prepare(self.prepare, read(file), read).image for file in self.background_files]
        return Learned(Model.from_pretrained(cfg.model), cfg.model, captures[0] if captures else None)

    def read_planes(self) -> tuple[Tensor, list[str]]:
        """The prepared PSF, (C, H, W) or (D, C, H, W), and what there is to tell about it."""
        planes = [self.read_psf(file) for file in self.psf_files]
        sizes = {tuple(plane.shape) for plane in planes}
        if len(sizes) > 1:
            raise InputError(f"psf: expected planes of one size, got {' and '.join(map(str, sorted(sizes)))}")
        prepared = _prepare(self.prepare_psf, torch.stack(planes) if len(planes) > 1 else planes[0], self.read_psf)
        return prepared.image, [f"psf: {note}" for note in prepared.notes]

    def camera(self, channels: int) -> Camera:
        """The camera for measurements of ``channels`` channels, made once for each number."""
        if channels not in self._cameras:
            psf, factor = normalise_psf(match_channels(self.psf, channels))
            physics = self.make_physics(psf.to(self.device))
            if physics.batch > 1:
                raise InputError(f"psf: expected one image, got {len(psf)} planes; use physics=depth_stack")
            self._cameras[channels] = Camera(psf=psf, factor=factor, physics=physics)
        return self._cameras[channels]

    def truth_of(self, path: Path) -> Path:
        """The ground truth's file for the measurement ``path``: the one given, or the one of the same name."""
        if self.truth_is_one:
            return self.truth_files[0]
        same = [file for file in self.truth_files if file.stem == path.stem]
        if len(same) != 1:
            where = self.truth_files[0].parent
            raise InputError(f"ground_truth: expected one image named {path.stem}.* in {where}, found {len(same)}")
        return same[0]

    def truth(self, path: Path, shape: tuple[int, ...]) -> Tensor:
        """The prepared ground truth for a scene of this ``shape``."""
        file = self.truth_of(path)
        truth = _prepare(self.prepare_truth, self.read_truth(file), self.read_truth).image
        if shape[-3] == 1:
            truth = truth.mean(-3, keepdim=True)
        if truth.shape != shape:
            raise InputError(
                f"ground_truth: expected {tuple(shape)} like the reconstruction, got {tuple(truth.shape)} from {file}"
            )
        return truth


def match_channels(psf: Tensor, channels: int) -> Tensor:
    """A PSF (..., C, H, W) for ``channels`` channels: a gray one is repeated, for a gray measurement it is averaged.

    Raises InputError where both have several channels, and not the same number.
    """
    if psf.shape[-3] == channels:
        return psf
    if channels == 1:
        return psf.mean(-3, keepdim=True)
    if psf.shape[-3] == 1:
        return psf.expand(*psf.shape[:-3], channels, *psf.shape[-2:])
    raise InputError(
        f"psf: expected {channels} channels like the measurement, or 1, got {psf.shape[-3]}; choose by prepare.channels"
    )


def pick_device(name: str) -> torch.device:
    """Raises InputError for a device that torch does not know or this machine does not have."""
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise InputError(f"device: expected cpu, cuda or cuda:INDEX, got {name!r}")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device: got {name!r}, and torch sees {torch.cuda.device_count()} GPUs here; use device=cpu"
        )
    return torch.device(name)


def _prepare(preparation: Preparation, image: Tensor, read: Callable[[str], Tensor]) -> Prepared:
    dark = None if preparation.dark_frame is None else read(preparation.dark_frame)
    return preparation(image, dark=dark)


def _files(name: str, pattern: str) -> list[Path]:
    try:
        return list_images(pattern)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _size(image: Tensor) -> str:
    return f"{image.shape[-2]} x {image.shape[-1]}"
