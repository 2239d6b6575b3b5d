"""The training of a modular reconstruction: one step of it, and how it is scored."""

import lightning.pytorch as lightning
import torch
from torch import Tensor

from lensless.data.sample import Batch
from lensless.errors import NonFiniteError, require
from lensless.models.modular import ModularReconstruction
from lensless.physics.convolution import LenslessConvolution
from lensless.training.losses import Loss, psnr, ssim
from lensless.training.optimisation import Optimisation

# so many gradients in a row that are not finite are no accident
MOST_SKIPPED_IN_A_ROW = 20


class Training(lightning.LightningModule):
    """Each step: x = model(y, psf), its loss against the scene, and a step of AdamW along the clipped gradient.

    A step whose gradient is NaN or infinite, on any process, is skipped on all and counted ("skipped"). Validation
    scores the model, with averaged weights if the trainer keeps them, by "val/loss", "val/psnr" and "val/ssim".

    model: what is trained. steps: of AdamW in the whole training, which its schedule needs.
    Raises InputError where ``optimisation`` names parts that the model has not, and NonFiniteError after 20 skipped
    steps in a row.
    """

    def __init__(self, model: ModularReconstruction, *, loss: Loss, optimisation: Optimisation, steps: int):
        super().__init__()
        self.model, self.loss, self.optimisation, self.steps = model, loss, optimisation, steps
        self.parts = optimisation.choose_parts(model)
        self.skipped = self.skipped_in_a_row = 0

    def reconstruct(self, batch: Batch) -> tuple[dict[str, Tensor], LenslessConvolution]:
        """Every stage of a batch's reconstruction, and its camera; a background that no part takes is subtracted."""
        physics = LenslessConvolution(batch.psf)
        y, background = batch.measurement, batch.background
        if background is not None and not self.model.takes_background:
            y, background = y - background, None
        return self.model.stages(y, physics, background=background), physics

    def training_step(self, batch: Batch, _: int) -> Tensor:
        if bool(torch.isfinite(batch.measurement).all() & torch.isfinite(batch.scene).all()):
            stages, physics = self.reconstruct(batch)
            terms = self.loss(stages, batch, physics)
        else:
            # makes the gradient NaN on every process, so that all skip this step together
            trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
            terms = dict.fromkeys(("loss", *self.loss.weights), sum(p.sum() for p in trained) * torch.nan)
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, sync_dist=True)
        return terms["loss"]

    def validation_step(self, batch: Batch, _: int) -> dict[str, Tensor]:
        stages, physics = self.reconstruct(batch)
        terms = self.loss(stages, batch, physics)
        x = self.loss.estimate(stages["image"], batch)
        scores = {"val/psnr": psnr(x, batch.scene).mean(), "val/ssim": ssim(x, batch.scene).mean()}
        self.log_dict(
            {f"val/{name}": term for name, term in terms.items()} | scores,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(batch),
        )
        return stages

    def on_train_epoch_end(self) -> None:
        found = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        self.print(
            f"epoch {self.current_epoch}, step {self.global_step}: validation loss {found['val/loss']:.4g}, "
            f"PSNR {found['val/psnr']:.2f} dB, SSIM {found['val/ssim']:.3f}; {self.skipped} steps skipped",
            flush=True,
        )

    def configure_optimizers(self) -> dict:
        optimiser = self.optimisation.optimiser(self.parts)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: self.optimisation.rate_factor(s, self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        """Forget the gradients of parts that wait, shorten the others together; forget all if one is not finite."""
        waiting = self.optimisation.waiting(self.current_epoch)
        for group in optimizer.param_groups:
            if group["name"] in waiting:
                for parameter in group["params"]:
                    parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self.optimisation.clip)
        if bool(torch.isfinite(norm)):
            self.skipped_in_a_row = 0
        else:
            optimizer.zero_grad(set_to_none=True)
            self.skipped += 1
            self.skipped_in_a_row += 1
        if self.skipped_in_a_row == MOST_SKIPPED_IN_A_ROW:
            raise NonFiniteError(
                f"training: the gradient was NaN or infinite in {MOST_SKIPPED_IN_A_ROW} steps in a row, up to step "
                f"{self.global_step}; take a lower rate, or look for NaN in the data"
            )
        rates = {f"rate/{group['name']}": group["lr"] for group in optimizer.param_groups}
        self.log_dict({"gradient_norm": norm, "skipped": float(self.skipped)} | rates)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["skipped"] = [self.skipped, self.skipped_in_a_row]

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.skipped, self.skipped_in_a_row = checkpoint["skipped"]


def check_batch(batch: Batch) -> None:
    """Raise InputError where a batch misses what training needs, before the first step."""
    for name in ("scene", "psf"):
        require(getattr(batch, name) is not None, f"data: training needs the {name} of every sample, got none")
    expected, got = batch.measurement.shape[1], batch.scene.shape[1]
    require(expected == got, f"data: expected scenes of {expected} channels like the measurements, got {got}")
