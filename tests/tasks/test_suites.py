"""The shipped suites: rows and systems can be made, trainings compose, statements ask for what is there."""

import numpy as np
import pytest

from lensless.errors import InputError
from lensless.evaluation.claims import CLAIMS
from lensless.tasks import train
from lensless.tasks.compose import build, compose, groups
from lensless.tasks.suite import Suite

SUITES = sorted(groups("benchmark")["suite"].choices)


def read(suite, tmp_path, *words):
    words = [f"suite={suite}", f"out={tmp_path}", "size=tiny", *words]
    return Suite.read(compose("benchmark", words, paths=("out",)))


@pytest.mark.parametrize("suite", SUITES)
def test_every_training_composes_and_its_model_can_be_made(suite, tmp_path):
    for name, words in read(suite, tmp_path).trainings().items():
        cfg = compose("train", words, paths=train.PATHS)
        assert cfg.out == str(tmp_path / "models" / name)
        assert cfg.experiment.train.size == cfg.experiment.validation.size == "tiny"
        assert build(cfg.model, "model").parts()


@pytest.mark.parametrize("suite", SUITES)
def test_every_other_contender_can_be_made(suite, tmp_path):
    read_suite = read(suite, tmp_path)
    contenders, waiting = read_suite.contenders()
    assert waiting == list(read_suite.trainings()) or set(waiting) == set(read_suite.trainings())
    assert {one.name for one in contenders} | set(waiting) == set(read_suite.rows)
    assert len({str(one.identity) for one in contenders}) == len(contenders)


@pytest.mark.parametrize("suite", sorted(set(SUITES) - {"real"}))
def test_every_system_gives_its_samples(suite, tmp_path, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "photographs"
    found = read(suite, tmp_path, f"cache={cache}", "images=1")
    shapes = {system.name: tuple(system.dataset[0].measurement.shape) for system in found.test_systems()}
    assert set(shapes) == set(found.systems)
    if suite != "speed":
        assert set(shapes.values()) == {(3, 36, 48)}


@pytest.mark.parametrize("suite", SUITES)
def test_statements_ask_for_rows_and_systems_that_are_there(suite, tmp_path):
    found = read(suite, tmp_path)
    models = set(found.rows) | {row.get("tuning") for row in found.rows.values()}
    for statement in found.cfg.suite.statements:
        assert statement.text.endswith(".")
        assert statement.claim in CLAIMS
        if statement.claim == "better":
            assert {statement.model, *statement.than} <= models
            assert set(statement.systems) <= set(found.systems)
        else:
            for one, other, system in (statement.gain, statement.over):
                assert {one, other} <= models
                assert system in found.systems


def test_rows_compared_at_equal_size_are_of_equal_size(tmp_path):
    """Within a percent: pre- and post-processor together against one processor alone."""
    sizes = {}
    for name, words in read("ablation", tmp_path).trainings().items():
        model = build(compose("train", words, paths=train.PATHS).model, "model")
        sizes[name] = sum(parameter.numel() for parameter in model.parameters())
    for inversion, both in (("admm", "tape"), ("inverse", "pre inverse post"), ("fista", "pre fista post")):
        for one in (f"pre {inversion}", f"{inversion} post"):
            assert sizes[one] == pytest.approx(sizes[both], rel=0.01)


def test_a_sweep_of_systems_is_written_out(tmp_path):
    systems = read("noise", tmp_path).systems
    assert [name for name in systems if name.startswith("fza")] == [f"fza, snr_db {v}" for v in (0, 10, 20, 30, 40)]
    assert systems["fza, snr_db 30"]["snr_db"] == 30
    assert (systems["fza, snr_db 30"]["x"], systems["fza, snr_db 30"]["series"]) == (30.0, "fza, snr_db")


def test_an_oracle_is_a_row_for_each_value(tmp_path):
    rows = read("cross_mask", tmp_path).rows
    members = {name: row for name, row in rows.items() if row.get("tuning") == "admm100"}
    assert "admm100, tau 0.0015" in members
    assert members["admm100, tau 0.0015"]["solver"][-1] == "recon.tau=0.0015"


def test_models_and_systems_can_be_chosen_and_added(tmp_path):
    found = read("cross_mask", tmp_path, "models=[admm100,nesterov,cpu_small]", "systems=[fza,voronoi]")
    assert [name for name in found.rows if not name.startswith("admm100")] == ["nesterov", "cpu_small"]
    assert list(found.systems) == ["fza", "voronoi"]
    assert found.systems["voronoi"]["system"] == "voronoi"
    assert [one.name for one in found.test_systems()] == ["fza", "voronoi"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("models=[admm10]", "models: 'admm10' is not known; did you mean admm100"),
        ("systems=[tap]", "systems: 'tap' is not known; did you mean tape"),
        ("suite=cross_masks", "suite: 'cross_masks' is not known; did you mean cross_mask"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(word, message, tmp_path):
    with pytest.raises(InputError, match=message):
        Suite.read(compose("benchmark", [f"out={tmp_path}", word], paths=("out",)))


def test_a_measured_system_is_known_by_its_pictures_and_its_psf(tmp_path):
    for name in ("lensless", "lensed"):
        (tmp_path / "set" / name).mkdir(parents=True)
        np.save(tmp_path / "set" / name / "im1.npy", np.random.default_rng(0).random((16, 20, 3), np.float32))
    card = "samples: {kind: images, psf: psf.npy}\nsplits: {test: {share: 1.0}}\n"
    (tmp_path / "set" / "card.yaml").write_text(card)

    def identity(psf, folder="set"):
        np.save(tmp_path / folder / "psf.npy", psf.astype(np.float32))
        (system,) = read("real", tmp_path, f"folder={tmp_path / folder}").test_systems()
        return system.identity

    psf = np.random.default_rng(1).random((16, 20, 3))
    first = identity(psf)
    assert identity(psf + np.eye(16, 20)[..., None]) != first
    (tmp_path / "set").rename(tmp_path / "moved")
    assert identity(psf, "moved") == first


def test_a_measured_system_without_its_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"folder: expected the folder of the data set diffusercam, with a card.yaml"):
        next(read("real", tmp_path).test_systems())
