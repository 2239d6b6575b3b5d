"""The modular reconstruction: pre-processor, camera inversion and post-processor, any of them absent."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lensless.errors import InputError, check_name, require
from lensless.models.state import load_state
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.operator import LinearOperator
from lensless.recon.base import Reconstructor

# in the order in which light and data pass them
PARTS = ("psf_correction", "background", "pre", "inversion", "compensation", "post")


class ModularReconstruction(nn.Module):
    """x = post(inversion(pre(y - b), correct(psf))): a pure composition in which any part may be absent.

    Bezzam, Perron & Vetterli, "Towards Robust and Generalizable Lensless Imaging with Modular Learned
    Reconstruction", IEEE TCI 2025. With a camera that is off by D, y = (H + D) x + n, an inversion spreads the error
    D x + n over the whole picture; `pre` sees it before that, `post` sees what becomes of it.

    inversion: (y, physics) -> x, trainable or classical; None hands y itself on, for a scene of the sensor's shape.
    pre, post: (image, *, background, features) -> image of the same shape. psf_correction: psf -> psf.
    background: (y, background) -> y; where it is absent a measured background goes to `pre` as a further input.
    compensation: (y, iterates of an unrolled inversion) -> features for `post` (Zeng & Lam, IEEE TCI 2021).
    Raises InputError where `compensation` has no unrolled inversion before it or no `post` behind it.
    """

    def __init__(
        self,
        inversion: nn.Module | Reconstructor | None = None,
        *,
        pre: nn.Module | None = None,
        post: nn.Module | None = None,
        psf_correction: nn.Module | None = None,
        background: nn.Module | None = None,
        compensation: nn.Module | None = None,
    ):
        super().__init__()
        if compensation is not None:
            require(
                hasattr(inversion, "iterates") and post is not None,
                "compensation: expected an unrolled inversion, whose iterates it takes, and a post-processor, which "
                f"takes its features; got inversion {_name(inversion)} and post {_name(post)}",
            )
        self.psf_correction = psf_correction
        self.background = background
        self.pre = pre
        self.inversion = inversion
        self.compensation = compensation
        self.post = post

    def forward(
        self,
        y: Tensor,
        physics: LinearOperator,
        *,
        background: Tensor | None = None,
        iterations: int | None = None,
    ) -> Tensor:
        """Scene (B, *physics.scene_shape) of measurements y (B, *physics.sensor_shape).

        background: measured without the scene, of the shape of y, for the parts that take one. iterations: leave an
        unrolled inversion after so many. Raises InputError where y does not fit the camera, a part is given what it
        cannot take or misses what it needs, or a gradient is wanted through an inversion that has none.
        """
        return self._run(y, physics, background, iterations, keep=lambda name, stage: None)

    def stages(
        self,
        y: Tensor,
        physics: LinearOperator,
        *,
        background: Tensor | None = None,
        iterations: int | None = None,
    ) -> dict[str, Tensor]:
        """Every intermediate in order, arguments as for a call: "measurement", then, where the part is present, "psf",
        "background_subtracted" and "pre", then "inversion" and the result, "image"."""
        kept: dict[str, Tensor] = {}
        kept["image"] = self._run(y, physics, background, iterations, keep=kept.__setitem__)
        return kept

    def parts(self) -> dict[str, Any]:
        """The parts that are present, in order."""
        return {name: getattr(self, name) for name in PARTS if getattr(self, name) is not None}

    @property
    def takes_background(self) -> bool:
        """Whether a part of it takes a measured background; otherwise it is to be subtracted before."""
        return self.background is not None or getattr(self.pre, "background", False)

    def freeze(self, *names: str) -> None:
        """Keep the named parts as they are in training: no gradients, and evaluation mode for good."""
        for name in names:
            self._trainable(name).requires_grad_(False).eval()

    def unfreeze(self, *names: str) -> None:
        """Let the named parts be trained again."""
        for name in names:
            self._trainable(name).requires_grad_(True).train(self.training)

    def load_part(self, name: str, other: "ModularReconstruction") -> None:
        """Copy the weights of the part ``name`` of another model into this one's.

        Raises InputError where either has no such part or the two differ, with the names that differ.
        """
        load_state(self._trainable(name), other._trainable(name).state_dict(), f"{name!r} of the other model")

    def train(self, mode: bool = True) -> "ModularReconstruction":
        """Training or evaluation mode; parts without a trainable parameter, as after ``freeze``, stay in evaluation."""
        super().train(mode)
        for part in self.children():
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    def _run(
        self,
        y: Tensor,
        physics: LinearOperator,
        background: Tensor | None,
        iterations: int | None,
        *,
        keep: Callable[[str, Tensor], None],
    ) -> Tensor:
        physics.check(y, physics.sensor_shape, "measurement")
        if background is not None:
            physics.check(background, physics.sensor_shape, "background")
        keep("measurement", y)
        if self.psf_correction is not None:
            physics = _with_psf(physics, self.psf_correction)
            keep("psf", physics.psf)
        if self.background is not None:
            require(background is not None, f"background: {_name(self.background)} needs one, got none")
            y, background = self.background(y, background), None
            keep("background_subtracted", y)
        if self.pre is not None:
            y, background = self.pre(y, background=background), None
            keep("pre", y)
        require(background is None, "background: this model has no part that takes one")
        x, features = self._invert(y, physics, iterations)
        keep("inversion", x)
        return x if self.post is None else self.post(x, **features)

    def _invert(
        self, y: Tensor, physics: LinearOperator, iterations: int | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The inversion's scene, and the features for `post` if there is a compensation branch."""
        unrolled = hasattr(self.inversion, "iterates") and self.compensation is None
        require(
            iterations is None or unrolled,
            f"iterations: can be chosen for an unrolled inversion without compensation branch, got {iterations} for "
            f"{_name(self.inversion)}",
        )
        if self.inversion is None:
            require(
                physics.scene_shape == physics.sensor_shape,
                f"physics: without an inversion the scene must have the sensor's shape {physics.sensor_shape}, got "
                f"{physics.scene_shape}",
            )
            return y, {}
        if self.compensation is not None:
            iterates = self.inversion.iterates(y, physics)
            return iterates[-1], {"features": self.compensation(y, iterates)}
        x = self.inversion(y, physics) if iterations is None else self.inversion(y, physics, iterations=iterations)
        wanted = torch.is_grad_enabled() and (y.requires_grad or getattr(physics, "psf", y).requires_grad)
        require(
            x.requires_grad or not wanted,
            f"inversion: {_name(self.inversion)} gives no gradient, so nothing before it can be trained; use "
            "UnrolledADMM(iterations=100), freeze the parts before it, or call under torch.no_grad()",
        )
        return x, {}

    def _trainable(self, name: str) -> nn.Module:
        known = [name for name, part in self.parts().items() if isinstance(part, nn.Module)]
        check_name("part", name, known)
        return getattr(self, name)


def _with_psf(physics: LinearOperator, correct: nn.Module) -> LenslessConvolution:
    """The camera with its PSF corrected."""
    if not isinstance(physics, LenslessConvolution):
        raise InputError(f"physics: PSF correction needs a LenslessConvolution, got {type(physics).__name__}")
    return LenslessConvolution(
        correct(physics.psf),
        scene_shape=physics.scene_shape[1:],
        fft_shape=physics.fft.shape,
        backend=physics.fft.backend,
    )


def _name(part: Any) -> str:
    return "none" if part is None else type(part).__name__
