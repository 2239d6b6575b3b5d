"""Splits by rows, masks and shares: no sample and no scene in two of them."""

import numpy as np
import pytest

from lensless.data.source import Source
from lensless.data.splits import split_indices
from lensless.errors import InputError


class Bare(Source):
    """A source of which only the labels, groups and own splits matter here."""

    def __init__(self, labels, groups=None, splits=None):
        self.labels = np.asarray(labels)
        self.groups = groups or [f"scene {index}" for index in range(len(labels))]
        self.splits = splits or {}

    def stored(self, what, index):
        raise AssertionError("splits read no image")

    psf = name = identity = stored


def test_a_source_without_rules_is_for_training_but_for_a_twentieth():
    splits = split_indices({}, Bare([0] * 60))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 57, "validation": 3}
    assert sorted([*splits["train"], *splits["validation"]]) == list(range(60))


def test_validation_takes_whole_scenes():
    groups = [f"scene {index % 10}" for index in range(60)]
    splits = split_indices({}, Bare([0] * 60, groups))
    held_out = {groups[index] for index in splits["validation"]}
    assert len(held_out) == 1 and len(splits["validation"]) == 6
    assert held_out.isdisjoint(groups[index] for index in splits["train"])


def test_a_share_does_not_depend_on_order():
    names = [f"scene {index}" for index in range(40)]
    one = split_indices({"test": {"share": 0.2}, "train": {"share": 1.0}}, Bare([0] * 40, names))
    other = split_indices({"test": {"share": 0.2}, "train": {"share": 1.0}}, Bare([0] * 40, names[::-1]))
    assert len(one["test"]) == 8
    assert {names[index] for index in one["test"]} == {names[::-1][index] for index in other["test"]}
    assert set(one) == {"test", "train", "validation"}


def test_masks_are_split_by_label():
    source = Bare([row % 100 for row in range(300)])
    splits = split_indices({"train": {"masks": [15, 99]}, "test": {"masks": [0, 14]}}, source)
    assert len(splits["test"]) == 45 and set(source.labels[splits["test"]]) == set(range(15))
    assert set(source.labels[splits["train"]]) == set(range(15, 100))


def test_own_splits_are_counted():
    source = Bare([0] * 10, splits={"train": np.arange(7), "test": np.arange(7, 10)})
    assert split_indices({}, source)["test"].tolist() == [7, 8, 9]
    splits = split_indices({"train": {"rows": 7}, "validation": {"rows": None}}, Bare([0] * 9, splits={
        "train": np.arange(7), "validation": np.arange(7, 9)}))  # fmt: skip
    assert len(splits["train"]) == 7
    with pytest.raises(InputError, match="expected 8 samples in train, got 7; is the data set complete"):
        split_indices({"train": {"rows": 8}}, source)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"train": {"rows": None}}, "'train' is not among the splits of the data: none"),
        ({"train": {"masks": [0, 1]}, "test": {"masks": [1, 2]}}, "no sample in two splits, got 5"),
        ({"train": {"part": 1}}, "expected rows, masks or share for train"),
        ({"test": {"share": 2.0}}, r"expected a share in \(0, 1\] for test"),
    ],
)
def test_wrong_rules_are_refused(rules, message):
    with pytest.raises(InputError, match=message):
        split_indices(rules, Bare([0, 1, 2] * 5))
