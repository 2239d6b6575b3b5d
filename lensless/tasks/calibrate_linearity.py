"""`lensless calibrate linearity`: whether a camera's counts are light, from a bracket of a still scene."""

import numpy as np
from omegaconf import DictConfig

from lensless.calibration.linearity import Linearity, measure_linearity
from lensless.evaluation.calibration_figures import linearity_figure
from lensless.tasks.calibration_files import frames_of, read_darks, records_of, write_report


def check_linearity(cfg: DictConfig) -> int:
    """Write linearity.json and linearity.png, and print the verdict."""
    frames = frames_of(records_of("records", cfg.records, "frame", "psf", "scene"))
    found = measure_linearity(frames, read_darks(cfg.darks))
    noise = found.noise
    content = {
        "verdict": found.verdict(),
        "exponent": found.exponent,
        "scatter": found.scatter,
        "nonlinearity": found.nonlinearity,
        "black_level": found.black_level,
        "stated_black_level": found.stated_black,
        "ceiling": found.ceiling,
        "electrons_per_count": found.electrons_per_count,
        "read_noise_electrons": found.read_noise,
        "frames_averaged": found.frames,
        "response": found.points.tolist(),
        "photon_transfer": [] if noise is None else noise.points.tolist(),
        "frames": [[frame.name, frame.exposure, frame.gain] for frame in frames],
    }
    transfer = np.empty((0, 3)) if noise is None else noise.points
    line = np.zeros(2) if noise is None else np.array([noise.read**2, noise.shot])
    figure = linearity_figure(found.points, (found.exponent, found.offset), transfer, line)
    files = write_report(cfg, "linearity", content, figure)
    print(describe(found))
    print(f"verdict: {found.verdict()}")
    print(*files, sep="\n")
    return 0


def describe(found: Linearity) -> str:
    """What was found, in a line or two."""
    line = (
        f"linearity: exponent {found.exponent:.3f}, off the line by {found.nonlinearity:.2%}, black level "
        f"{found.black_level:.1f} counts ({found.stated_black:g} stated), clips at {found.ceiling:.0f}"
    )
    if found.electrons_per_count is None:
        return line + "; the frames do not tell noise from light"
    averaged = "" if found.frames is not None else " (if the frames are no averages)"
    return (
        f"{line}\nphoton transfer: {found.electrons_per_count:.3f} electrons a count at gain 1, read noise "
        f"{found.read_noise:.2f} electrons{averaged}"
    )
