"""What the weights of a LenslessPiCam model are called here."""

import re

from torch import Tensor

from lensless.models.modular import ModularReconstruction

# how names begin there, as regular expressions, and here
NAMES = (
    (r"(pre|post)_process_model\.", r"\1.network."),
    (r"(pre|post)_process_param$", r"\1.level"),
    (r"psf_network_model\.", "psf_correction.processor.network."),
    (r"psf_network_param$", "psf_correction.processor.level"),
    (r"background_network_model\.", "background.processor.network."),
    (r"background_network_param$", "background.processor.level"),
    (r"_(mu1|mu2|mu3|tau)_p$", r"inversion.\1"),
    (r"compensation_branch\.branch_layers\.", "compensation.branch."),
    (r"compensation_branch\.residual_layers\.(\d+)\.double_conv\.", r"compensation.refine.\1."),
    (r"inc\.double_conv\.", "inversion.encoder.0."),
    (r"inc0\.double_conv\.", "inversion.psf_encoder.0."),
    (r"up_layers\.(\d+)\.conv\.double_conv\.", r"inversion.decoder.\1."),
    (r"outc\.conv\.", "inversion.head."),
    (r"delta$", "inversion.noise"),
    (r"w$", "inversion.psf_gain"),
)
ENCODERS = {"down_layers": "encoder", "psf_down": "psf_encoder"}
ENCODER_NAME = re.compile(r"(down_layers|psf_down)\.(\d+)\.(?:avg)?pool_conv\.1\.double_conv\.")


def rename(weights: dict[str, Tensor], psf: Tensor | None, model: ModularReconstruction) -> dict[str, Tensor]:
    """The weights under the names of ``model``; those without a counterpart keep theirs.

    Processors that use no noise level have one there all the same, which is left out.
    """
    own = model.state_dict()
    state = {_rename(name): value for name, value in weights.items()}
    state = {name: value for name, value in state.items() if name in own or not name.endswith(".level")}
    if psf is not None:
        state |= {name: psf for name in own if name.endswith("stored_psf")}
    return state


def _rename(name: str) -> str:
    encoder = ENCODER_NAME.match(name)
    if encoder:
        return f"inversion.{ENCODERS[encoder[1]]}.{int(encoder[2]) + 1}.{name[encoder.end():]}"
    for pattern, replacement in NAMES:
        renamed, found = re.subn(f"^{pattern}", replacement, name)
        if found:
            return renamed
    return name
