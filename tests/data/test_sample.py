"""Batches: what is shared stays shared, what does not fit is named."""

from dataclasses import replace

import pytest
import torch

from lensless.calibration.alignment import Alignment
from lensless.data.sample import Sample, collate
from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution

PSF = torch.rand(3, 5, 7)


def sample(index, **changes):
    generator = torch.Generator().manual_seed(index)
    measurement, scene = torch.rand(2, 3, 5, 7, generator=generator)
    return Sample(index=index, mask=index % 2, measurement=measurement, scene=scene, psf=PSF, **changes)


def test_images_are_stacked_and_labels_become_integers():
    samples = [sample(4), sample(1)]
    batch = collate(samples)
    assert len(batch) == 2
    assert batch.index.tolist() == [4, 1] and batch.mask.tolist() == [0, 1]
    assert torch.equal(batch.scene[1], samples[1].scene)
    assert batch.background is None and batch.alignments is None


def test_one_psf_is_sent_once_and_serves_the_batch():
    batch = collate([sample(0), sample(1)])
    assert batch.psf.shape == (1, 3, 5, 7)
    assert LenslessConvolution(batch.psf)(batch.scene).shape == batch.measurement.shape
    mixed = collate([sample(0), replace(sample(1), psf=PSF.flip(-1))])
    assert torch.equal(mixed.psf[1], PSF.flip(-1))


def test_reconstructions_are_brought_to_the_scenes():
    x = torch.rand(2, 3, 5, 7)
    assert torch.equal(collate([sample(0), sample(1)]).aligned(x), x)
    shifted = [replace(sample(i), alignment=Alignment.region((i, 2), (3, 4))) for i in (0, 1)]
    batch = collate(shifted)
    assert torch.equal(batch.aligned(x), torch.stack([x[0, :, 0:3, 2:6], x[1, :, 1:4, 2:6]]))


def test_a_batch_moves_as_a_whole():
    moved = collate([sample(0), sample(1)]).to("meta")
    assert {moved.measurement.device.type, moved.psf.device.type, moved.mask.device.type} == {"meta"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scene": torch.rand(3, 5, 8)}, r"scene: expected one shape in a batch, got .*\(3, 5, 8\)"),
        ({"scene": None}, "scene: expected one shape in a batch, got .*None"),
        ({"background": torch.rand(3, 5, 7)}, "background: expected one shape"),
        ({"alignment": Alignment.region((0, 0), (5, 7))}, "alignment: expected all samples of a batch to have one"),
    ],
)
def test_samples_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        collate([sample(0), replace(sample(1), **changes)])
