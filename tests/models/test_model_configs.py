"""Every composition in configs/model is built, run on a small camera, and written to a card and back."""

import functools

import hydra
import pytest
import torch

from lensless.models.architecture import describe, restore
from lensless.physics.system import get_system
from lensless.resources import resource_dir

UNROLLED5 = 5 * 4
# step and momentum of each iteration; k of each channel
FISTA5, INVERSE = 5 * 2, 3
# each with the one number of its noise level
DRUNET_8M, DRUNET_4M, LIGHT = 8_161_248 + 1, 4_051_168 + 1, 264_128 + 1
RESTORMER = 4_044_848
# the branch, and the 3 x 3 convolution that merges its 400 features into the 256 of the post-processor
COMPENSATION = 3_551_120 + 9 * (256 + 400) * 256
PARAMETERS = {
    "unrolled5": UNROLLED5,
    "pre8m_unrolled5": DRUNET_8M + UNROLLED5,
    "unrolled5_post8m": UNROLLED5 + DRUNET_8M,
    "pre4m_unrolled5_post4m": DRUNET_4M + UNROLLED5 + DRUNET_4M,
    "restormer_unrolled5_restormer": RESTORMER + UNROLLED5 + RESTORMER,
    "light_unrolled5": LIGHT + UNROLLED5,
    "unrolled5_light": UNROLLED5 + LIGHT,
    "light_unrolled5_light": LIGHT + UNROLLED5 + LIGHT,
    "light_unrolled10_light": LIGHT + 2 * UNROLLED5 + LIGHT,
    "fista5": FISTA5,
    "light_fista5": LIGHT + FISTA5,
    "fista5_light": FISTA5 + LIGHT,
    "light_fista5_light": LIGHT + FISTA5 + LIGHT,
    "inverse": INVERSE,
    "light_inverse": LIGHT + INVERSE,
    "inverse_light": INVERSE + LIGHT,
    "light_inverse_light": LIGHT + INVERSE + LIGHT,
    # four penalties and slopes of each iteration; a post-processor of twice the channels
    "universal": LIGHT + 20 * 8 + 1_048_448 + 1,
    "flatnet": INVERSE + DRUNET_8M,
    "mwdn": 8_106_691,
    "mmcn": UNROLLED5 + DRUNET_8M + COMPENSATION,
    "wiener_post8m": DRUNET_8M,
    "admm100_post8m": DRUNET_8M,
    "post8m": DRUNET_8M,
    "psf_corrected": LIGHT + LIGHT + UNROLLED5 + LIGHT,
    "background_subtracted": LIGHT + UNROLLED5 + LIGHT,
    "background_learned": LIGHT + LIGHT + UNROLLED5 + LIGHT,
    # the first 3 x 3 convolution sees 2 x 2 squares of two more channels, and there is no noise level
    "background_input": LIGHT - 1 + 9 * 2 * 4 * 16 + UNROLLED5 + LIGHT,
}


def names():
    return sorted(path.stem for path in (resource_dir("configs") / "model").glob("*.yaml"))


def build(name):
    torch.manual_seed(0)
    with hydra.initialize_config_dir(str(resource_dir("configs")), version_base="1.3"):
        cfg = hydra.compose(f"model/{name}")
    return hydra.utils.instantiate(cfg.model, _convert_="all")


@functools.cache
def scene_and_measurement():
    system = get_system("tape", size="tiny")
    scene = torch.rand(1, *system.physics.scene_shape, generator=torch.Generator().manual_seed(0))
    return scene, system.measure(scene, torch.Generator().manual_seed(1)), system.physics


@pytest.mark.parametrize("name", names())
def test_a_composition_runs_and_comes_back_from_its_card(name):
    model = build(name).eval()
    scene, measurement, physics = scene_and_measurement()
    background = 0.1 * measurement if name.startswith("background") else None
    with torch.no_grad():
        image = model(measurement, physics, background=background)
        assert image.shape == scene.shape and bool(image.isfinite().all())
        again = restore(describe(model)).eval()
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(measurement, physics, background=background), image)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
