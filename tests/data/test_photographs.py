"""Photographs before ready cameras: who sees which, and the PSF that a wrong calibration hands on."""

from pathlib import Path

import pytest
import torch

from lensless.data.augment import Augment
from lensless.data.mismatch import PSFError
from lensless.data.photographs import random_cameras, simulated, split_pictures
from lensless.data.random_cameras import RandomCameras
from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.random import sample_generator
from lensless.physics.system import get_system


def make(tmp_path, **changes):
    words = {"split": "train", "samples": 4, "size": "tiny", "cache": str(tmp_path), "longest_side": 120}
    return simulated("digicam", "skimage", **(words | changes))


def test_a_tenth_of_the_pictures_each_is_held_out():
    splits = split_pictures([Path(f"{n}.png") for n in range(57)])
    assert {name: len(found) for name, found in splits.items()} == {"test": 6, "validation": 6, "train": 45}
    assert len({path.name for found in splits.values() for path in found}) == 57


def test_all_takes_every_picture(tmp_path):
    parts = [make(tmp_path, split=split).shown for split in ("train", "validation", "test")]
    assert make(tmp_path, split="all").shown == set().union(*parts) and all(parts)


def test_more_pictures_never_move_a_held_out_one_into_training():
    """The first of more pictures, by hash, are the first of fewer and of new ones."""
    few = split_pictures([Path(f"{n}.png") for n in range(57)])
    many = split_pictures([Path(f"{n}.png") for n in range(75)])
    known = {Path(f"{n}.png") for n in range(57)}
    assert set(many["test"]) & known <= set(few["test"]) | set(few["validation"])


def test_masks_of_consecutive_seeds_take_turns(tmp_path):
    dataset = make(tmp_path, mask_seed=3, n_masks=2)
    for mask, seed in ((0, 3), (1, 4)):
        torch.testing.assert_close(dataset.psf(mask), get_system("digicam", size="tiny", mask_seed=seed).psf)
    assert [dataset[i].mask for i in range(4)] == [0, 1, 0, 1]


def test_settings_change_the_camera(tmp_path):
    dataset = make(tmp_path, settings={"mask_distance": 3e-3})
    expected = get_system("digicam", size="tiny", settings={"mask_distance": 3e-3}).psf
    torch.testing.assert_close(dataset.psf(0), expected)
    assert not torch.allclose(expected, get_system("digicam", size="tiny").psf, atol=1e-4)


def test_a_wrong_turn_is_believed_while_the_true_one_measures(tmp_path):
    right, wrong = make(tmp_path, snr_db=70.0), make(tmp_path, snr_db=70.0, assumed={"mask.lcd.rotation": 0.2})
    torch.testing.assert_close(wrong[1].measurement, right[1].measurement)
    believed = get_system("digicam", size="tiny", settings={"mask.lcd.rotation": 0.2}).psf
    torch.testing.assert_close(wrong[1].psf, believed)
    misfits = [
        float((LenslessConvolution(one.psf)(one.scene[None])[0] - one.measurement).norm() / one.measurement.norm())
        for one in (right[1], wrong[1])
    ]
    assert misfits[0] < 2e-3 < 1e-2 < misfits[1]


def test_a_psf_error_is_drawn_once_for_each_mask(tmp_path):
    error = PSFError(snr_db=15.0)
    one = make(tmp_path, n_masks=2, psf_error=error)
    other = make(tmp_path, n_masks=2, psf_error=error, split="test", seed=9)
    assert torch.equal(one.psf(0), other.psf(0))
    true = get_system("digicam", size="tiny").psf
    expected = error(true, sample_generator(0, 0))
    torch.testing.assert_close(one.psf(0), expected / expected.sum((-2, -1)).mean())
    noise = [one.psf(mask) - get_system("digicam", size="tiny", mask_seed=mask).psf for mask in (0, 1)]
    assert not torch.allclose(*noise, atol=1e-4)


def test_an_augmentation_changes_what_is_measured(tmp_path):
    plain, noisy = make(tmp_path), make(tmp_path, augment=Augment(snr_db=(5.0, 5.0)))
    assert torch.equal(plain[2].scene, noisy[2].scene)
    gap = float((plain[2].measurement - noisy[2].measurement).norm() / plain[2].measurement.norm())
    assert gap == pytest.approx(10 ** (-5 / 20), rel=0.1)


def test_random_cameras_compute_their_masks_once(tmp_path):
    words = {"split": "validation", "samples": 6, "kinds": {"digicam": {}}, "cameras": 2, "size": "tiny"}
    dataset = random_cameras("skimage", **words, cache=str(tmp_path), longest_side=120)
    assert isinstance(dataset, RandomCameras)
    files = sorted(dataset.bank.folder.glob("*.npy"))
    stamps = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2
    random_cameras("skimage", **words, cache=str(tmp_path), longest_side=120)
    assert [file.stat().st_mtime_ns for file in files] == stamps


def test_settings_may_be_dotted_or_in_sections(tmp_path):
    opening = [5e-5, 1.5e-4]
    dotted = make(tmp_path, assumed={"mask.lcd.opening": opening})
    sections = make(tmp_path, assumed={"mask": {"lcd": {"opening": opening}}})
    torch.testing.assert_close(dotted.psf(0), sections.psf(0), rtol=0, atol=0)
    assert float((dotted.psf(0) - make(tmp_path).psf(0)).abs().max()) > 1e-5


def test_wrong_words_are_refused(tmp_path):
    with pytest.raises(InputError, match="split: 'tst' is not known; did you mean test"):
        make(tmp_path, split="tst")
    with pytest.raises(InputError, match=r"settings: digicam has no key 'mask.slope'; see configs/system/digicam.yaml"):
        make(tmp_path, settings={"mask.slope": 1.0})
    with pytest.raises(InputError, match="n_masks: expected at least 1, got 0"):
        make(tmp_path, n_masks=0)
    with pytest.raises(InputError, match="scenes: expected at least 3 pictures, for three splits, got 2"):
        split_pictures([Path("a.png"), Path("b.png")])
