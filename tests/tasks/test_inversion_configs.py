"""The shipped inversions against the constructors that they name."""

import inspect

import hydra
import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from lensless.resources import resource_dir
from lensless.tasks.compose import build

SHAPES = {
    "separable_inversion": {"sensor_shape": [7, 9], "scene_shape": [5, 6]},
    "svdeconv": {"sensor_shape": [3, 7, 9]},
}
CHOICES = sorted(path.stem for path in resource_dir("configs").glob("inversion/*.yaml"))
CHOSEN_FOR_A_CAMERA = {"sensor_shape", "scene_shape"}


def section(choice: str):
    with hydra.initialize_config_dir(str(resource_dir("configs")), version_base="1.3"):
        return hydra.compose(f"inversion/{choice}").inversion


@pytest.mark.parametrize("choice", CHOICES)
def test_an_inversion_is_made_of_its_configuration(choice: str):
    node = OmegaConf.merge(section(choice), SHAPES.get(choice, {}))
    assert type(build(node, "inversion")) is get_object(node["_target_"])


@pytest.mark.parametrize("choice", CHOICES)
def test_an_inversion_has_every_argument_at_its_default(choice: str):
    node = OmegaConf.to_container(section(choice))
    parameters = dict(inspect.signature(get_object(node["_target_"])).parameters)
    parameters.pop("callback", None)
    assert set(node) - {"_target_"} == set(parameters)
    for name, parameter in parameters.items():
        if name in CHOSEN_FOR_A_CAMERA:
            assert node[name] == "???"
        else:
            value = tuple(node[name]) if isinstance(node[name], list) else node[name]
            assert value == parameter.default, name
