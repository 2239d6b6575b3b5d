import pytest

from lensless.errors import InputError
from lensless.evaluation.report.facts import choices, facts, judges
from lensless.evaluation.results import read_results


def names(things):
    return [thing.name for thing in things]


def psnr(results, row, column):
    return [record["metrics"]["strict/psnr"] for record in results.cells[row, column].values()]


def test_a_group_is_one_row_of_the_best_member_on_each_system(matrix):
    results = read_results(matrix.out, "suite")
    assert names(results.rows) == ["admm, best tau", "tape", "fza"]
    chosen = {column: results.chosen["admm, best tau", column] for column in ("tape", "fza", "lens")}
    assert chosen == {"tape": "admm, tau 1", "fza": "admm, tau 2", "lens": "admm, tau 1"}
    assert psnr(results, "admm, best tau", "fza") == [16, 16, 16, 16]
    assert choices(results) == ["admm: tau 1 on tape · lens; tau 2 on fza"]


def test_the_best_is_judged_by_the_fitted_psnr_where_brightness_is_relative(folder):
    folder.describe(systems={"tape": {}, "real": {"brightness": "relative"}})
    for system in ("tape", "real"):
        # strict 18 and 17, affine 18 and 19
        for row, strict, affine in (("admm, tau 1", 18, 18), ("admm, tau 2", 17, 19)):
            metrics = {"strict/psnr": strict, "affine/psnr": affine}
            folder.record(folder.line("suite", row, system, image, 0, metrics=metrics) for image in range(4))
    results = read_results(folder.out, "suite")
    assert results.chosen["admm, best tau", "tape"] == "admm, tau 1"
    assert results.chosen["admm, best tau", "real"] == "admm, tau 2"
    assert judges(results) == "strict PSNR or, where a camera's brightness is relative, affine PSNR"


def test_a_member_that_misses_images_is_not_the_best(folder):
    folder.describe()
    folder.fill({("admm, tau 1", "tape"): (30, None), ("admm, tau 2", "tape"): (17, 17)})
    results = read_results(folder.out, "suite")
    assert results.chosen["admm, best tau", "tape"] == "admm, tau 2"


def test_systems_that_nobody_was_trained_on_come_last(matrix):
    results = read_results(matrix.out, "suite")
    seen = {column.name: column.seen for column in results.columns}
    assert list(seen.items()) == [("tape", True), ("fza", True), ("lens", False)]
    tape = results.rows[1]
    assert [tape.knows(column) for column in results.columns] == [True, False, False]


def test_a_camera_stays_the_same_along_a_sweep(folder):
    sweep = {f"{name}, snr {x}": {"x": x, "series": f"{name}, snr"} for name in ("tape", "tape 2") for x in (0.0, 10.0)}
    folder.describe(systems=sweep)
    folder.fill({("tape", "tape, snr 0.0"): (1, 2)})
    results = read_results(folder.out, "suite")
    known = {column.name: results.rows[1].knows(column) for column in results.columns}
    assert known == {"tape, snr 0.0": True, "tape, snr 10.0": True, "tape 2, snr 0.0": False, "tape 2, snr 10.0": False}


def test_only_records_of_these_models_systems_and_version_count(matrix):
    others = [
        matrix.line("suite", "tape", "tape", 0, 99, key="1", model_key="of other weights"),
        matrix.line("suite", "tape", "tape", 0, 99, key="2", system_key="of another camera"),
        matrix.line("other suite", "tape", "tape", 0, 99),
    ]
    older = matrix.line("suite", "tape", "tape", 0, 99, key="3", versions={"lensless-torch": "1.2.2"})
    matrix.record([*others, older], file="other")
    results = read_results(matrix.out, "suite")
    assert psnr(results, "tape", "tape") == [20, 20, 24, 24]
    assert (len(results.records), results.other_versions, results.missing) == (4 * 12, 1, 0)


def test_of_an_image_scored_twice_the_record_with_more_metrics_counts(matrix):
    metrics = {"strict/psnr": 5.0}
    matrix.record([matrix.line("suite", "tape", "tape", 0, 0, key="fewer", metrics=metrics)], file="0")
    assert psnr(read_results(matrix.out, "suite"), "tape", "tape") == [20, 20, 24, 24]


def test_images_of_a_larger_suite_in_the_folder_are_left_out(matrix):
    systems = {"tape": {"samples": 3}, "fza": {}}
    matrix.describe(systems=systems)
    found = read_results(matrix.out, "suite")
    assert {(system, len(cell)) for (_, system), cell in found.cells.items()} == {("tape", 3), ("fza", 4)}
    assert found.missing == 0


def test_what_is_missing_damaged_and_repeated_is_said(folder):
    folder.describe(waiting=["mls"])
    folder.fill({("tape", "tape"): (20, 24), ("fza", "tape"): (20, None)})
    folder.record([folder.line("suite", "tape", "tape", 0, 50)], file="1-of-2")
    (folder.out / "records" / "cut.jsonl").write_text('{"key": "a", "mod')
    results = read_results(folder.out, "suite")
    assert ("fza", "fza") not in results.cells
    # 4 rows on 3 systems with 4 images, of which 6 are there
    assert (results.missing, results.repeated, len(results.damaged)) == (42, 1, 1)
    said = dict(facts(results))
    counts = "6 used, 42 missing, 0 of other versions of the library left out; damaged lines: 1, repeated lines: 1"
    assert said["records"].startswith(counts)
    assert said["not trained yet"] == "mls"
    assert said["damaged lines"].endswith("cut.jsonl:1")
    assert said["images"] == "0 to 4 of 0 to 2 pictures a system; intervals from fewer than 10 pictures are too narrow"


def test_numbers_that_are_none_are_missing(folder):
    folder.describe()
    metrics = {"strict/psnr": float("inf"), "strict/ssim": 0.5}
    folder.record([folder.line("suite", "tape", "tape", 0, 0, metrics=metrics)])
    results = read_results(folder.out, "suite")
    assert [measure.name for measure in results.measures] == ["strict/ssim", "seconds"]


def test_without_a_description_or_records_it_is_said_what_to_do(folder):
    with pytest.raises(InputError, match=r"suite\.json: no such file; run `lensless benchmark score suite=suite out="):
        read_results(folder.out, "suite")
    (folder.out / "suite.json").write_text("{")
    with pytest.raises(InputError, match=r"suite\.json: no JSON"):
        read_results(folder.out, "suite")
    folder.describe()
    with pytest.raises(InputError, match="no records of suite"):
        read_results(folder.out, "suite")
