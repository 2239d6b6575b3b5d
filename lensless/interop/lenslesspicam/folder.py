"""The files of a model that LenslessPiCam published: configuration, weights and PSF, read without running anything."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from lensless.errors import InputError, require
from lensless.models.state import read_state

CONFIG = ".hydra/config.yaml"
WEIGHTS = "recon_epochBEST"
LEARNED_PSF = "psf_epochBEST.npy"
NOISY_PSF = "psf.pt"


@dataclass(frozen=True)
class PublishedFolder:
    """What there is in a published folder.

    weights: by the names they have there, without those that torch.nn.DataParallel adds. psf: (N, C, H, W), the
    model's own, learned or made noisy for its training, in place of the camera's; None for most models.
    """

    path: Path
    config: DictConfig
    weights: dict[str, Tensor]
    psf: Tensor | None


def read_folder(folder: str | Path) -> PublishedFolder:
    """Read `.hydra/config.yaml`, `recon_epochBEST` and, where the model has one, `psf_epochBEST.npy` or `psf.pt`.

    Raises InputError for a file that is missing, cut off, or holds Python objects (refused, never run).
    """
    path = Path(folder).expanduser()
    config = read_config(path)
    weights = {_bare(name): value for name, value in read_state(path / WEIGHTS).items()}
    psf = weights.pop("_psf", None)
    if (path / LEARNED_PSF).exists():
        psf = _read_npy(path / LEARNED_PSF)
    elif OmegaConf.select(config, "files.psf_snr") is not None:
        psf = _read_tensor(path / NOISY_PSF)
    return PublishedFolder(path, config, weights, None if psf is None else _channels_first(psf, path))


def read_config(folder: Path) -> DictConfig:
    """The configuration of a training run. Raises InputError where there is none, or no YAML mapping."""
    path = folder / CONFIG
    try:
        config = OmegaConf.load(path)
    except FileNotFoundError as error:
        raise InputError(
            f"folder: expected a model of LenslessPiCam with {CONFIG} in {folder}, found none; .hydra is a hidden "
            "folder, was it left behind when copying?"
        ) from error
    except (OSError, yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise InputError(f"folder: {path} cannot be read as YAML: {error}") from error
    require(
        isinstance(config, DictConfig) and isinstance(config.get("reconstruction"), DictConfig),
        f"folder: expected a section `reconstruction` in {path}, found none",
    )
    return config


def _bare(name: str) -> str:
    """The name of a weight without torch.nn.DataParallel's "module"."""
    return ".".join(part for part in name.split(".") if part != "module")


def _read_npy(path: Path) -> Tensor:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"folder: {path} is no array, or cut off ({error}); nothing in it was run") from error
    require(
        isinstance(values, np.ndarray) and values.dtype.kind == "f",
        f"folder: expected one array of floating-point numbers in {path}",
    )
    return torch.from_numpy(values)


def _read_tensor(path: Path) -> Tensor:
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError, EOFError, RuntimeError) as error:
        raise InputError(f"folder: {path} is no tensor, or cut off ({error}); nothing in it was run") from error
    require(
        isinstance(values, Tensor) and values.is_floating_point(), f"folder: expected a floating-point tensor in {path}"
    )
    return values


def _channels_first(psf: Tensor, path: Path) -> Tensor:
    """(H, W, C) or (N, H, W, C) as (N, C, H, W), N > 1 for several regions of the field."""
    require(
        psf.ndim in (3, 4) and psf.shape[-1] in (1, 3) and bool(torch.isfinite(psf).all()),
        f"folder: expected a finite PSF (H, W, C) or (N, H, W, C) in {path}, got {tuple(psf.shape)}",
    )
    return psf.float().reshape(-1, *psf.shape[-3:]).movedim(-1, 1).contiguous()
