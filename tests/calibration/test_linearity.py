"""Whether a camera is linear: each way not to be is found, and called by its name."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lensless.calibration.darks import Darks
from lensless.calibration.linearity import measure_linearity
from lensless.errors import InputError

EXPOSURES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
SHAPE = (90, 120)


def light(kind="wedge"):
    return torch.linspace(0.1, 4.0, SHAPE[1]).expand(SHAPE) if kind == "wedge" else torch.full(SHAPE, 1.4)


def series(lab, *, kind="wedge", curve=None, settings=None, **sensor):
    """A bracket; ``curve`` is what happens to signals in [0, 1], ``settings`` to what a frame reports."""
    frames = []
    for k, exposure in enumerate(EXPOSURES):
        frame = lab.take(lab.sensor(SHAPE, **sensor), light(kind), exposure, seed=k)
        if curve is not None:
            counts = 256 + (4095 - 256) * curve(frame.signal().clamp(0, 1), k)
            frame = replace(frame, counts=counts.round().int())
        frames.append(frame if settings is None else replace(frame, **settings(k)))
    return frames


@pytest.mark.parametrize("kind", ["wedge", "even"])
def test_a_linear_camera_is_called_good_and_measured(lab, kind):
    found = measure_linearity(series(lab, kind=kind, prnu=0.01))
    assert found.verdict() == "good"
    assert found.exponent == pytest.approx(1, abs=0.005)
    assert found.black_level == pytest.approx(256, abs=1)
    assert found.nonlinearity < 0.005
    assert found.electrons_per_count == pytest.approx(2.0, rel=0.04)
    assert found.read_noise == pytest.approx(4.0, rel=0.1)  # with 2 / sqrt(12) electrons of rounding
    assert found.ceiling == 4095


def test_averages_are_told_from_frames_by_their_number(lab):
    frames = [replace(frame, frames=4) for frame in series(lab)]  # as if averaged, with the noise of one
    found = measure_linearity(frames)
    assert found.electrons_per_count == pytest.approx(0.5, rel=0.05)
    assert found.read_noise == pytest.approx(4.0 / 4 * 2, rel=0.1)


def test_gamma_that_was_left_on_is_found(lab):
    found = measure_linearity(series(lab, curve=lambda s, k: s ** (1 / 2.2)))
    assert found.exponent == pytest.approx(1 / 2.2, abs=0.02)
    assert "the signal grows as exposure^0.4" in found.verdict() and "gamma or a tone curve is on" in found.verdict()


def test_automatic_gain_that_was_left_on_is_found(lab):
    found = measure_linearity(series(lab, kind="even", curve=lambda s, k: s * 0.5 / s.mean()))
    assert found.exponent == pytest.approx(0, abs=0.05)
    assert found.verdict().startswith("the signal does not follow the exposure")
    assert "automatic exposure or gain is on" in found.verdict()


def test_light_that_flickers_is_found(lab):
    wild = [1.0, 0.7, 1.2, 0.8, 1.0, 0.6, 1.1]
    found = measure_linearity(series(lab, curve=lambda s, k: (s * wild[k]).clamp(0, 1)))
    assert found.scatter > 0.1
    assert "or the light flickers" in found.verdict()


def test_a_wrong_black_level_is_found_and_darks_mend_it(lab):
    frames = series(lab, settings=lambda k: {"black_level": 240})
    found = measure_linearity(frames)
    assert found.black_level == pytest.approx(256, abs=1.5)
    assert "counts, the records say 240: set it so" in found.verdict()
    darks = [lab.take(lab.sensor(SHAPE), 0.0, t, seed=90 + k) for k, t in enumerate((0.01, 0.6))]
    assert measure_linearity(frames, Darks([replace(dark, black_level=240) for dark in darks])).verdict() == "good"


def test_pixels_that_clip_below_full_scale_are_found(lab):
    found = measure_linearity(series(lab, curve=lambda s, k: s.clamp_max(0.6)))
    assert found.ceiling == pytest.approx(256 + 0.6 * 3839, abs=1)
    assert found.verdict().startswith(f"pixels clip at {found.ceiling:.0f} counts, below the 4095 of 12 bits")
    assert found.exponent == pytest.approx(1, abs=0.01) and found.electrons_per_count == pytest.approx(2.0, rel=0.05)


def test_a_response_that_bends_is_found(lab):
    found = measure_linearity(series(lab, curve=lambda s, k: s - 0.15 * s**3))
    assert found.nonlinearity > 0.02 and "the response bends by" in found.verdict()


def test_too_little_to_tell_is_refused(lab):
    frames = series(lab)
    with pytest.raises(InputError, match="expected 3 different exposures or more, got 2"):
        measure_linearity([frames[0], frames[3], frames[3]])
    dark = [lab.take(lab.sensor(SHAPE), 0.0, t, seed=k) for k, t in enumerate(EXPOSURES)]
    with pytest.raises(InputError, match="nothing is above 2% of full scale and unclipped in two exposures"):
        measure_linearity(dark)


def test_points_are_the_means_of_groups(lab):
    found = measure_linearity(series(lab))
    tau, signal, group = found.points.T
    assert set(tau) == set(EXPOSURES)
    brightest = signal[(group == group.max()) & (tau == 0.08)]
    assert brightest == pytest.approx(0.08 * float(light()[:, -4:].mean()), rel=0.01)
    # a group that clips is left out
    assert signal.max() < 1.0 and np.sum(tau == 0.64) < np.sum(tau == 0.01)
