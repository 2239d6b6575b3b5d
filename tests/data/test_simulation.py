"""Sample i is a function of (seed, i): not of order, of worker processes or of threads."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lensless.data.scenes import Placement, list_pictures
from lensless.data.simulation import Simulation, held_out_masks, one_thread
from lensless.errors import InputError
from lensless.physics.system import get_system


@pytest.fixture(scope="module")
def system():
    return get_system("flatcam_mls", size="tiny")


@pytest.fixture(scope="module")
def simulation(system):
    """Three masks: the camera's own, upside down and left to right."""
    psfs = [system.psf, system.psf.flip(-2), system.psf.flip(-1)]
    return Simulation(
        system,
        psf=psfs.__getitem__,
        masks=3,
        pictures=list_pictures("skimage"),
        placement=Placement(),
        encoding="srgb",
        seed=7,
    )


def assert_same(first, second):
    assert torch.equal(first.scene, second.scene)
    assert torch.equal(first.measurement, second.measurement)
    assert (first.index, first.mask, first.origin) == (second.index, second.mask, second.origin)


def test_order_and_workers_do_not_matter(simulation):
    forward = [simulation[i] for i in range(5)]
    for i in (3, 0, 4, 4, 1):
        assert_same(simulation[i], forward[i])
    for i, sample in enumerate(DataLoader(simulation, batch_size=None, sampler=range(5), num_workers=2)):
        assert_same(sample, forward[i])


def test_threads_do_not_matter(simulation):
    threads, samples = torch.get_num_threads(), []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            samples.append(simulation[2])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert_same(*samples)


def test_seed_and_index_matter(simulation, system):
    arguments = {name: getattr(simulation, name) for name in ("psf", "masks", "pictures", "placement", "encoding")}
    other = Simulation(system, **arguments, seed=8)
    assert not torch.equal(other[0].measurement, simulation[0].measurement)
    # 12 samples later mask and seed are the same
    later = next(i for i in range(12, 48, 3) if simulation.picture(i) == simulation.picture(0))
    assert not torch.equal(simulation[later].measurement, simulation[0].measurement)


def test_the_measurement_is_of_the_scene_through_the_mask_of_the_label(simulation, system):
    sample = simulation[2]
    assert sample.mask == 2
    expected = system.with_psf(system.psf.flip(-1)).physics(sample.scene[None])[0]
    noise = sample.measurement - expected
    assert float(noise.norm() / expected.norm()) < 0.01


@pytest.mark.parametrize(("masks", "pictures"), [(1, 4), (3, 4), (4, 4), (6, 4), (4, 10)])
def test_every_mask_meets_every_picture_once(system, masks, pictures):
    simulation = Simulation(
        system,
        psf=lambda _: system.psf,
        masks=masks,
        pictures=[f"{i}.png" for i in range(pictures)],
        placement=Placement(),
        encoding="srgb",
        seed=0,
    )
    pairs = [(simulation.mask(i), simulation.picture(i)) for i in range(3 * masks * pictures)]
    assert all(len(set(pairs[start : start + masks * pictures])) == masks * pictures for start in (0, 3, 7))
    assert [picture for _, picture in pairs[:pictures]] == simulation.pictures


def test_held_out_masks_follow_the_stated_rule():
    held_out = held_out_masks(3, masks=100, count=15)
    assert held_out == sorted(np.random.default_rng(3).permutation(100)[:15].tolist())
    assert len(set(held_out)) == 15
    assert held_out != held_out_masks(4, masks=100, count=15)
    assert held_out_masks(3, masks=1, count=0) == []
    with pytest.raises(InputError, match="test_masks: expected 0 to 4 of 5 masks, got 5"):
        held_out_masks(0, masks=5, count=5)


def test_threads_are_given_back_after_an_error():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
