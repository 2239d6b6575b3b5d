"""Samples of random cameras: functions of (seed, epoch, number) that obey y = psf * x as far as their errors allow."""

import pytest
import torch

from lensless.data.mask_bank import MaskBank
from lensless.data.pictures import shrink_pictures
from lensless.data.random_cameras import RandomCameras
from lensless.data.sample import collate
from lensless.data.scenes import list_pictures
from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    bank = MaskBank(folder, kinds={"digicam": {}, "pinholes": {}}, count=4, size="tiny", seed=1)
    bank.prepare()
    return bank, shrink_pictures(list_pictures("skimage"), folder, longest_side=120)


def make(parts, **changes):
    bank, pictures = parts
    return RandomCameras(bank, pictures=pictures, encoding="linear", **{"length": 40, "seed": 3, **changes})


def test_a_sample_depends_on_seed_epoch_and_number_alone(parts):
    one, same = make(parts), make(parts, length=100)
    for key in ((0, 5), (2, 5), (2, 17)):
        first, second = one[key], same[key]
        for name in ("measurement", "scene", "psf"):
            assert torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(one[0, 5].scene, one[1, 5].scene)
    assert not torch.equal(one[5].measurement, make(parts, seed=4)[5].measurement)
    torch.manual_seed(0)
    again = one[2, 17]
    assert torch.equal(again.measurement, same[2, 17].measurement)


def test_cameras_take_turns(parts):
    dataset = make(parts)
    assert dataset.labels.tolist() == [0, 1, 2, 3] * 10
    assert [dataset[i].mask for i in range(5)] == [0, 1, 2, 3, 0]
    assert dataset.shown == {"astronaut.npy", "chelsea.npy", "coffee.npy", "rocket.npy"}


def test_what_is_measured_is_the_scene_through_the_psf_but_for_errors(parts):
    """At 60 dB what is left is saturation, 8 bits, the background's 3 %, and a PSF that is wrong."""
    dataset = make(parts, snr_db=(60.0, 60.0))
    misfits = []
    for index in range(40):
        sample = dataset[index]
        expected = LenslessConvolution(sample.psf)(sample.scene[None])[0]
        misfits.append(float((sample.measurement - expected).norm() / expected.norm()))
    misfits = torch.tensor(misfits)
    assert float(misfits.median()) < 0.1
    assert float(misfits.max()) < 0.5
    assert float(misfits.min()) > 1e-4  # and no sample is free of them


def test_more_noise_is_more_noise(parts):
    quiet, loud = (make(parts, snr_db=(snr, snr)) for snr in (40.0, 10.0))
    gaps = []
    for index in range(12):
        one, other = quiet[index], loud[index]
        assert torch.equal(one.scene, other.scene)
        gaps.append(float((one.measurement - other.measurement).norm() / one.measurement.norm()))
    # a noise-to-signal ratio of 10 dB is 0.32 of the light with its background, which is up to 1.5 times the scene's
    assert 0.25 < sum(gaps) / len(gaps) < 0.6


def test_some_pictures_fill_the_field_and_some_do_not(parts):
    dataset = make(parts)
    scenes = [dataset[i].scene for i in range(40)]
    filled = [bool((scene[:, [0, -1], :] > 0).any() & (scene[..., [0, -1]] > 0).any()) for scene in scenes]
    assert 0.4 < sum(filled) / len(filled) < 0.95


def test_psfs_are_normalised_and_batched_one_a_sample(parts):
    dataset = make(parts)
    batch = collate([dataset[i] for i in range(6)])
    assert batch.psf.shape == (6, 3, 36, 48)
    torch.testing.assert_close(batch.psf.sum((-2, -1)).mean(1), torch.ones(6))


def test_wrong_arguments_are_refused(parts):
    with pytest.raises(InputError, match=r"snr_db: expected \[least, most\], got \(3, 2\)"):
        make(parts, snr_db=(3, 2))
    with pytest.raises(InputError, match="length: expected at least 1 sample an epoch, got 0"):
        make(parts, length=0)
