import re
from xml.etree import ElementTree

import pytest

from lensless.evaluation.measures import MEASURES
from lensless.evaluation.report.sweeps import sweep_figure, sweep_svg, sweeps
from lensless.evaluation.report.tables import Tables
from lensless.evaluation.results import read_results

MEASURE = {measure.name: measure for measure in MEASURES}


def swept(folder, values):
    """A sweep of systems; values: PSNR of the pictures by x."""
    systems = {f"tape, snr {x:g}": {"x": x, "series": "tape, snr"} for x in values}
    folder.describe({"tape": {}, "fza <b>": {}}, systems, axis="noise")
    folder.fill({("tape", name): psnr for name, psnr in zip(systems, values.values(), strict=True)})
    results = read_results(folder.out, "suite")
    (sweep,) = sweeps(results)
    return sweep, Tables(results)


def test_a_line_and_its_band_are_the_means_and_intervals(folder):
    sweep, tables = swept(folder, {10.0: (20, 22), 0.0: (10, 14)})
    assert sweep.xs == [0, 10]
    (axis,) = sweep_figure(sweep, tables, MEASURE["strict/psnr"]).axes
    (line,) = axis.lines
    assert line.get_xydata().tolist() == [[0, 12], [10, 21]]
    assert line.get_label() == "tape"
    (band,) = axis.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(0, 10), (0, 14), (10, 20), (10, 22)} <= corners
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("noise", "PSNR in dB, strict")


@pytest.mark.parametrize(("xs", "scale"), [((1, 10), "linear"), ((1, 11), "log"), ((0, 100), "linear")])
def test_the_axis_is_logarithmic_over_more_than_a_decade(folder, xs, scale):
    sweep, tables = swept(folder, {float(x): (20, 2000) for x in xs})
    (axis,) = sweep_figure(sweep, tables, MEASURE["strict/psnr"]).axes
    assert (axis.get_xscale(), axis.get_yscale()) == (scale, "linear")


def test_costs_over_more_than_a_decade_are_logarithmic(folder):
    folder.describe({"a, k 1": {"x": 1.0, "series": "a"}, "a, k 2": {"x": 2.0, "series": "a"}}, {"tape": {}})
    for row, seconds in (("a, k 1", 0.1), ("a, k 2", 2.0)):
        folder.record(folder.line("suite", row, "tape", image, 20, seconds=seconds) for image in range(4))
    results = read_results(folder.out, "suite")
    (sweep,) = sweeps(results)
    (axis,) = sweep_figure(sweep, Tables(results), MEASURE["seconds"]).axes
    assert (axis.get_xscale(), axis.get_yscale()) == ("linear", "log")
    assert axis.lines[0].get_xydata().ravel().tolist() == pytest.approx([1, 0.1, 2, 2])


def test_the_drawing_is_valid_and_refers_to_itself_alone(folder):
    sweep, tables = swept(folder, {0.0: (10, 14), 10.0: (20, 22)})
    drawings = [sweep_svg(sweep, tables, MEASURE[name]) for name in ("strict/psnr", "affine/psnr")]
    identities = []
    for svg in drawings:
        ElementTree.fromstring(svg)
        own = re.findall(r'\bid="([^"]*)"', svg)
        used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', svg)
        assert {one or other for one, other in used} <= set(own)
        assert all(name.startswith("w3.org/") for name in re.findall(r"https?://(?:www\.)?([^\"]*)", svg))
        assert "currentColor" in svg
        assert ">tape</text>" in svg
        identities += own
    assert len(identities) == len(set(identities)) > 0
    assert sweep_svg(sweep, tables, MEASURE["strict/psnr"]) == drawings[0]
