import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from lensless.cli import main
from lensless.errors import NonFiniteError
from lensless.tasks.compose import compose, groups, task_file, task_names
from lensless.tasks.help import read_page


def refused(capsys, *words):
    """What is printed for a command line that must fail with code 2, in one line and without a traceback."""
    assert main(list(words)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("lensless: error: ")
    assert "Traceback" not in output.err
    return output.err


def test_alone_it_lists_the_tasks(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for task in task_names():
        assert any(line.split()[:1] == [task] and len(line.split()) > 3 for line in lines)


def unexplained(page, leaves):
    """Those of the keys that a help page does not show, neither in a line of their own nor in a mapping {...}."""
    shown = [word.partition("=") for line in page.splitlines() for word in line.split()[:1]]
    mappings = tuple(f"{key}." for key, _, value in shown if value.startswith("{"))
    return {leaf for leaf in leaves if not leaf.startswith(mappings)} - {key for key, *_ in shown}


def leaves(task, *words):
    """The keys of a configuration that hold a value, but for the choices."""

    def flat(node, prefix=""):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            elif not key.startswith("_"):
                yield prefix + key

    return set(flat(OmegaConf.to_container(compose(task, list(words), complete=False)))) - set(groups(task))


@pytest.mark.parametrize("task", task_names())
def test_help_shows_every_key_that_the_configuration_has(capsys, task):
    assert main([task, "--help"]) == 0
    assert not unexplained(capsys.readouterr().out, leaves(task))


@pytest.mark.parametrize(
    ("task", "choice"),
    [
        (task, f"{name}={choice}")
        for task in task_names()
        for name, group in groups(task).items()
        for choice in group.choices
    ],
)
def test_help_follows_every_choice(capsys, task, choice):
    assert main([task, choice, "--help"]) == 0
    page = capsys.readouterr().out
    assert f"keys of {choice}" in page
    assert not unexplained(page, leaves(task, choice))


def test_help_follows_a_bare_word(capsys):
    assert main(["mask", "tape", "--help"]) == 0
    page = capsys.readouterr().out
    assert main(["mask", "--help", "mask=tape"]) == 0
    assert capsys.readouterr().out == page
    assert "  mask.slope=0.07" in page


def test_help_shows_the_keys_of_the_mask_inside_a_system(capsys):
    assert main(["simulate", "system=digicam", "--help"]) == 0
    page = capsys.readouterr().out
    assert "  system.mask.lcd.contrast=500.0" in page  # of configs/mask/lcd.yaml, by `/mask/lcd@mask`
    assert "  system.scene_distance=0.4" in page  # of configs/shared/system.yaml, by `@_here_`
    assert "  system.mask_distance=0.002" in page  # its own


def test_every_key_on_a_help_page_is_explained():
    files = {task_file(task) for task in task_names()}
    files |= {path for task in task_names() for group in groups(task).values() for path in group.choices.values()}
    for path in files:
        page = read_page(path)
        assert page.heading, path
        for key, text in page.keys.items():
            value = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            for name in key.split("."):
                value = value.get(name, {})
            explains_itself = key == "name" or isinstance(value, dict) or str(value).startswith("${")
            assert text or explains_itself, f"{path}: {key}"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["recosntruct"], "task: 'recosntruct' is not known; did you mean reconstruct?"),
        (["reconstruct", "recon=amdm"], "recon: 'amdm' is not known; did you mean admm"),
        (["reconstruct", "mesurement=a.png"], "did you mean measurement?"),
        (["reconstruct", "bits=12"], "did you mean input.bits"),
        (["reconstruct", "recon.mu=12"], "did you mean recon.mu"),
        (["reconstruct", "recon=wiener", "recon.iterations=3"], "'recon.iterations' is not known; known: recon.k"),
        (["reconstruct", "recon.iterations=many"], "recon.iterations: expected an integer, got 'many'"),
        (["reconstruct", "input.bits=twelve"], "input.bits: expected an integer or null, got 'twelve'"),
        (["reconstruct", "prepare=4"], "prepare: expected a section"),
        (["reconstruct", "prepare.white_balance=1,2,3"], "write a list as key=[a,b]"),
        (["reconstruct", "psf=a.png"], "measurement: expected a value, got none"),
        (["reconstruct", "psf"], "'psf': expected key=value"),
        (["reconstruct", "+gamma=2"], "keys can be changed, not added"),
        (["mask", "tpae", "--help"], "mask: 'tpae' is not known; did you mean tape?"),
        (["fetch", "difusercam_tutorial"], "did you mean diffusercam_tutorial"),
        (["demo", "size=[3]"], "size: expected [height, width]"),
    ],
)
def test_mistakes_are_answered_with_what_to_type(capsys, words, answer):
    assert answer in refused(capsys, *words)


def test_debug_shows_where_an_error_came_from(capsys):
    assert main(["reconstruct", "recon=amdm", "--debug"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reconstruct", "--verbose"])
    assert stop.value.code == 2
    assert "lensless: error:" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(capsys, monkeypatch):
    def interrupt(cfg):
        raise KeyboardInterrupt

    monkeypatch.setattr("lensless.tasks.demo.run", interrupt)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "lensless: interrupted\n"


def test_a_solver_that_diverges_ends_with_2_and_its_message(capsys, monkeypatch):
    def diverge(cfg):
        raise NonFiniteError("ADMM: the estimate became NaN or infinite in iteration 3 of 100")

    monkeypatch.setattr("lensless.tasks.demo.run", diverge)
    assert "NaN or infinite in iteration 3 of 100" in refused(capsys, "demo")


def test_help_and_typos_do_not_wait_for_torch():
    script = "import sys; from lensless.cli import main; main(['recosntruct']); main([]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"
