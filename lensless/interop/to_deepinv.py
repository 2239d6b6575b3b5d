"""Cameras and reconstructions for deepinv (https://deepinv.org), and its solvers and denoisers for cameras.

Everything here needs the extra ``deepinv`` and imports it on first use, because that takes seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lensless.errors import InputError, check_name
from lensless.models.state import load_state, read_state
from lensless.physics.operator import LinearOperator
from lensless.recon.base import Reconstructor, believed, check_measurement, per_sample
from lensless.recon.plug_and_play import PlugAndPlayHQS

if TYPE_CHECKING:
    import deepinv

# denoisers of deepinv.models that are made of in_channels and out_channels
NETWORKS = ["DRUNet", "DnCNN"]


class _Camera(nn.Module):
    """x -> A x / gain with its adjoint, gain (B or 1,); a module, because deepinv moves and copies modules."""

    def __init__(self, operator: LinearOperator, gain: Tensor):
        super().__init__()
        self.operator = operator
        self.register_buffer("gain", gain, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.operator(x)
        return y / per_sample(self.gain, y.ndim)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.operator.adjoint(y / per_sample(self.gain, y.ndim))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        super()._apply(fn, recurse)
        if (self.gain.device, self.gain.dtype) != (self.operator.device, self.operator.dtype):
            self.operator = self.operator.to(self.gain.device, self.gain.dtype)
        return self


def to_physics(physics: LinearOperator) -> "deepinv.physics.LinearPhysics":
    """The camera y = A x as a deepinv LinearPhysics without noise, A and A_adjoint being ours.

    A: (B, *scene_shape) to (B, *sensor_shape), differentiable; ``.to(device, dtype)`` moves it. ``img_size`` is
    scene_shape. Take ``to_physics(physics.whole_field())`` to explain light from outside the field of view too.
    Raises InputError where deepinv cannot be imported.
    """
    return _physics(physics, torch.ones(1, dtype=physics.dtype, device=physics.device))


def _physics(operator: LinearOperator, gain: Tensor) -> "deepinv.physics.LinearPhysics":
    camera = _Camera(operator, gain)
    return _import_deepinv().physics.LinearPhysics(
        A=camera, A_adjoint=camera.adjoint, img_size=operator.scene_shape, device=operator.device
    )


def to_reconstructor(reconstructor: Reconstructor | nn.Module) -> "deepinv.models.Reconstructor":
    """A reconstruction of ours as a deepinv Reconstructor: (y, physics) -> x, physics coming from to_physics.

    The parameters of a trainable one are its parameters. Raises InputError where deepinv cannot be imported and, when
    called, on a physics that is not from to_physics.
    """

    class FromLensless(_import_deepinv().models.Reconstructor):
        def __init__(self):
            super().__init__()
            self.reconstructor = reconstructor

        def forward(self, y: Tensor, physics: "deepinv.physics.Physics") -> Tensor:
            if not isinstance(getattr(physics, "forw", None), _Camera):
                raise InputError(f"physics: expected a camera from to_physics, got {type(physics).__name__}")
            return self.reconstructor(y, physics.forw.operator)

    return FromLensless()


class DeepinvReconstructor(Reconstructor):
    """A deepinv reconstruction, such as deepinv.optim.HQS, as one of ours.

        x = white R(y / (||A|| white), A / ||A||)

    It solves for the camera's whole field and gets an operator of norm 1, so that a step of 1 converges, and a scene
    with white near 1, as denoisers expect; ||A|| and white are those of plug-and-play.

    model: a deepinv Reconstructor, (y, physics) -> x.
    """

    def __init__(self, model: "deepinv.models.Reconstructor"):
        self.model = model

    def __call__(self, y: Tensor, physics: LinearOperator) -> Tensor:
        """Raises InputError on a measurement that does not fit, and where deepinv cannot be imported."""
        check_measurement(y, physics)
        y, _ = believed(y, physics)
        with torch.no_grad():
            problem = PlugAndPlayHQS(lambda x, _: x).start(y, physics, None)
        gain, white = problem.norm.flatten().sqrt(), problem.white
        relative = y / per_sample(gain * white.flatten(), y.ndim)
        x = self.model.to(y.device)(relative, _physics(problem.camera, gain))
        return physics.to_field_of_view(x * white)


class DeepinvDenoiser:
    """A deepinv denoiser for plug-and-play: (x, sigma) -> x, for any number of channels.

    As no scene has negative light, the clean one is clamped at 0.

    model: a deepinv Denoiser, frozen here. channels: what it was made for; None is any number, 1 denoises each channel
    by itself, and 3 does so with a gray picture of three equal channels unless there are three.
    Raises InputError on other channels.
    """

    def __init__(self, model: "deepinv.models.Denoiser", *, channels: int | None = None):
        if channels not in (None, 1, 3):
            raise InputError(f"channels: expected 1, 3 or None, got {channels}")
        self.model = model.requires_grad_(False).eval()
        self.channels = channels

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.model.to(x)
        if self.channels is None or x.shape[1] == self.channels:
            return self.model(x, sigma).clamp_min(0)
        planes = x.flatten(0, 1)[:, None].expand(-1, self.channels, -1, -1)
        return self.model(planes, sigma).mean(1).reshape(x.shape).clamp_min(0)


def load_denoiser(path: str | Path, *, network: str = "DRUNet", channels: int = 3) -> DeepinvDenoiser:
    """A network of deepinv.models with the weights in a file, such as DPIR's drunet_color.pth for DRUNet.

    path: what torch.save wrote of a state dict. network: DRUNet or DnCNN. channels: 1 or 3.
    Raises InputError on another network, on a file that is missing, unsafe or not of its layout, and where deepinv
    cannot be imported.
    """
    check_name("network", network, NETWORKS)
    make = getattr(_import_deepinv().models, network)
    model = make(in_channels=channels, out_channels=channels, pretrained=None)
    load_state(model, read_state(path), str(path))
    return DeepinvDenoiser(model, channels=channels)


def _import_deepinv():
    """The package with every part that is used here. Raises InputError naming the extra."""
    try:
        import deepinv.models
        import deepinv.physics
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that was compiled for another torch
        raise InputError(
            f"deepinv cannot be imported ({error}); pip install 'lensless-torch[deepinv]', with torchvision of the "
            "same build as torch"
        ) from error
    return deepinv
