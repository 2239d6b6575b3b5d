import json
import re
from html.parser import HTMLParser

import pytest

from lensless.cli import main
from lensless.evaluation.claims import Answer
from lensless.evaluation.report.files import write_report
from lensless.evaluation.results import read_results


def written(folder, answers=()):
    files = write_report(read_results(folder.out, "suite"), answers)
    assert files == [folder.out / "suite.md", folder.out / "suite.html"]
    return files[1].read_text(encoding="utf-8")


def data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


class Outside(HTMLParser):
    """Collects what a page refers to, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.refers, self.elements = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.refers += [value for key, value in attrs if key in ("src", "href", "xlink:href") and value]


def test_the_page_has_the_numbers_of_the_tables(matrix):
    found = data(written(matrix))
    assert [row["name"] for row in found["rows"]] == ["admm, best tau", "tape", "fza"]
    assert [column["name"] for column in found["columns"]] == ["tape", "fza", "lens"]
    assert [column["specialist"] for column in found["columns"]] == [1, 2, None]
    # mean, low, high, images of each system and of those not trained on
    assert found["cells"]["strict/psnr"][1] == [[22, 20, 24, 4], [15, 14, 16, 4], [13, 13, 13, 4], [14, 13.5, 14.5, 8]]
    # fza - tape: mean, low, high, pictures better, worse, p, certain; on each system and on all
    assert found["pairs"]["strict/psnr"][2][1][0] == [-5, -6, -4, 0, 2, 0.5, True]
    assert found["pairs"]["strict/psnr"][2][1][3] == [0.333333, 0.333333, 0.333333, 2, 0, 0.5, True]
    assert "seconds" in found["cells"]
    assert "seconds" not in found["pairs"]
    assert (found["reference"], found["measure"]) == (2, "strict/psnr")


def test_what_is_missing_is_null(folder):
    folder.describe()
    folder.fill({("tape", "tape"): (20, None)})
    found = data(written(folder))
    assert found["cells"]["strict/psnr"] == [[None] * 4, [[20, None, None, 2], None, None, None], [None] * 4]
    assert found["pairs"]["strict/psnr"][2] == [[None] * 4, [None] * 4]


def test_the_page_is_whole_and_names_are_text(folder):
    evil = "</script><img src=x onerror=alert(1)>&amp;"
    folder.describe({evil: {"trained_on": [evil]}}, {evil: {"x": 1.0, "series": evil}}, title=evil, command=evil)
    folder.fill({(evil, evil): (20, 24)})
    text = written(folder, [Answer(evil, "yes", [evil])])
    page = Outside(text)
    assert all(reference.startswith(("data:", "#")) for reference in page.refers)
    assert "img" in page.elements
    assert page.elements.count("script") == 2
    assert "onerror" not in {name for tag in re.findall(r"<img[^>]*>", text) for name in re.findall(r"(\w+)=", tag)}
    assert data(text)["rows"][0]["name"] == evil
    assert "default-src 'none'" in text


@pytest.mark.parametrize("named", [True, False])
def test_the_command_writes_the_report_or_says_what_is_missing(matrix, capsys, named):
    code = main(["benchmark", "report", "suite=noise", f"out={matrix.out}"])
    assert code == 2
    assert "noise.json: no such file; run `lensless benchmark score suite=noise" in capsys.readouterr().err
    if named:
        (matrix.out / "noise.json").write_bytes((matrix.out / "suite.json").read_bytes())
        assert main(["benchmark", "report", "suite=noise", f"out={matrix.out}"]) == 0
        assert capsys.readouterr().out.startswith("48 records, 0 missing: ")
        assert (matrix.out / "suite.html").stat().st_size > 10_000
