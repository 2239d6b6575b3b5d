"""The pictures that show how a training goes."""

from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.nn import functional

from lensless.data.sample import Batch
from lensless.evaluation.figures import as_picture, white_level
from lensless.images.gamma import linear_to_srgb
from lensless.images.write import write_png16
from lensless.training.losses import Loss

GAP = 2


class ValidationPictures(lightning.Callback):
    """Writes FOLDER/EPOCH.png after every validation: a row for each of its first samples, a column for each stage.

    rows: the most of them. The grid also goes to TensorBoard.
    """

    def __init__(self, folder: Path, *, rows: int = 4):
        self.folder, self.rows = folder, rows

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        stages: dict[str, Tensor],
        batch: Batch,
        number: int,
        *_: Any,
    ) -> None:
        if number > 0 or not trainer.is_global_zero:
            return
        pictures = grid(stages, batch, module.loss, rows=self.rows)
        write_png16(self.folder / f"{trainer.current_epoch:04d}.png", pictures, gamma="linear")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("validation", pictures, trainer.global_step)


@torch.no_grad()
def grid(stages: dict[str, Tensor], batch: Batch, loss: Loss, *, rows: int) -> Tensor:
    """A display image (3, H, W) in [0, 1]; columns are measurement, pre-processed, inverted, image and scene.

    What is compared with the scene has its brightness, with white at 1; the measurements each have their own.
    """
    columns = []
    for name in ("measurement", "pre"):
        if name in stages:
            pictures = [as_picture(picture) for picture in stages[name][:rows].float().cpu()]
            columns.append([picture / white_level(picture) for picture in pictures])
    for image in (loss.estimate(stages["inversion"], batch), loss.estimate(stages["image"], batch), batch.scene):
        columns.append([as_picture(picture) for picture in image[:rows].float().cpu()])
    height = max(column[0].shape[-2] for column in columns)
    return torch.cat([torch.cat([_tile(picture, height) for picture in column], -2) for column in columns], -1)


def _tile(picture: Tensor, height: int) -> Tensor:
    """The picture for a display, black below it up to ``height``, and a gap."""
    shown = linear_to_srgb(picture.clamp(0, 1)).expand(3, -1, -1)
    return functional.pad(shown, (0, GAP, 0, height - shown.shape[-2] + GAP))
