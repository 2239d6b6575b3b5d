"""`lensless calibrate mask`: where a known mask is, from the PSFs that it makes."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lensless.calibration.mask_fit import MaskFit, best_flip, fit_mask
from lensless.calibration.mask_model import MaskModel
from lensless.calibration.raw import to_channels_first
from lensless.errors import InputError, require
from lensless.evaluation.calibration_figures import mask_fit_figure
from lensless.images.decode import decode
from lensless.images.prepare import downsample
from lensless.images.read import list_images, read_image
from lensless.images.write import write_npy
from lensless.physics.fft import crop_centred
from lensless.physics.lcd import LCDMask, random_pattern, subpixels
from lensless.physics.masks import Mask
from lensless.tasks.calibration_files import write_report
from lensless.tasks.compose import build

# what the numbers of a geometry are shown in
UNITS = {
    "distance": (1e3, "mm"),
    "source_distance": (1e3, "mm"),
    "rotation": (180 / math.pi, "degrees"),
    "opening": (1e6, "um"),
    "shift": (1.0, "pixels"),
    "scale": (1.0, ""),
}


def fit_geometry(cfg: DictConfig) -> int:
    """Write mask.json, mask.png and the PSF of the fitted model, mask_psf.npy; print the geometry and a verdict."""
    measured = read_psfs(cfg)
    start, search = build(cfg.start, "start"), build(cfg.search, "search")
    fit = list(cfg.fit)
    pitch = [cfg.downsample * side for side in cfg.optics.pixel_pitch]
    optics = build(OmegaConf.merge(cfg.optics, {"pixel_pitch": pitch}), "optics")(
        sensor_shape=measured.shape[-2:], distance=start.distance
    )
    model = MaskModel(shown(cfg, len(measured)), optics)
    found = fit_mask(measured, model, start=start, fit=fit, search=search)
    problems = found.problems()
    flip = best_flip(measured, model, start=start, fit=fit, search=search) if problems else "none"
    if flip != "none":
        problems.append(f"mirrored ({flip}) the PSF fits far better: is the display seen from behind, or turned?")
    needed = model.oversample_for(found.geometry.distance)
    if "distance" in fit and needed > optics.oversample:
        problems.append(
            f"{optics.oversample} samples of the light a pixel are too few to tell the distance by its diffraction: "
            f"take optics.oversample={needed}"
        )
    verdict = "; ".join(problems) or "good"
    written = Path(cfg.out).expanduser() / "mask_psf.npy"
    write_npy(written, found.psf[0] if len(found.psf) == 1 else found.psf)
    content = {
        "verdict": verdict,
        "geometry": vars(found.geometry),
        "standard_deviations": found.sigma,
        "correlations": found.correlation.tolist(),
        "gains": found.gains.tolist(),
        "offsets": found.offsets.tolist(),
        "error": found.error,
        "fitted": fit,
    }
    files = write_report(cfg, "mask", content, mask_fit_figure(measured[0], found.psf[0], f"error {found.error:.1%}"))
    for line in table(found):
        print(line)
    print(f"the model leaves {found.error:.1%} of the PSF's contrast unexplained")
    print(f"verdict: {verdict}")
    print(written, *files, sep="\n")
    return 0


def read_psfs(cfg: DictConfig) -> Tensor:
    """(N, C, h, w) of the files of ``cfg.psf``. Raises InputError where they differ in size."""
    require(cfg.psf is not None, "psf: expected the PSF of `lensless calibrate psf`, or a quoted glob of several")
    images = [downsample(read_image(file), cfg.downsample) for file in list_images(cfg.psf)]
    sizes = sorted({tuple(image.shape) for image in images})
    require(len(sizes) == 1, f"psf: expected PSFs of one size, got {' and '.join(map(str, sizes))}")
    return torch.stack(images)


def shown(cfg: DictConfig, count: int) -> Mask:
    """The mask with the patterns that it showed for each of ``count`` PSFs: ``seeds``, ``frames``, or its own."""
    mask = build(cfg.mask, "mask")
    require(not (cfg.seeds and cfg.frames), "seeds: expected seeds or frames, got both")
    if not cfg.seeds and cfg.frames is None:
        require(count == 1, f"seeds: expected one for each of {count} PSFs, or frames, got none")
        return mask
    if not isinstance(mask, LCDMask):
        raise InputError(f"seeds: only an LCD shows patterns, got {type(mask).__name__}; leave seeds and frames out")
    shape = tuple(mask.values.shape)
    if cfg.seeds:
        patterns = [random_pattern(seed, shape) for seed in cfg.seeds]
    else:
        patterns = [frame_values(file, shape) for file in list_images(cfg.frames)]
    require(len(patterns) == count, f"seeds: expected a pattern for each of {count} PSFs, got {len(patterns)}")
    return LCDMask(torch.stack(patterns), lcd=mask.lcd)


def frame_values(file: Path, shape: Sequence[int]) -> Tensor:
    """Cell values (I, J) in [0, 1]: an NPY of them, or the middle of the RGB picture that the display showed."""
    values = decode(file, None).values
    if file.suffix.lower() == ".npy":
        require(values.shape == tuple(shape), f"{file}: expected values {tuple(shape)}, got {values.shape}")
        return torch.from_numpy(values).float()
    require(values.ndim == 3, f"{file}: expected the RGB picture that the display showed, got {values.shape}")
    frame = subpixels(to_channels_first(values).movedim(0, -1).float() / torch.iinfo(torch.uint8).max)
    fits = all(whole >= part for whole, part in zip(frame.shape, shape, strict=True))
    require(fits, f"{file}: expected at least {tuple(shape)} sub-pixels, got {tuple(frame.shape)}")
    return crop_centred(frame, tuple(shape))


def table(found: MaskFit) -> list[str]:
    """A line for every number that was fitted, with its standard deviation."""
    lines = []
    for number, sigma in found.sigma.items():
        name, _, axis = number.partition(" ")
        value = getattr(found.geometry, name)
        value = value["yx".index(axis)] if axis else value
        factor, unit = UNITS[name]
        lines.append(f"{number:<16}{value * factor:12.5f} +- {sigma * factor:.2g} {unit}".rstrip())
    return lines
