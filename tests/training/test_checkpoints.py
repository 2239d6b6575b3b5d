import pickle
import resource

import pytest
import torch

from lensless.errors import InputError
from lensless.training.checkpoints import WholeCheckpoints


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    content = {"state_dict": {"weight": torch.arange(6.0).reshape(2, 3)}, "global_step": 7, "loops": {"a": [1, None]}}
    WholeCheckpoints().save_checkpoint(content, tmp_path / "last.ckpt")
    found = WholeCheckpoints().load_checkpoint(tmp_path / "last.ckpt")
    assert torch.equal(found["state_dict"].pop("weight"), content["state_dict"].pop("weight"))
    assert found == content
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_file_that_does_not_fit_leaves_the_one_before_it(tmp_path):
    WholeCheckpoints().save_checkpoint({"global_step": 1}, tmp_path / "last.ckpt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"last\.ckpt: cannot be written"):
            WholeCheckpoints().save_checkpoint({"weights": torch.zeros(100_000)}, tmp_path / "last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert WholeCheckpoints().load_checkpoint(tmp_path / "last.ckpt") == {"global_step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"global_step": print}, tmp_path / "last.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        WholeCheckpoints().load_checkpoint(tmp_path / "last.ckpt")
