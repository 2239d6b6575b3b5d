"""Finished masks: every configuration builds one, and its light does what the design says."""

import hydra
import pytest
import torch
import torch.nn.functional as F

from lensless.physics.mask_designs import contour_mask, mls_mask, mura_mask
from lensless.physics.masks import Mask
from lensless.physics.patterns.coded import mura
from lensless.physics.patterns.contour import contour
from lensless.physics.patterns.diffuser import diffuser
from lensless.physics.patterns.retrieval import retrieve_phase
from lensless.physics.propagation import Grid, angular_spectrum
from lensless.physics.psf import Optics, point_source_psf
from lensless.resources import resource_dir
from lensless.tasks.compose import build

CHOICES = sorted(path.stem for path in (resource_dir("configs") / "mask").glob("*.yaml"))
SMALLER = {"contour": ["mask.shape=[90,120]", "mask.iterations=1"], "diffuser": ["mask.shape=[90,120]"]}


def likeness(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1])


@pytest.mark.parametrize("choice", CHOICES)
def test_every_configuration_builds_a_mask_that_passes_light(choice):
    with hydra.initialize_config_dir(str(resource_dir("configs")), version_base="1.3"):
        cfg = hydra.compose(overrides=[f"+mask={choice}", *SMALLER.get(choice, [])])
    mask = build(cfg.mask, "mask")
    assert isinstance(mask, Mask)
    transmission = mask.transmission(mask.grid((2.5e-6, 2.4e-6)), 550e-9)
    assert transmission.dtype == torch.complex64
    assert float(transmission.abs().max()) <= 1 + 1e-6
    assert 0.005 < float(transmission.abs().square().mean()) <= 1


def test_tiles_repeat_the_pattern():
    mask = mura_mask(7, cell=2e-5, repeats=2)
    assert torch.equal(mask.amplitude[7:, :7].double(), mura(7))
    assert mls_mask(3, column_order=4, cell=2e-5, repeats=2).amplitude.shape == (14, 30)


def test_phase_retrieval_makes_the_target_and_improves():
    grid, wavelength, distance = Grid((130, 170), (3e-6, 3e-6)), 532e-9, 1.2e-3
    target = contour(grid, correlation_length=9e-5, line_width=1.2e-5, seed=0)
    scores = []
    for iterations in (0, 2, 12):
        phase = retrieve_phase(target, grid, wavelength=wavelength, distance=distance, iterations=iterations)
        field = torch.polar(torch.ones_like(phase), phase)
        light = angular_spectrum(field, grid, wavelength=wavelength, distance=distance).abs() ** 2
        scores.append(likeness(light, target))
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 0.85


def test_the_contour_mask_draws_its_contour_on_the_sensor():
    design = {"correlation_length": 9e-5, "line_width": 1.6e-5, "seed": 3}
    mask = contour_mask(
        (150, 200), pitch=(4e-6, 4e-6), distance=1.5e-3, wavelength=532e-9, iterations=5, index=1.52, **design
    )
    optics = Optics(
        sensor_shape=(75, 100), pixel_pitch=(8e-6, 8e-6), distance=1.5e-3, wavelengths=(532e-9,), oversample=4
    )
    target = contour(Grid((150, 200), (4e-6, 4e-6)), **design)
    # cell (2 i, 2 j) lies in the middle of pixel (i, j): a pixel takes it whole and half of its neighbours
    weights = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    target = F.conv2d(target[None, None], torch.outer(weights, weights)[None, None], stride=2, padding=1)
    assert likeness(point_source_psf(mask, optics).detach(), target) > 0.85


def test_a_diffuser_is_sharpest_where_its_curvature_focuses():
    grid, wavelength, index = Grid((400, 500), (2.5e-6, 2.5e-6)), 532e-9, 1.5
    length, slope = 1e-4, 0.05
    height = diffuser(grid, correlation_length=length, slope=slope, seed=0)
    field = torch.polar(torch.ones_like(height), 2 * torch.pi * (index - 1) / wavelength * height)
    focus = length / (3**0.5 * (index - 1) * slope)

    def contrast(distance):
        light = angular_spectrum(field, grid, wavelength=wavelength, distance=distance).abs() ** 2
        light = light[100:300, 100:400]
        return float(light.std() / light.mean())

    assert contrast(focus) > 1.5
    assert contrast(focus) > 1.3 * max(contrast(focus / 4), contrast(4 * focus))
