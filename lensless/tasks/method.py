"""What turns a measurement into a picture: a solver, or a trained model."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lensless.models.pretrained import Model
from lensless.physics.operator import LinearOperator
from lensless.recon.base import IterativeSolver, Reconstructor, Solution


@dataclass(frozen=True)
class Classical:
    """A solver, which has nothing to tell but its solution."""

    solver: Reconstructor

    def __call__(self, y: Tensor, physics: LinearOperator) -> tuple[Solution, dict[str, Tensor]]:
        """The solution for measurements (B, C, h, w), and no stages."""
        return solve(self.solver, y, physics), {}

    def notes(self, psf: Tensor) -> list[str]:
        return []

    def record(self) -> dict[str, Any]:
        return {}

    def identity(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Learned:
    """A trained model. name: as the user gave it. background: (C, h, w), measured without the scene, or None."""

    model: Model
    name: str
    background: Tensor | None

    @torch.no_grad()
    def __call__(self, y: Tensor, physics: LinearOperator) -> tuple[Solution, dict[str, Tensor]]:
        """The solution for measurements (B, C, h, w), and what the model made of them on the way there."""
        background = None if self.background is None else self.background.to(y)[None]
        stages = self.model.reconstruction.to(y.device).stages(y, physics, background=background)
        image = stages.pop("image")
        made = {name: stage for name, stage in stages.items() if stage is not y and stage is not image}
        return Solution(image, 0, "feed-forward"), made

    def notes(self, psf: Tensor) -> list[str]:
        """What the model's card has to say about its use with this PSF."""
        return [f"model: {note}" for note in self.model.card.notes_for(psf)]

    def record(self) -> dict[str, Any]:
        """Which model it was, for the record of a result."""
        card = dataclasses.asdict(self.model.card)
        kept = ("summary", "licence", "source", "inputs", "weights_sha256")
        return {"model": {"name": self.name} | {entry: card[entry] for entry in kept}}

    def identity(self) -> dict[str, Any]:
        """All that decides what it makes of a measurement."""
        card = self.model.card
        return {"model": {"architecture": card.architecture, "weights_sha256": card.weights_sha256}}


def solve(solver: Reconstructor, y: Tensor, physics: LinearOperator) -> Solution:
    """The solver's own account of what it found, or one for a closed form."""
    if isinstance(solver, IterativeSolver):
        return solver.solve(y, physics)
    with torch.no_grad():
        return Solution(solver(y, physics), 0, "closed form")
