"""How the weights are changed: AdamW with a rate for each part, warm-up and cosine, parts that join in later."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from lensless.errors import check_name, require
from lensless.models.modular import ModularReconstruction

# what weight decay pulls towards 0; logarithms of penalties and the like it leaves alone
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """AdamW (Loshchilov & Hutter, ICLR 2019) with the rate r(s) of step s of S, times each part's own factor:

        r(s) = rate * (s + 1) / warmup                                       s < warmup
        r(s) = rate * (f + (1 - f) (1 + cos(pi (s - warmup) / (S - warmup))) / 2)    from there on

    rate: the highest. final: f, the share of it that is left at the end. warmup: steps. weight_decay: of convolutions.
    clip: largest norm of the gradient, which is shortened to it. part_rates: factors by part, 1 where not named.
    train: the parts to train, None for all. unfreeze: epoch from which a part is trained, by part; 0 where not named.
    Raises InputError on values out of range and a part that is to unfreeze and never trained.
    """

    rate: float = 1e-3
    final: float = 0.01
    warmup: int = 100
    weight_decay: float = 0.0
    clip: float = 1.0
    part_rates: dict[str, float] | None = None
    train: list[str] | None = None
    unfreeze: dict[str, int] | None = None

    def __post_init__(self):
        for name in ("rate", "clip"):
            require(getattr(self, name) > 0, f"{name}: expected a number > 0, got {getattr(self, name)}")
        require(0 <= self.final <= 1, f"final: expected a share from 0 to 1, got {self.final}")
        require(self.warmup >= 0, f"warmup: expected steps >= 0, got {self.warmup}")
        require(self.weight_decay >= 0, f"weight_decay: expected a number >= 0, got {self.weight_decay}")
        for name, factor in (self.part_rates or {}).items():
            require(factor > 0, f"part_rates.{name}: expected a factor > 0, got {factor}; or leave it out of `train`")
        for name, epoch in (self.unfreeze or {}).items():
            require(epoch >= 0, f"unfreeze.{name}: expected an epoch >= 0, got {epoch}")
            require(
                self.train is None or name in self.train,
                f"unfreeze.{name}: expected one of the parts to train, {self.train}",
            )

    def rate_factor(self, step: int, steps: int) -> float:
        """r(s) / rate."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min((step - self.warmup) / max(steps - self.warmup, 1), 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2

    def choose_parts(self, model: ModularReconstruction) -> dict[str, nn.Module]:
        """The parts that are trained, now or later; the others are frozen.

        Raises InputError for a part, here or in the factors, that the model lacks or that has nothing to train.
        """
        parts = {
            name: part
            for name, part in model.parts().items()
            if isinstance(part, nn.Module) and next(part.parameters(), None) is not None
        }
        require(bool(parts), "model: expected a part with something to train, got none")
        for key in ("train", "part_rates", "unfreeze"):
            for name in getattr(self, key) or ():
                check_name(f"{key}: part", name, list(parts))
        chosen = {name: part for name, part in parts.items() if self.train is None or name in self.train}
        require(bool(chosen), "train: expected at least one part, got none")
        model.freeze(*(name for name in parts if name not in chosen))
        return chosen

    def optimiser(self, parts: dict[str, nn.Module]) -> torch.optim.AdamW:
        """AdamW over all ``parts``, those that join in later included, with one or two groups named after each."""
        groups = []
        for name, part in parts.items():
            rate = self.rate * (self.part_rates or {}).get(name, 1.0)
            kernels = {id(module.weight) for module in part.modules() if isinstance(module, CONVOLUTIONS)}
            for decayed, decay in ((True, self.weight_decay), (False, 0.0)):
                chosen = [parameter for parameter in part.parameters() if (id(parameter) in kernels) == decayed]
                if chosen:
                    groups.append({"params": chosen, "name": name, "lr": rate, "weight_decay": decay})
        return torch.optim.AdamW(groups)

    def waiting(self, epoch: int) -> list[str]:
        """The parts that are not trained yet in ``epoch``."""
        return [name for name, first in (self.unfreeze or {}).items() if epoch < first]
