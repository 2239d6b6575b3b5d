"""State dicts from files: read without running code, loaded whole or not at all."""

import pytest
import torch
from torch import nn

from lensless.errors import InputError
from lensless.models.state import load_state, read_state


class Payload:
    """Unpickling it would create the file that it names."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_reads_what_torch_saved(tmp_path):
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.steps": torch.tensor(7)}
    torch.save(state, tmp_path / "weights.pth")
    read = read_state(tmp_path / "weights.pth")
    assert set(read) == set(state)
    for name, value in state.items():
        torch.testing.assert_close(read[name], value, rtol=0, atol=0)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"weight": torch.zeros(2), "extra": Payload(tmp_path / "ran")}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="no code of it was run"):
        read_state(tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 1, 40, 500, -30])
def test_a_file_cut_off_is_refused(tmp_path, kept):
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(64, 64)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"weights\.pth"):
        read_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.tensor([1.0, float("nan")]), "b": torch.ones(1)}, "NaN or infinite in a$"),
        ({"a": 3}, "expected tensors by name"),
        (torch.zeros(3), "expected tensors by name"),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=message):
        read_state(tmp_path / "weights.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing at .*none\.pth"):
        read_state(tmp_path / "none.pth")


def test_differences_come_in_groups_and_nothing_is_loaded():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = {"0.weight": torch.ones(3, 2), "1.weight": torch.ones(2, 3), "1.bias": torch.ones(1)}
    state |= {f"old.{index}": torch.ones(1) for index in range(6)}
    with pytest.raises(InputError) as caught:
        load_state(module, state, "a file")
    assert str(caught.value) == (
        "weights: expected those of this Sequential in a file; 1 missing there: 0.bias; "
        "6 unknown here: old.0, old.1, old.2, old.3 and 2 more; "
        "1 of another shape: 1.weight (2, 3) instead of (1, 3)"
    )
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    load_state(module, before, "itself")
