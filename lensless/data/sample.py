"""One sample of any data set, and a batch of them: what training, evaluation and augmentation pass around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from lensless.calibration.alignment import Alignment, aligned_region
from lensless.errors import InputError, require


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one camera measured of one scene; images are float32 (C, H, W) in linear light, 1 being full scale.

    index: its number in the whole data set, whatever the split. mask: label of the mask that it was measured through.
    measurement: (C, h, w). scene: (C, H, W), what a lensed camera saw or what was simulated; None where it is not
    known. psf: (C, h, w) of that mask, shared by all of its samples; None where it is not known. background: (C, h, w),
    light that does not come from the scene; None where there is none. alignment: where the scene lies in a
    reconstruction; None where both are the same grid. origin: whatever else is known, for records.
    """

    index: int
    mask: int
    measurement: Tensor
    scene: Tensor | None = None
    psf: Tensor | None = None
    background: Tensor | None = None
    alignment: Alignment | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples stacked along the first axis; what all of them lack is None.

    index, mask: (B,) int64. measurement: (B, C, h, w). scene: (B, C, H, W). psf: (1, C, h, w) where all samples share
    one, else (B, C, h, w): as `LenslessConvolution` takes it. background: (B, C, h, w). alignments: one a sample.
    """

    index: Tensor
    mask: Tensor
    measurement: Tensor
    scene: Tensor | None
    psf: Tensor | None
    background: Tensor | None
    alignments: tuple[Alignment, ...] | None

    def __len__(self) -> int:
        return len(self.measurement)

    def aligned(self, x: Tensor) -> Tensor:
        """Reconstructions (B, C, H, W) on the pixels of ``scene``, for losses and scores."""
        return x if self.alignments is None else aligned_region(x, self.alignments)

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Self:
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory; `DataLoader(pin_memory=True)` calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, function) -> Self:
        tensors = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(self, **{name: function(value) for name, value in tensors.items() if isinstance(value, Tensor)})


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples to a :class:`Batch`; the `collate_fn` of a DataLoader.

    Raises InputError where shapes differ or only some samples have a scene, PSF, background or alignment.
    """
    alignments = [sample.alignment for sample in samples]
    require(
        len({one is None for one in alignments}) == 1,
        "alignment: expected all samples of a batch to have one or none, got both; batch the data sets separately",
    )
    return Batch(
        index=torch.tensor([sample.index for sample in samples]),
        mask=torch.tensor([sample.mask for sample in samples]),
        measurement=_stack(samples, "measurement"),
        scene=_stack(samples, "scene"),
        psf=_psf(samples),
        background=_stack(samples, "background"),
        alignments=None if alignments[0] is None else tuple(alignments),
    )


def _psf(samples: Sequence[Sample]) -> Tensor | None:
    first = samples[0].psf
    shared = first is not None and all(sample.psf is first for sample in samples)
    return first[None] if shared else _stack(samples, "psf")


def _stack(samples: Sequence[Sample], name: str) -> Tensor | None:
    images = [getattr(sample, name) for sample in samples]
    if all(image is None for image in images):
        return None
    shapes = {None if image is None else tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise InputError(f"{name}: expected one shape in a batch, got {' and '.join(map(str, shapes))}")
    return torch.stack(images)
