"""What the transfer example says about two trainings, on curves by hand."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from lensless.training.curves import HEADER

FILE = Path(__file__).parents[2] / "examples" / "transfer.py"


@pytest.fixture(scope="module")
def transfer():
    spec = importlib.util.spec_from_file_location("transfer", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["transfer"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_processor_time_is_shared_out_over_the_steps_of_all_starts(transfer, tmp_path):
    rows = [(9, "train/loss", 0.5), (49, "val/psnr", 20.0), (99, "val/psnr", 21.0), (199, "val/psnr", 23.0)]
    lines = [",".join(map(str, row)) for row in (HEADER, *rows)]
    (tmp_path / "curves.csv").write_text("\n".join(lines) + "\n")
    transfer.add_seconds(tmp_path / transfer.SECONDS, 200.0)
    transfer.add_seconds(tmp_path / transfer.SECONDS, 40.0)
    found = transfer.read_curve(tmp_path)
    assert found.minutes.tolist() == [1.0, 2.0, 4.0]
    assert found.quality.tolist() == [20.0, 21.0, 23.0]
    assert found.after(3) == 22.0
    assert found.reaches(20.5) == 2.0
    assert math.isnan(found.after(0.5)) and math.isnan(found.after(5)) and math.isnan(found.reaches(24))


def test_the_table_says_when_fine_tuning_is_as_good_as_the_whole_training(transfer):
    minutes = np.array([1.0, 2.0, 6.0])
    curves = {
        "fine-tuned": transfer.Curve(minutes, np.array([20.0, 22.5, 23.0])),
        "from scratch": transfer.Curve(minutes, np.array([17.0, 20.0, 22.4])),
    }
    head, _, tuned, scratch = transfer.table(curves).splitlines()
    assert head.endswith("| best | minutes to 22.40 dB |")
    assert tuned == "| fine-tuned | 20.00 | 22.50 | 22.88 | - | 23.00 | 2.0 |"
    assert scratch == "| from scratch | 17.00 | 20.00 | 21.80 | - | 22.40 | 6.0 |"
    assert len(transfer.figure(curves, 19.0).axes[0].lines) == 4
