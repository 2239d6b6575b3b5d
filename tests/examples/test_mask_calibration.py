"""The example fits from two of its random starts, small: within 1 % of distance, 0.1 degree and 0.2 pixel at 30 dB."""

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "examples" / "mask_calibration.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("mask_calibration", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mask_calibration"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_a_geometry_is_recovered_from_random_starts(example, capsys):
    small = {"cells": (16, 9), "pixels": (64, 96), "pitch": 20e-6, "wavelengths": (540e-9,), "gains": (1.0,)}
    settings = example.Settings(**small, true_oversample=5)
    begins = example.starts(settings, 2)
    assert max(abs(start.distance / settings.truth.distance - 1) for start in begins) > 0.03
    for percent, degrees, pixels in example.recover(settings, 2):
        assert percent < 1 and degrees < 0.1 and pixels < 0.2
    assert capsys.readouterr().out.count("|") == 6
