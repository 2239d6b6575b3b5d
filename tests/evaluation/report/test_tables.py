import pytest

from lensless.evaluation.measures import MEASURES
from lensless.evaluation.report.tables import Tables, certain
from lensless.evaluation.results import read_results

MEASURE = {measure.name: measure for measure in MEASURES}
PSNR, LPIPS = MEASURE["strict/psnr"], MEASURE["strict/lpips_alex"]


@pytest.fixture
def tables(matrix):
    return Tables(read_results(matrix.out, "suite"))


@pytest.fixture
def row(tables):
    return {row.name: row for row in tables.results.rows}


@pytest.fixture
def column(tables):
    return {column.name: column for column in tables.results.columns}


def ends(interval):
    return pytest.approx((interval.mean, interval.low, interval.high))


def test_a_cell_is_the_mean_with_its_interval_over_pictures(tables, row, column):
    # of two pictures a quarter of the resamples holds one of them alone: the interval ends at their means
    assert ends(tables.mean(row["tape"], column["tape"], PSNR)) == (22, 20, 24)
    assert ends(tables.mean(row["fza"], column["fza"], PSNR)) == (21, 21, 21)
    assert ends(tables.mean(row["admm, best tau"], column["fza"], PSNR)) == (16, 16, 16)
    assert ends(tables.mean(row["tape"], column["tape"], LPIPS)) == (0.78, 0.76, 0.8)


def test_the_mean_apart_leaves_out_what_a_model_was_trained_on(tables, row):
    # a picture counts with all its systems: (14 + 13) / 2 for a, (16 + 13) / 2 for b
    assert ends(tables.mean_apart(row["tape"], PSNR)) == (14, 13.5, 14.5)
    assert ends(tables.mean_apart(row["fza"], PSNR)) == (15, 13.5, 16.5)
    assert ends(tables.mean_apart(row["admm, best tau"], PSNR)) == ((18 + 16 + 12) / 3,) * 3


def test_the_mean_apart_is_empty_where_a_system_is_missing(folder):
    folder.describe()
    folder.fill({("tape", "tape"): (20, 24), ("tape", "fza"): (1, 2)})
    tables = Tables(read_results(folder.out, "suite"))
    assert tables.mean_apart(tables.results.rows[1], PSNR) is None


def test_gaps_are_to_the_model_of_the_diagonal(tables, row, column):
    assert tables.specialist(column["lens"]) is None
    assert tables.gap(row["tape"], column["lens"], PSNR) is None
    assert ends(tables.gap(row["fza"], column["tape"], PSNR).difference) == (5, 4, 6)
    assert ends(tables.gap(row["tape"], column["fza"], PSNR).difference) == (6, 5, 7)
    assert ends(tables.gap(row["admm, best tau"], column["tape"], PSNR).difference) == (4, 2, 6)


def test_of_several_trained_on_a_system_the_best_is_its_diagonal(folder):
    folder.describe(rows={"short": {"trained_on": ["tape"]}, "long": {"trained_on": ["tape"]}}, systems={"tape": {}})
    folder.fill({("short", "tape"): (10, 12), ("long", "tape"): (11, 12)})
    tables = Tables(read_results(folder.out, "suite"))
    assert tables.specialist(tables.results.columns[0]).name == "long"


def test_a_difference_counts_the_pictures_on_which_the_first_one_is_better(tables, row, column):
    found = tables.difference(row["fza"], row["tape"], [column["tape"]], PSNR)
    assert ends(found.difference) == (-5, -6, -4)
    # two tails of (1/2)^2
    assert (found.better, found.groups, found.p) == (0, 2, pytest.approx(0.5))
    assert certain(found)
    # more LPIPS is worse
    found = tables.difference(row["fza"], row["tape"], [column["tape"]], LPIPS)
    assert ends(found.difference) == (0.05, 0.04, 0.06)
    assert (found.better, found.groups) == (0, 2)


def test_a_difference_over_systems_takes_a_picture_as_one(tables, row):
    found = tables.difference(row["fza"], row["tape"], tables.results.columns, PSNR)
    # a: -4, 7, -2; b: -6, 5, 2
    assert ends(found.difference) == (1 / 3, 1 / 3, 1 / 3)
    assert (found.better, found.groups) == (2, 2)


def test_a_difference_is_of_the_images_that_both_have(folder):
    folder.describe()
    folder.fill({("tape", "tape"): (20, 24), ("fza", "tape"): (19, None)})
    tables = Tables(read_results(folder.out, "suite"))
    _, tape, fza = tables.results.rows
    found = tables.difference(tape, fza, tables.results.columns, PSNR)
    assert ends(found.difference) == (1, 1, 1)
    assert found.difference.n == 2
    assert found.certain
    assert not certain(found)


def test_the_reference_is_the_shipped_model_or_the_best_mean(tables, folder):
    # (22 + 15 + 13) / 3 against (17 + 21 + 13) / 3
    assert tables.reference().name == "fza"
    folder.describe(rows={"tape": {}, "universal": {}}, systems={"tape": {}})
    folder.fill({("universal", "tape"): (1, 1)})
    assert Tables(read_results(folder.out, "suite")).reference().name == "universal"


def test_a_model_scored_on_fewer_images_is_no_reference(folder):
    folder.describe()
    folder.fill({("tape", "tape"): (40, 40), ("fza", "tape"): (10, 10), ("fza", "fza"): (10, 10)})
    assert Tables(read_results(folder.out, "suite")).reference().name == "fza"
