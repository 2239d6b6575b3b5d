"""Whole trainings, each of a second or two, of models with some hundred weights."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lensless.data.epochs import epoch_and_index
from lensless.data.sample import Sample, collate
from lensless.data.samplers import Loader, MaskBatchSampler
from lensless.errors import InputError, NonFiniteError
from lensless.models.background import BackgroundSubtraction
from lensless.models.modular import ModularReconstruction
from lensless.models.processor import Processor
from lensless.models.unet import LightUNet
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.random import sample_generator
from lensless.recon.unrolled import UnrolledADMM
from lensless.training.checkpoints import WholeCheckpoints
from lensless.training.curves import curve, read_curves
from lensless.training.fit import RunFolder, Settings, fit
from lensless.training.losses import Loss
from lensless.training.module import Training, check_batch
from lensless.training.optimisation import Optimisation

SIZE = (27, 35)
# the trainer's advice on folders and workers
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Blobs(Dataset):
    """Random squares seen through a random PSF, in odd sizes. broken: numbers of samples that hold a NaN."""

    def __init__(self, count, *, broken=()):
        self.count, self.broken = count, broken
        psf = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0)) ** 8
        self.psf = psf / psf.sum((-2, -1)).mean()

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        index = epoch_and_index(key)[1]
        squares = torch.rand(3, 5, 7, generator=sample_generator(1, index))
        scene = squares.repeat_interleave(6, 1).repeat_interleave(6, 2)[:, : SIZE[0], : SIZE[1]]
        measurement = LenslessConvolution(self.psf)(scene[None])[0]
        if index in self.broken:
            measurement[0, 3, 4] = torch.nan
        return Sample(index=index, mask=0, measurement=measurement, scene=scene, psf=self.psf)


def light():
    return Processor(LightUNet(widths=(4, 8), blocks=1))


def model(seed=0):
    torch.manual_seed(seed)
    return ModularReconstruction(UnrolledADMM(2), pre=light(), post=light())


def trained(folder, *, data=None, batch_size=4, optimisation=None, reconstruction=None, **settings):
    """A run of two epochs of 16 samples; its module and the rows of its curves."""
    data = Blobs(16) if data is None else data
    settings = Settings(**{"epochs": 2, "ema": 0.0, "log_every": 1} | settings)
    train = Loader(data, sampler=MaskBatchSampler([0] * len(data), batch_size=batch_size))
    training = Training(
        model() if reconstruction is None else reconstruction,
        loss=Loss({"mse": 1.0}, brightness="absolute"),
        optimisation=optimisation or Optimisation(rate=3e-3, warmup=2),
        steps=settings.steps(len(train)),
    )
    fit(
        training,
        settings,
        train=train,
        validation=DataLoader(Blobs(6), batch_size=4, collate_fn=collate),
        folder=RunFolder(folder),
        device=torch.device("cpu"),
    )
    return training, read_curves(folder / "curves.csv")


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_a_training_lowers_the_loss_and_writes_its_files(tmp_path):
    _, rows = trained(tmp_path, epochs=6)
    losses = curve(rows, "val/loss")[1]
    assert len(losses) == 6 and losses[-1] < 0.9 * losses[0]
    assert len(curve(rows, "train/loss")[0]) == 24
    assert curve(rows, "rate/post")[1][:2] == pytest.approx([1.5e-3, 3e-3])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"best.ckpt", "last.ckpt", "curves.csv", "tensorboard", "validation"}
    assert len(list((tmp_path / "validation").glob("*.png"))) == 6
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_accumulated_batches_make_the_step_of_one(tmp_path):
    one, rows = trained(tmp_path / "one", data=Blobs(4), epochs=3)
    two, halves = trained(tmp_path / "two", data=Blobs(4), epochs=3, batch_size=2, accumulate=2)
    torch.testing.assert_close(weights(one.model), weights(two.model), rtol=0, atol=1e-4)
    for name in ("val/loss", "rate/post", "gradient_norm"):
        assert curve(rows, name)[1] == pytest.approx(curve(halves, name)[1], rel=1e-3)


def test_parts_wait_join_in_or_stay_as_they_are(tmp_path):
    reconstruction = model()
    before = copy.deepcopy(reconstruction)
    optimisation = Optimisation(rate=3e-3, warmup=0, weight_decay=0.1, train=["pre", "inversion"], unfreeze={"pre": 1})
    first, _ = trained(tmp_path / "first", reconstruction=reconstruction, optimisation=optimisation, epochs=1)
    assert torch.equal(weights(first.model.pre), weights(before.pre))
    assert not torch.equal(weights(first.model.inversion), weights(before.inversion))
    both, _ = trained(tmp_path / "both", optimisation=optimisation, epochs=2)
    assert not torch.equal(weights(both.model.pre), weights(before.pre))
    assert torch.equal(weights(both.model.post), weights(before.post))


def test_the_averaged_weights_are_validated_and_kept(tmp_path):
    training, rows = trained(tmp_path, ema=0.5)
    best = max(curve(rows, "val/psnr")[1])
    batch = collate([Blobs(6)[index] for index in range(6)])
    with torch.no_grad():
        stages, _ = training.reconstruct(batch)
    error = (stages["image"] - batch.scene).square().flatten(1).mean(1)
    assert float((-10 * error.log10()).mean()) == pytest.approx(best, abs=1e-4)
    current = WholeCheckpoints().load_checkpoint(tmp_path / "last.ckpt")["current_model_state"]
    assert not torch.equal(current["model.inversion.log_penalties"], training.model.inversion.log_penalties)


def test_a_step_with_nan_is_skipped_and_counted(tmp_path):
    reconstruction = model()
    before = weights(reconstruction)
    broken = Blobs(4, broken=(2,))
    training, rows = trained(tmp_path / "all", data=broken, reconstruction=reconstruction, epochs=3)
    assert curve(rows, "skipped")[1] == [1, 2, 3]
    assert torch.equal(weights(training.model), before)
    _, rows = trained(tmp_path / "some", data=Blobs(16, broken=(2,)), epochs=3)
    skipped = curve(rows, "skipped")[1]
    assert len(skipped) == 12 and skipped[-1] == 3
    assert all(value > 0 for value in curve(rows, "val/psnr")[1])


def test_a_training_that_only_skips_ends(tmp_path):
    with pytest.raises(NonFiniteError, match=r"20 steps in a row, up to step 1\d; take a lower rate, or look for NaN"):
        trained(tmp_path, data=Blobs(4, broken=(0,)), epochs=30)


def test_bfloat16_networks_train(tmp_path):
    _, rows = trained(tmp_path / "half", precision="bf16-mixed")
    _, whole = trained(tmp_path / "whole")
    half, full = (curve(found, "val/loss")[1] for found in (rows, whole))
    assert half == pytest.approx(full, rel=0.05) and half != full


def test_a_background_goes_to_the_part_that_takes_it_or_is_subtracted():
    sample = collate([Blobs(1)[0]])
    lit = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    arguments = {"loss": Loss({"mse": 1.0}, brightness="absolute"), "optimisation": Optimisation(), "steps": 1}
    with_light = replace(sample, measurement=sample.measurement + lit, background=lit)
    dark = Training(ModularReconstruction(UnrolledADMM(2)), **arguments)
    taking = Training(ModularReconstruction(UnrolledADMM(2), background=BackgroundSubtraction()), **arguments)
    expected = dark.reconstruct(sample)[0]["image"]
    torch.testing.assert_close(dark.reconstruct(with_light)[0]["image"], expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(taking.reconstruct(with_light)[0]["image"], expected, rtol=1e-3, atol=1e-4)


def test_samples_without_scene_or_psf_are_refused():
    sample = Blobs(1)[0]
    for name in ("scene", "psf"):
        with pytest.raises(InputError, match=f"training needs the {name} of every sample"):
            check_batch(collate([replace(sample, **{name: None})]))
    with pytest.raises(InputError, match="expected scenes of 3 channels like the measurements, got 1"):
        check_batch(collate([replace(sample, scene=sample.scene[:1])]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number >= 1"),
        ({"epochs": 1, "ema": 1.0}, "ema: expected a decay"),
        ({"epochs": 1, "precision": "bf16"}, "'bf16' is not known"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Settings(**settings)
