"""What competes in the benchmark: a solver or a model, with what tells it from others."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lensless.data.sample import Batch
from lensless.models.modular import ModularReconstruction
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.operator import LinearOperator
from lensless.recon.base import Reconstructor


@dataclass(frozen=True)
class Contender:
    """One row of the benchmark.

    name: unique. reconstruct: a solver or a model. identity: whatever decides its results, as JSON can hold it.
    iterations: where an unrolled model is left, None for its end. tuning: name of the group of which, on each system,
    the member that is best on the test images themselves counts as the group's oracle. x: its place along the axis of a
    sweep. trained_on: names of the systems that it was trained on.
    """

    name: str
    _: KW_ONLY
    reconstruct: Reconstructor | ModularReconstruction
    identity: Mapping[str, Any]
    iterations: int | None = None
    tuning: str | None = None
    x: float | None = None
    trained_on: tuple[str, ...] = field(default=())

    def to(self, device: torch.device) -> "Contender":
        """The same; a model's weights are moved."""
        if isinstance(self.reconstruct, nn.Module):
            self.reconstruct.to(device)
        return self

    @torch.no_grad()
    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor, LinearOperator]:
        """(x, y, physics): reconstructions of a batch, what they are made of, and the camera as the PSF has it.

        y is the measurement, less its background where no part takes one.
        """
        physics, y, background = LenslessConvolution(batch.psf), batch.measurement, batch.background
        model = self.reconstruct if isinstance(self.reconstruct, ModularReconstruction) else None
        if background is not None and not (model and model.takes_background):
            y, background = y - background, None
        if model is None:
            return self.reconstruct(y, physics), y, physics
        return model(y, physics, background=background, iterations=self.iterations), y, physics
