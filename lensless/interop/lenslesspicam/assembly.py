"""From the configuration of a LenslessPiCam training run to a model of that architecture."""

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from lensless.errors import InputError, check_name, require
from lensless.interop.lenslesspicam.compensation import PiCamCompensation
from lensless.interop.lenslesspicam.inversions import (
    CHANNELS,
    PiCamAdjoint,
    PiCamSpatiallyVaryingAdjoint,
    PiCamUnrolledADMM,
)
from lensless.interop.lenslesspicam.multi_wiener import PiCamMultiWiener
from lensless.interop.lenslesspicam.processors import (
    PiCamBackgroundSubtraction,
    PiCamProcessor,
    PiCamTransformerProcessor,
)
from lensless.interop.lenslesspicam.psf import PiCamPSFCorrection, PiCamScaledPSF, PiCamStoredPSF
from lensless.models.drunet import DRUNet
from lensless.models.modular import ModularReconstruction
from lensless.models.restormer import Restormer

DEFAULT_WIDTHS = (64, 128, 256, 512)
# residual blocks of the networks for PSF and background
SIDE_BLOCKS = 4
# switches in the section reconstruction that have no counterpart here
UNSUPPORTED = ("integrated_background_subtraction", "integrated_background_unetres", "down_subtraction")


def assemble(config: DictConfig, psf: Tensor | None, *, legacy: bool, psf_norm: float) -> ModularReconstruction:
    """The architecture that ``config`` describes, with fresh weights.

    psf: the model's own, (N, C, H, W), or None. legacy: see :class:`PiCamProcessor`. psf_norm: see
    :class:`PiCamScaledPSF`. Raises InputError for a method or a network that is not known and for settings that do
    not fit together.
    """
    try:
        return _assemble(config, psf, legacy, psf_norm)
    except (TypeError, ValueError, RuntimeError, AttributeError, OmegaConfBaseException) as error:
        raise InputError(f"folder: no model can be made of its configuration: {error}") from error


def _assemble(config: DictConfig, psf: Tensor | None, legacy: bool, psf_norm: float) -> ModularReconstruction:
    settings = config.reconstruction
    for name in UNSUPPORTED:
        require(not settings.get(name), f"reconstruction.{name}: models that use it cannot be imported")
    compensation = tuple(settings.get("compensation") or ())
    require(
        not compensation or settings.get("compensation_residual", True),
        "reconstruction.compensation_residual: only models with true can be imported",
    )
    single_channel = bool((config.get("files") or {}).get("single_channel_psf"))
    source = PiCamScaledPSF(psf_norm, single_channel=single_channel) if psf is None else PiCamStoredPSF(psf.shape)
    inversion = _inversion(settings, psf, single_channel)
    takes_psf = inversion is not None and not isinstance(inversion, PiCamSpatiallyVaryingAdjoint)
    return ModularReconstruction(
        inversion,
        pre=_processor(settings.get("pre_process") or {}, legacy, background=settings.get("unetres_input_background")),
        post=_processor(settings.get("post_process") or {}, legacy, features=compensation[-1] if compensation else 0),
        psf_correction=_psf_correction(settings, source) if takes_psf else None,
        background=_background(settings),
        compensation=PiCamCompensation(compensation) if compensation else None,
    )


def _inversion(settings: DictConfig, psf: Tensor | None, single_channel: bool) -> nn.Module | None:
    if settings.get("skip_unrolled"):
        return None
    method = str(settings.get("method"))
    check_name("reconstruction.method", method, ["unrolled_admm", "trainable_inv", "svdeconvnet", "multi_wiener"])
    if method == "unrolled_admm":
        return PiCamUnrolledADMM(settings.unrolled_admm.n_iter)
    if method == "trainable_inv":
        return PiCamAdjoint()
    if method == "svdeconvnet":
        require(psf is not None, "reconstruction.method: svdeconvnet needs its PSFs, in psf_epochBEST.npy; found none")
        return PiCamSpatiallyVaryingAdjoint(psf.shape)
    return PiCamMultiWiener(tuple(settings.multi_wiener.nc), psf_channels=1 if single_channel else CHANNELS)


def _processor(
    settings: DictConfig | dict, legacy: bool, *, background: bool | None = False, features: int = 0
) -> nn.Module | None:
    name = settings.get("network")
    if name is None:
        return None
    check_name("network", str(name), ["UnetRes", "Restormer"])
    if name == "UnetRes":
        network = DRUNet(
            2 * CHANNELS if background else CHANNELS + 1,
            widths=tuple(settings.get("nc") or DEFAULT_WIDTHS),
            blocks=settings.depth,
            features=features,
        )
        return PiCamProcessor(network, legacy=legacy)
    require(
        not background and not features,
        "network: expected UnetRes for a processor that takes the background or a compensation, got Restormer",
    )
    sizes = settings.restormer_params
    return PiCamTransformerProcessor(
        Restormer(
            CHANNELS,
            dim=sizes.dim,
            blocks=tuple(sizes.num_blocks),
            refinement_blocks=sizes.num_refinement_blocks,
            heads=tuple(sizes.heads),
            expansion=sizes.ffn_expansion_factor,
        )
    )


def _side_network(widths: list[int]) -> PiCamProcessor:
    return PiCamProcessor(DRUNet(CHANNELS + 1, widths=tuple(widths), blocks=SIDE_BLOCKS))


def _psf_correction(settings: DictConfig, source: nn.Module) -> nn.Module:
    widths = settings.get("psf_network")
    if not widths:
        return source
    residual = bool(settings.get("psf_residual"))
    return PiCamPSFCorrection(source, processor=_side_network(widths), residual=residual)


def _background(settings: DictConfig) -> nn.Module | None:
    widths = settings.get("learned_background_subtraction")
    if widths:
        return PiCamBackgroundSubtraction(_side_network(widths))
    return PiCamBackgroundSubtraction() if settings.get("direct_background_subtraction") else None
