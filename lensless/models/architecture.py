"""A reconstruction as plain data and back, restricted to the classes of this library."""

import importlib
import inspect
from inspect import Parameter
from typing import Any

from lensless.errors import InputError, check_name, require

# what a model card may name; a description of anything else is refused before it is imported
KNOWN = (
    "lensless.models.modular.ModularReconstruction",
    "lensless.models.processor.Processor",
    "lensless.models.drunet.DRUNet",
    "lensless.models.restormer.Restormer",
    "lensless.models.unet.LightUNet",
    "lensless.models.compensation.CompensationBranch",
    "lensless.models.psf_correction.PSFCorrection",
    "lensless.models.background.BackgroundSubtraction",
    "lensless.models.background.LearnedBackgroundSubtraction",
    "lensless.recon.admm.ADMM",
    "lensless.recon.unrolled.UnrolledADMM",
    "lensless.recon.unrolled.NoiseAwareADMM",
    "lensless.recon.unrolled.UnrolledFISTA",
    "lensless.recon.wiener.Wiener",
    "lensless.recon.trainable_inversion.TrainableInversion",
    "lensless.recon.trainable_inversion.SeparableTrainableInversion",
    "lensless.recon.multi_wiener.MultiWiener",
    "lensless.recon.spatially_varying.SpatiallyVaryingDeconvolution",
    "lensless.interop.lenslesspicam.compensation.PiCamCompensation",
    "lensless.interop.lenslesspicam.inversions.PiCamAdjoint",
    "lensless.interop.lenslesspicam.inversions.PiCamSpatiallyVaryingAdjoint",
    "lensless.interop.lenslesspicam.inversions.PiCamUnrolledADMM",
    "lensless.interop.lenslesspicam.multi_wiener.PiCamMultiWiener",
    "lensless.interop.lenslesspicam.processors.PiCamBackgroundSubtraction",
    "lensless.interop.lenslesspicam.processors.PiCamProcessor",
    "lensless.interop.lenslesspicam.processors.PiCamTransformerProcessor",
    "lensless.interop.lenslesspicam.psf.PiCamPSFCorrection",
    "lensless.interop.lenslesspicam.psf.PiCamScaledPSF",
    "lensless.interop.lenslesspicam.psf.PiCamStoredPSF",
)
NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
# arguments that weights only start from; the file of weights says what became of them
PENALTIES = ("tau", "mu1", "mu2", "mu3")
STARTS = {"UnrolledADMM": PENALTIES, "NoiseAwareADMM": PENALTIES, "UnrolledFISTA": ("step_size",)}


def describe(part: object) -> dict[str, Any]:
    """``{"_target_": class, argument: value, ...}`` of a part and the parts in it, ready for JSON, as in `configs/`.

    Every class in KNOWN keeps its constructor's arguments, but for those in STARTS, as attributes of the same names.
    Raises InputError for other classes and for arguments that are no plain values, such as a callback.
    """
    target = f"{type(part).__module__}.{type(part).__qualname__}"
    require(
        target in KNOWN,
        f"architecture: expected parts of this library, which a model card can name, got {target}",
    )
    names = [name for name in _arguments(type(part)) if name not in STARTS.get(type(part).__name__, ())]
    return {"_target_": target} | {name: _plain(getattr(part, name)) for name in names}


def restore(description: Any, *, where: str = "architecture") -> Any:
    """The part that :func:`describe` described, with fresh weights.

    Imports and calls nothing but the classes in KNOWN. Raises InputError, naming the place in the description, for
    another class, for arguments that the class does not have and for values that it refuses.
    """
    require(
        isinstance(description, dict) and isinstance(description.get("_target_"), str),
        f"{where}: expected a section with a _target_, got {description!r:.200}",
    )
    target = description["_target_"]
    check_name(f"{where}._target_", target, list(KNOWN))
    module, _, name = target.rpartition(".")
    make = getattr(importlib.import_module(module), name)
    known = _arguments(make)
    arguments = {}
    for key, value in description.items():
        if key != "_target_":
            check_name(f"{where}: argument of {name}", key, known)
            arguments[key] = restore(value, where=f"{where}.{key}") if isinstance(value, dict) else value
    try:
        return make(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{where}: {name} cannot be made of this description: {error}") from error


def _arguments(make: type) -> list[str]:
    """Names of a constructor's arguments; a module without a constructor of its own has none."""
    parameters = inspect.signature(make).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in NAMED]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return describe(value)
