import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from lensless.cli import main
from lensless.errors import NonFiniteError
from lensless.tasks.compose import compose, groups, keys, task_file, task_names
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


@pytest.mark.parametrize("task", task_names())
def test_help_shows_every_key_that_the_configuration_has(capsys, task):
    assert main([task, "--help"]) == 0
    page = capsys.readouterr().out
    shown = {word.split("=")[0] for line in page.splitlines() for word in line.split()[:1]}
    cfg = compose(task, [], complete=False)
    leaves = [key for key in keys(cfg) if not any(other.startswith(f"{key}.") for other in keys(cfg))]
    assert set(leaves) - set(groups(task)) <= shown


@pytest.mark.parametrize("choice", sorted(groups("reconstruct")["recon"].choices))
def test_help_follows_the_choice_of_solver(capsys, choice):
    assert main(["reconstruct", f"recon={choice}", "--help"]) == 0
    page = capsys.readouterr().out
    for key in keys(compose("reconstruct", [f"recon={choice}"], complete=False).recon):
        if key not in ("regulariser", "denoiser"):
            assert f"  recon.{key}=" in page


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
