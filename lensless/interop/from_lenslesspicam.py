"""A model that LenslessPiCam published, as one of ours, with the numbers that it gives there."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lensless.errors import InputError, require
from lensless.interop.lenslesspicam.assembly import assemble
from lensless.interop.lenslesspicam.folder import PublishedFolder, read_config, read_folder
from lensless.interop.lenslesspicam.names import rename
from lensless.models.card import Card, describe_psf
from lensless.models.pretrained import Model
from lensless.models.state import load_state

INPUTS = (
    "linear light in [0, 1], colour; a PSF of any scale, which is brought to that of training. Penalties are absolute: "
    "doubling the measurement does not exactly double the result"
)
# what of the section files: goes to the card
DATA = ("dataset", "huggingface_psf", "single_channel_psf", "downsample", "image_res", "input_snr", "psf_snr")
OWN_DEFINITIONS = "parts named PiCam... keep the definitions of LenslessPiCam, which differ from those of this library"
SINGLE_CHANNEL = (
    "trained with the sum of the PSF's channels in each channel; LenslessPiCam's HFDataset gives such PSFs a norm of "
    "sqrt(3) over all channels, here it is {norm:g}"
)


def from_lenslesspicam(
    folder: str | Path,
    *,
    parent: str | Path | None = None,
    legacy_denoiser: bool = False,
    psf_norm: float = 1.0,
    licence: str = "unknown",
) -> Model:
    """The model in a folder that LenslessPiCam (up to 1.0.8) wrote, ready for use; nothing in the folder is run.

    Its outputs are those of that package in evaluation mode, to rounding. Its definitions differ from those of this
    library and have classes of their own: :mod:`lensless.interop.lenslesspicam`.

    folder: with `.hydra/config.yaml`, `recon_epochBEST` and, where the model has one, `psf_epochBEST.npy` or `psf.pt`.
    parent: folder of the model that a fine-tuned one started from, whose configuration names the networks.
    legacy_denoiser: what its ``load_model`` must be told of early models, see
    :class:`~lensless.interop.lenslesspicam.processors.PiCamProcessor`. psf_norm: of the PSFs in training, over all
    channels; a PSF of another norm is scaled to it. licence: of the weights, for the card.

    Raises InputError for files that are missing, cut off or hold Python objects, for an unknown architecture, and for
    weights that do not fit the configuration, with the names that differ, grouped.
    """
    published = read_folder(folder)
    config = _architecture(published, parent)
    model = assemble(config, published.psf, legacy=legacy_denoiser, psf_norm=psf_norm)
    load_state(model, rename(published.weights, published.psf, model), str(published.path))
    return Model(model.eval(), _card(published, config, psf_norm, licence))


def _architecture(published: PublishedFolder, parent: str | Path | None) -> DictConfig:
    """The configuration that names the networks: the model's own, or that of the one it was fine-tuned from."""
    origin = published.config.reconstruction.get("init")
    if origin is None:
        require(parent is None, f"parent: {published.path} was not fine-tuned from another model; leave it out")
        return published.config
    if parent is None:
        raise InputError(
            f"parent: {published.path} was fine-tuned from {origin}, whose configuration names its networks; give the "
            "folder of that model"
        )
    inherited = read_config(Path(parent).expanduser()).reconstruction
    return OmegaConf.merge(published.config, {"reconstruction": inherited})


def _card(published: PublishedFolder, config: DictConfig, psf_norm: float, licence: str) -> Card:
    settings, trained = config.reconstruction, OmegaConf.to_container(published.config)
    method = "no inversion" if settings.get("skip_unrolled") else settings.method
    pre, post = ((settings.get(name) or {}).get("network") for name in ("pre_process", "post_process"))
    files = trained.get("files") or {}
    notes = [OWN_DEFINITIONS]
    if published.psf is None and files.get("single_channel_psf"):
        notes.append(SINGLE_CHANNEL.format(norm=psf_norm))
    return Card(
        summary=f"LenslessPiCam's {' + '.join(name for name in (pre, method, post) if name)}",
        licence=licence,
        inputs=INPUTS,
        source=f"LenslessPiCam, folder {published.path.resolve().name}",
        psf={} if published.psf is None else describe_psf(published.psf),
        alignment={"alignment": trained["alignment"]} if trained.get("alignment") else {},
        data={name: files[name] for name in DATA if files.get(name) is not None},
        notes=notes,
    )
