"""The shipped configurations against the constructors that they name."""

import inspect

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from lensless.recon.base import IterativeSolver, Reconstructor
from lensless.resources import resource_dir
from lensless.tasks.compose import build, compose, groups, keys, task_names

SOLVERS = sorted(groups("reconstruct")["recon"].choices)
CLASSES = {
    "admm": "ADMM",
    "apgd": "APGD",
    "fista": "FISTA",
    "fista_l1": "FISTA",
    "fista_tv": "FISTA",
    "gradient_descent": "GradientDescent",
    "nesterov": "Nesterov",
    "pnp_admm": "PlugAndPlayADMM",
    "pnp_fista": "PlugAndPlayFISTA",
    "pnp_hqs": "PlugAndPlayHQS",
    "wiener": "Wiener",
}
# the command line wants a convergence curve and a bar, a library call does not
CHOSEN_FOR_THE_COMMAND_LINE = {"record_every", "progress", "regulariser", "denoiser"}


@pytest.mark.parametrize("choice", SOLVERS)
def test_a_solver_is_made_of_its_configuration(choice):
    solver = build(compose("reconstruct", [f"recon={choice}"], complete=False).recon, "recon")
    assert isinstance(solver, Reconstructor)
    assert type(solver).__name__ == CLASSES[choice]


@pytest.mark.parametrize("choice", SOLVERS)
def test_a_solver_has_every_argument_at_its_default(choice):
    node = OmegaConf.to_container(compose("reconstruct", [f"recon={choice}"], complete=False).recon)
    parameters = dict(inspect.signature(get_object(node["_target_"])).parameters)
    parameters.pop("callback", None)
    assert set(node) - {"_target_"} == set(parameters)
    for name, parameter in parameters.items():
        if name not in CHOSEN_FOR_THE_COMMAND_LINE:
            assert node[name] == parameter.default, name


@pytest.mark.parametrize("section", ["input", "psf_input", "truth_input", "prepare", "psf_prepare", "score", "view"])
def test_a_section_has_the_defaults_of_its_target(section):
    cfg = compose("reconstruct", [], complete=False)
    node = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)[section]
    defaults = inspect.signature(get_object(node["_target_"])).parameters
    for name, value in node.items():
        if not name.startswith("_"):
            assert value == defaults[name].default, name


def test_overrides_reach_the_solver():
    words = ["recon=fista_tv", "recon.iterations=7", "recon.regulariser.weight=0.5", "recon.tolerance=1e-4"]
    solver = build(compose("reconstruct", words, complete=False).recon, "recon")
    assert isinstance(solver, IterativeSolver)
    assert (solver.iterations, solver.tolerance, solver.regulariser.weight) == (7, 1e-4, 0.5)


def test_the_psf_is_read_like_the_measurement_unless_told_otherwise():
    both = compose("reconstruct", ["input.bits=12"], complete=False)
    assert (both.input.bits, both.psf_input.bits) == (12, 12)
    one = compose("reconstruct", ["input.bits=12", "psf_input.bits=null"], complete=False)
    assert (one.input.bits, one.psf_input.bits) == (12, None)


@pytest.mark.parametrize("name", ["a (1).png", "it's.png", "été/№1 [x]{y}.tif", "a,b=c;d&e.npy", "~/x.png", "*.tif"])
def test_paths_are_taken_literally(name):
    cfg = compose("reconstruct", [f"psf={name}", "measurement=y"], paths=("psf",))
    assert cfg.psf == name


def test_every_task_has_a_module():
    for task in task_names():
        module = get_object(f"lensless.tasks.{task}")
        assert callable(module.run)
        assert isinstance(module.PATHS, tuple)
        assert module.POSITIONAL is None or module.POSITIONAL in keys(compose(task, [], complete=False))


def test_data_cards_say_where_from_and_under_which_licence():
    cards = sorted(resource_dir("datasets").glob("*.yaml"))
    assert cards
    for path in cards:
        card = OmegaConf.load(path)
        assert card.summary and card.licence and card.layout and card.example
        assert card.source.startswith("https://")
        for file in card.files.values():
            assert file.url.startswith("https://")
            assert len(bytes.fromhex(file.sha256)) == 32
