"""A PSF improved by ordinary measurements, and a comparison that a worthless PSF does not win."""

from dataclasses import replace

import cv2
import pytest
import skimage.data
import torch

from lensless.calibration.refine import left_out, predictive_errors, refine_psf
from lensless.errors import InputError
from lensless.images.gamma import srgb_to_linear
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.random import normal, sample_generator
from lensless.physics.system import get_system

QUICK = {"steps": 20, "batch": 4, "iterations": 15, "rate": 0.06}
PHOTOS = (skimage.data.astronaut, skimage.data.chelsea, skimage.data.coffee, skimage.data.rocket)


@pytest.fixture(scope="module")
def camera():
    """The PSF of a small camera, the quarters of four photographs, and what it measures of them at 35 dB."""
    system = replace(get_system("multilens", size="tiny"), snr_db=35.0)
    scenes = []
    for photo in (photo() for photo in PHOTOS):
        height, width = (side // 2 for side in photo.shape[:2])
        for part in (photo[:height, :width], photo[:height, width:], photo[height:, :width], photo[height:, width:]):
            part = cv2.resize(part, (48, 36), interpolation=cv2.INTER_AREA)
            scenes.append(srgb_to_linear(torch.from_numpy(part) / 255).movedim(-1, 0))
    scenes = torch.stack(scenes)
    measurements = [system.measure(scene[None], sample_generator(0, index)) for index, scene in enumerate(scenes)]
    return system.psf, scenes, torch.cat(measurements)


def noisy(psf):
    psf = (psf + 0.4 * psf.square().mean().sqrt() * normal(psf, sample_generator(3, 0))).clamp_min(0)
    return psf / psf.sum((-2, -1)).mean()


def distance(a, b):
    return float((a - b).norm() / b.norm())


def test_a_point_explains_everything_and_predicts_nothing(camera):
    psf, _, y = camera
    point = torch.zeros_like(psf)
    point[:, 18, 24] = 1
    assert float((LenslessConvolution(point)(y) - y).abs().max()) < 1e-6
    assert predictive_errors(point, y[:2], seed=0).tolist() == pytest.approx([1, 1])
    errors = predictive_errors(psf, y[:6], seed=0)
    assert float(errors.max()) < 0.1
    assert bool((errors < predictive_errors(noisy(psf), y[:6], seed=0)).all())


def test_a_broad_blur_is_no_camera_either(camera):
    psf, _, y = camera
    rows, columns = torch.arange(36)[:, None] - 18, torch.arange(48) - 24
    blob = torch.exp(-(rows**2 + columns**2) / (2 * 2.0**2)).expand(psf.shape)
    blob = blob / blob.sum((-2, -1)).mean()
    assert bool((predictive_errors(blob, y[:6], seed=0) > predictive_errors(psf, y[:6], seed=0)).all())


def test_blocks_left_out_are_a_fifth_and_a_function_of_seed_and_index():
    out = left_out((36, 50), seed=1, index=2)
    assert torch.equal(out, left_out((36, 50), seed=1, index=2))
    assert not torch.equal(out, left_out((36, 50), seed=1, index=3))
    blocks = out[::6, ::6]
    assert int(blocks.sum()) == round(0.2 * 6 * 9)
    assert torch.equal(out, blocks.repeat_interleave(6, 0).repeat_interleave(6, 1)[:, :50])


def test_a_noisy_psf_is_improved_and_nearer_to_the_truth(camera):
    psf, _, y = camera
    start = noisy(psf)
    said = []
    found = refine_psf(start, y, **QUICK, progress=lambda *words: said.append(words))
    assert found.accepted and found.gain > 0.04
    assert distance(found.psf, psf) < 0.95 * distance(start, psf)
    assert float(found.psf.sum((-2, -1)).mean()) == pytest.approx(1) and float(found.psf.min()) >= 0
    assert [step for step, _ in said] == [10, 20] and len(found.history) == 3


def test_known_scenes_improve_it_more(camera):
    psf, scenes, y = camera
    start = noisy(psf)
    # a gain of its own for every measurement and colour has no effect
    y = y * torch.linspace(0.5, 1.5, 48).reshape(16, 3, 1, 1)
    found = refine_psf(start, y, scenes=scenes, **{**QUICK, "steps": 60}, pull=1e-3)
    assert found.accepted
    assert distance(found.psf, psf) < 0.8 * distance(start, psf)


def test_the_true_psf_stays(camera):
    psf, _, y = camera
    found = refine_psf(psf, y, **QUICK)
    assert not found.accepted and found.gain < 0.04
    torch.testing.assert_close(found.psf, psf / psf.sum((-2, -1)).mean())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda psf, y: (psf, y[:15]), "measurements: expected at least 16 to improve, choose and judge by, got 15"),
        (lambda psf, y: (psf, y[..., :-1]), r"measurements: expected \(N, 3, 36, 48\) like the PSF"),
        (lambda psf, y: (psf[None], y), r"psf: expected \(C, h, w\)"),
    ],
)
def test_wrong_input_is_refused(camera, arguments, message):
    psf, _, y = camera
    with pytest.raises(InputError, match=message):
        refine_psf(*arguments(psf, y))
