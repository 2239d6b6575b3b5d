"""`lensless benchmark` from end to end at the smallest size: train, score, report, go on, refuse bad input."""

import json

import pytest

pytest.importorskip("lightning")

from lensless.cli import main
from lensless.evaluation.records import read_records

TRAINING = 'training=["experiment.settings.epochs=1","experiment.train.samples=64","experiment.validation.samples=4"]'


def words(out, cache, *others):
    return [
        "benchmark", "suite=cross_mask", "size=tiny", "images=5", "batch=3", "lpips=[]", "models=[digicam,wiener]",
        "systems=[digicam,fza]", TRAINING, f"out={out}", f"cache={cache}", *others,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("benchmark")
    assert main(words(out, cache)) == 0
    return out


def lines(out):
    return [json.loads(line) for file in sorted(out.glob("records/*.jsonl")) for line in file.read_text().splitlines()]


def test_every_model_is_scored_on_every_image_of_every_system(finished):
    found = lines(finished)
    assert len(found) == len({record["key"] for record in found}) == (1 + 5) * 2 * 5
    assert {record["system"] for record in found} == {"digicam", "fza"}
    assert {record["image"] for record in found} == set(range(5))
    (learned,) = {record["model_key"] for record in found if record["model"] == "digicam"}
    card = json.loads((finished / "models" / "digicam" / "model" / "card.json").read_text())
    assert card["data"]["train"]["system"] == "digicam"
    description = json.loads((finished / "cross_mask.json").read_text())
    assert description["rows"]["digicam"]["key"] == learned
    assert description["rows"]["digicam"]["trained_on"] == ["digicam"]


def test_scores_are_in_range(finished):
    for record in lines(finished):
        assert 3 < record["metrics"]["strict/psnr"] <= record["metrics"]["affine/psnr"] + 1e-9 < 60
        assert 0 < record["metrics"]["reprojection"] < 2
        assert record["seconds"] > 0


def test_reports_and_pictures_are_written(finished):
    assert "cross_mask" in (finished / "cross_mask.md").read_text(encoding="utf-8")
    assert (finished / "cross_mask.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (finished / "pictures" / "fza" / "000" / "digicam.png").exists()


def test_nothing_is_computed_again(finished, cache, capsys):
    before = {file: file.read_bytes() for file in finished.glob("records/*")}
    assert main(words(finished, cache)) == 0
    assert "0 records made, 60 were there, 0 repeated" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in finished.glob("records/*")} == before


def test_shards_make_the_records_of_one_process(finished, cache, tmp_path):
    (tmp_path / "models").symlink_to(finished / "models")
    for shard in ("1/2", "0/2"):
        assert main(words(tmp_path, cache, "action=score", f"shard={shard}")) == 0
    assert read_records(tmp_path / "records").by_key.keys() == read_records(finished / "records").by_key.keys()
    assert len(lines(tmp_path)) == 60


def test_a_line_that_was_cut_off_is_reported_and_made_again(finished, cache, tmp_path, capsys):
    (tmp_path / "models").symlink_to(finished / "models")
    (tmp_path / "records").mkdir()
    whole = (finished / "records" / "0-of-1.jsonl").read_text()
    (tmp_path / "records" / "0-of-1.jsonl").write_text(whole[:-40])
    assert main(words(tmp_path, cache, "action=score")) == 0
    said = capsys.readouterr().out
    assert "0-of-1.jsonl:60: damaged, is computed again" in said
    assert "1 records made, 59 were there" in said
    assert read_records(tmp_path / "records").by_key.keys() == read_records(finished / "records").by_key.keys()


def test_a_model_that_is_not_trained_yet_is_named(cache, tmp_path, capsys):
    assert main(words(tmp_path, cache, "action=score", "systems=[fza]", "images=2")) == 1
    assert "not trained yet, so not scored: digicam; run `lensless benchmark train`" in capsys.readouterr().out
    scored = {record["model"] for record in lines(tmp_path)}
    assert scored == {f"wiener, k {k}" for k in ("0.001", "0.003", "0.01", "0.03", "0.1")}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("action=scores", "action: 'scores' is not known; did you mean score"),
        ("images=0", "images: expected a whole number >= 1, got 0"),
        ("shard=2/2", "shard: expected K/N with 0 <= K < N"),
        ("lpips=[alexa]", "lpips: 'alexa' is not known; did you mean alex"),
        ("device=tpu", "device: expected cpu, cuda"),
    ],
)
def test_bad_words_are_answered_before_any_work(word, message, cache, tmp_path, capsys):
    assert main(words(tmp_path / "out", cache, "models=[wiener]", "action=score", word)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
