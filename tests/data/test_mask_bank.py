"""The bank of random cameras: each a function of (seed, number), within its limits, kept on disk."""

import numpy as np
import pytest
import torch

from lensless.data.mask_bank import MaskBank
from lensless.errors import InputError
from lensless.physics.system import get_system

KINDS = {"pinholes": {"mask.centres.count": [5, 9]}, "digicam": {}, "fza": {"mask_distance": [1e-3, 3e-3]}}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    made = MaskBank(tmp_path_factory.mktemp("bank"), kinds=KINDS, count=6, size="tiny", seed=4)
    made.prepare()
    return made


def test_kinds_take_turns_and_every_psf_is_one(bank):
    assert [bank.kind(index) for index in range(6)] == ["pinholes", "digicam", "fza"] * 2
    for index in range(len(bank)):
        psf = bank[index]
        assert psf.shape == (3, 36, 48)
        assert float(psf.min()) >= 0
        assert float(psf.sum((-2, -1)).mean()) == pytest.approx(1, abs=1e-5)


def test_a_camera_is_drawn_from_seed_and_number(bank):
    random = np.random.default_rng([4, 2, 0])
    mask_seed = int(random.integers(2**31))
    distance = float(np.exp(random.uniform(np.log(1e-3), np.log(3e-3))))
    expected = get_system("fza", size="tiny", mask_seed=mask_seed, settings={"mask_distance": distance}).psf
    # float16 relative to the peak
    assert float((bank[2] - expected).abs().max()) <= 2**-11 * float(expected.max())


def test_cameras_of_one_kind_differ(bank):
    assert not torch.allclose(bank[0], bank[3], atol=1e-3)
    assert not torch.allclose(bank[1], bank[4], atol=1e-4)


def test_a_larger_bank_adds_to_a_smaller_one(bank):
    before = {file: file.stat().st_mtime_ns for file in bank.folder.iterdir()}
    larger = MaskBank(bank.folder.parent, kinds=KINDS, count=7, size="tiny", seed=4)
    larger.prepare()
    assert larger.folder == bank.folder
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert torch.equal(larger[5], bank[5])
    assert larger[6].shape == (3, 36, 48)


@pytest.mark.parametrize("change", [{"seed": 5}, {"size": "small"}, {"kinds": {"digicam": {}}}])
def test_another_bank_has_another_folder(bank, change):
    other = MaskBank(bank.folder.parent, **{"kinds": KINDS, "count": 6, "size": "tiny", "seed": 4, **change})
    assert other.folder != bank.folder


def test_attempts_that_the_optics_refuse_are_drawn_again(tmp_path):
    # steep enough that a part of the draws turns the phase faster than the grid holds
    bank = MaskBank(tmp_path, kinds={"diffuser": {"mask.slope": [0.02, 0.2]}}, count=1, size="tiny", seed=1)
    bank.prepare()
    first = np.random.default_rng([1, 0, 0])
    seed, slope = int(first.integers(2**31)), float(np.exp(first.uniform(np.log(0.02), np.log(0.2))))
    with pytest.raises(InputError, match=r"steep|wave|height|oversample|field_pitch"):
        _ = get_system("diffuser", size="tiny", mask_seed=seed, settings={"mask.slope": slope}).psf
    assert float(bank[0].sum((-2, -1)).mean()) == pytest.approx(1, abs=1e-5)


def test_wrong_descriptions_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"kinds.tape.mask.slope: expected 0 < least <= most, got \[2, 1\]"):
        MaskBank(tmp_path, kinds={"tape": {"mask.slope": [2, 1]}}, count=1)
    with pytest.raises(InputError, match="count: expected at least 1 camera of at least 1 kind, got 0 of 1"):
        MaskBank(tmp_path, kinds={"tape": {}}, count=0)
    with pytest.raises(InputError, match=r"none of 50 attempts .*tape has no key 'mask.steepness'"):
        MaskBank(tmp_path, kinds={"tape": {"mask.steepness": [1.0, 2.0]}}, count=1, size="tiny").prepare()
