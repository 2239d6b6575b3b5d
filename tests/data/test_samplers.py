"""Batches in an order that is a function of (seed, epoch), for any number of processes, from any place on."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from lensless.data.epochs import epoch_and_index
from lensless.data.sample import Sample
from lensless.data.samplers import Loader, MaskBatchSampler
from lensless.errors import InputError

LABELS = np.array([0, 1, 2] * 7)


class Numbers(Dataset):
    """Samples that hold their epoch and their number."""

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, key):
        epoch, index = epoch_and_index(key)
        return Sample(index=index, mask=int(LABELS[index]), measurement=torch.tensor([[[float(epoch), index]]]))


def indices(batches):
    return [[index for _, index in batch] for batch in batches]


def test_batches_of_one_mask_hold_one_mask_and_every_sample_but_the_rest_once():
    sampler = MaskBatchSampler(LABELS, batch_size=3, seed=5, mixed=False)
    batches = indices(sampler)
    assert len(batches) == len(sampler) == 6
    assert all(len(set(LABELS[batch])) == 1 for batch in batches)
    assert max(Counter(index for batch in batches for index in batch).values()) == 1
    # the masks take turns by chance
    assert [LABELS[batch[0]] for batch in batches] != sorted(LABELS[batch[0]] for batch in batches)


def test_mixed_batches_mix_and_cover():
    sampler = MaskBatchSampler(LABELS, batch_size=4, seed=5)
    batches = indices(sampler)
    assert len(batches) == 5 and len({index for batch in batches for index in batch}) == 20
    assert max(len(set(LABELS[batch])) for batch in batches) == 3


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again, other = (MaskBatchSampler(LABELS, batch_size=3, seed=seed) for seed in (1, 1, 2))
    epochs = [list(first), list(first)]
    assert epochs == [list(again), list(again)]
    assert indices(epochs[0]) != indices(epochs[1]) != indices(other)
    assert {epoch for batch in epochs[1] for epoch, _ in batch} == {1}


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_share_the_batches_of_one(mixed, shuffle):
    arguments = {"batch_size": 4, "seed": 3, "mixed": mixed, "shuffle": shuffle}
    whole = indices(MaskBatchSampler(LABELS, **arguments))
    parts = [MaskBatchSampler(LABELS, rank=rank, world=2, **arguments) for rank in (0, 1)]
    first, second = (indices(part) for part in parts)
    assert [len(part) for part in parts] == [len(first), len(second)]
    assert Counter(chain(*first, *second)) == Counter(chain(*whole))
    for place, batch in enumerate(first):
        assert batch == whole[place][::2]


def test_without_shuffling_everything_comes_in_order():
    sampler = MaskBatchSampler(LABELS, batch_size=4, shuffle=False)
    assert indices(sampler) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19], [20]]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_where_another_stopped(workers):
    def make():
        return Loader(Numbers(), sampler=MaskBatchSampler(LABELS, batch_size=4, seed=9), workers=workers)

    def read(loader):
        return [batch.measurement.flatten(1).tolist() for batch in loader]

    whole = make()
    expected = [read(whole), read(whole)]
    assert whole.state_dict() == {"epoch": 1, "batch": 5}
    stopped = make()
    for place, _ in enumerate(stopped):
        if place == 1:
            break
    # the workers are ahead by now, the state is not
    assert stopped.state_dict() == {"epoch": 0, "batch": 2}
    resumed = make()
    resumed.load_state_dict(stopped.state_dict())
    assert [read(resumed), read(resumed)] == [expected[0][2:], expected[1]]
    after = make()
    after.load_state_dict({"epoch": 0, "batch": 5})
    assert read(after) == expected[1]


def test_an_epoch_can_be_asked_for():
    sampler = MaskBatchSampler(LABELS, batch_size=4)
    sampler.start_at(1, 3)
    sampler.set_epoch(1)
    assert len(list(sampler)) == 2
    sampler.set_epoch(7)
    assert {epoch for batch in sampler for epoch, _ in batch} == {7}


def test_impossible_batches_are_refused():
    with pytest.raises(InputError, match=r"batch_size: expected a multiple of world=2, .*, got 3"):
        MaskBatchSampler(LABELS, batch_size=3, world=2)
    with pytest.raises(InputError, match="batch_size: expected at most 7, the samples of one mask, got 8"):
        MaskBatchSampler(LABELS, batch_size=8, mixed=False)
