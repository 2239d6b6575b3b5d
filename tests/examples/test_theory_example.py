"""The figure of the theory: dots on lines, and what is local before and after an inversion."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from lensless.physics.filtering import full_weights

FILE = Path(__file__).parents[2] / "examples" / "theory.py"


@pytest.fixture(scope="module")
def theory():
    spec = importlib.util.spec_from_file_location("theory_example", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def freedom(formula, *, draws: int) -> float:
    """Of how many independent normal numbers a mean square of R n is: draws (sum |g|^2)^2 / sum |g|^4."""
    gain = formula.gain()
    weights, power = full_weights(formula.believed.fft, dtype=torch.float64, device=gain.device), gain.abs().square()
    return draws * float((weights * power).sum() ** 2 / (weights * power.square()).sum())


def test_solvers_measure_what_the_formula_says(theory, monkeypatch):
    monkeypatch.setattr(theory, "DRAWS", 4)
    periodic, _ = theory.KINDS
    (error, *_), (snr_db, *_) = theory.ERRORS.values(), theory.SNRS
    camera = theory.PeriodicCamera(theory.calibrated(theory.tape(1), error))
    found = {}
    for method in theory.METHODS:
        one = theory.curves(periodic, method, error, snr_db)
        found[method.name, periodic.name, "noisy", "10"] = method, one
        for value, predicted, measured in zip(method.values, one["predicted"], one["measured"], strict=True):
            for name in ("bias", "mismatch", "cross"):
                assert getattr(measured, name) == pytest.approx(getattr(predicted, name), rel=1e-6)
            error_of_mean = (2 / freedom(method.formula(camera, value), draws=4)) ** 0.5
            # exceeded by a normal number once in 10^4; there are 20 of them
            assert measured.noise == pytest.approx(predicted.noise, rel=3.9 * error_of_mean)
    rows = theory.table(found).splitlines()
    assert len(rows) == 2 + len(theory.METHODS) and rows[2].startswith("| Wiener | periodic")
    monkeypatch.setattr(theory, "ERRORS", {"noisy": error})
    monkeypatch.setattr(theory, "SNRS", (snr_db,))
    assert len(theory.figure(found).subfigs[0].axes) == 2


def test_a_share_of_energy_by_hand(theory):
    image = torch.zeros(5, 7)
    image[2, 3], image[2, 4], image[4, 3], image[0, 0] = 1.0, 2.0, 1.0, 2.0  # 0, 1, 2 and sqrt(13) from the centre
    assert list(theory.share_within(image)) == pytest.approx([0.1, 0.5, 0.6, 0.6, 1.0])


def test_inversion_spreads_the_error_of_a_pixel_and_gathers_a_point(theory):
    for method, value in zip(theory.METHODS, (1e-3, 64), strict=True):
        share = {name: values[5] for name, values in theory.locality(method, value).items()}
        assert share["error of a pixel, before"] == 1
        assert share["error of a pixel, after"] < 0.2
        assert share["point of the scene, before"] < 0.2
        assert share["bias of a point, after"] > 0.8
