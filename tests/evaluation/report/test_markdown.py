import re

import pytest

from lensless.evaluation.claims import Answer
from lensless.evaluation.report.markdown import markdown
from lensless.evaluation.report.tables import Tables
from lensless.evaluation.results import read_results


def written(folder, answers=()):
    return markdown(Tables(read_results(folder.out, "suite")), answers)


def table(text, *headings):
    """{first cell: the other cells} of the first table after these headings, one in the other."""
    for heading in headings:
        assert f"\n{heading}\n" in text
        text = text.partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert {len(line) for line in cells} == {len(cells[0])}
    return {line[0]: line[1:] for line in cells if line[0] != "---"}


def test_the_matrix(matrix):
    found = table(written(matrix), "## Scores", "### PSNR in dB, strict")
    apart = {name: cells.pop() for name, cells in found.items()}
    assert found == {
        "model": ["trained on", "tape", "fza", "lens (unseen)"],
        "admm, best tau": ["", "18.00 [18.00, 18.00]", "16.00 [16.00, 16.00]", "12.00 [12.00, 12.00]"],
        "tape": ["tape", "◆ **22.00** [20.00, 24.00]", "15.00 [14.00, 16.00]", "**13.00** [13.00, 13.00]"],
        "fza": ["fza", "17.00 [16.00, 18.00]", "◆ **21.00** [21.00, 21.00]", "13.00 [11.00, 15.00]"],
    }
    assert apart == {
        "model": "mean over systems not trained on",
        "admm, best tau": "15.33 [15.33, 15.33]",
        "tape": "14.00 [13.50, 14.50]",
        "fza": "15.00 [13.50, 16.50]",
    }


def test_less_is_better_for_lpips(matrix):
    found = table(written(matrix), "## Scores", "### LPIPS (alex), strict")
    assert found["tape"][1] == "◆ **0.780** [0.760, 0.800]"
    assert found["fza"][1] == "0.830 [0.820, 0.840]"


def test_gaps(matrix):
    found = table(written(matrix), "## Gap to the diagonal", "### PSNR in dB, strict")
    assert found == {
        "model": ["tape", "fza"],
        "admm, best tau": ["**+4.00** [+2.00, +6.00]", "**+5.00** [+5.00, +5.00]"],
        "tape": ["", "**+6.00** [+5.00, +7.00]"],
        "fza": ["**+5.00** [+4.00, +6.00]", ""],
    }


def test_differences(matrix):
    text = written(matrix)
    found = table(text, "## Differences: each model minus fza", "### PSNR in dB, strict")
    assert found["system"] == ["admm, best tau", "tape"]
    assert found["tape"][1] == "↑**+5.00** [+4.00, +6.00]; 2 : 0; p 0.5"
    assert found["lens"][1] == "+0.00 [-2.00, +2.00]; 1 : 1; p 1"
    assert found["all"][1] == "↓**-0.33** [-0.33, -0.33]; 0 : 2; p 0.5"
    found = table(text, "## Differences: each model minus fza", "### LPIPS (alex), strict")
    assert found["tape"][1] == "↑**-0.050** [-0.060, -0.040]; 2 : 0; p 0.5"


def test_the_best_of_a_group_is_confessed(matrix):
    text = written(matrix)
    assert 'A "best" row takes on each system the setting of the best mean strict PSNR on these very images' in text
    assert "- admm: tau 1 on tape · lens; tau 2 on fza\n" in text


def test_what_is_missing_is_an_empty_cell(folder):
    folder.describe()
    folder.fill({("tape", "tape"): (20, 24), ("fza", "tape"): (30, None)})
    text = written(folder)
    found = table(text, "## Scores", "### PSNR in dB, strict")
    assert found["tape"] == ["tape", "◆ 22.00 [20.00, 24.00]", "", "", ""]
    # one picture has no interval
    assert found["fza"] == ["fza", "**30.00**", "", "", ""]
    assert found["admm, best tau"] == ["", "", "", "", ""]
    assert "42 missing" in text
    found = table(text, "## Differences: each model minus tape", "### PSNR in dB, strict")
    assert found["tape"] == ["", "+10.00; 1 : 0; p 1"]


@pytest.mark.parametrize("swept", ["systems", "rows"])
def test_a_sweep_is_a_table_along_its_axis(folder, swept):
    values = {2.0: (10, 12), 0.5: (20, 22), 10.0: None}
    sweep = {f"tape, snr {x:g}": {"x": x, "series": "tape, snr"} for x in values}
    rows, systems = ({"tape": {}}, sweep) if swept == "systems" else (sweep, {"tape": {}})
    folder.describe(rows, systems, axis="noise | dB")
    pairs = [("tape", name) if swept == "systems" else (name, "tape") for name in sweep]
    folder.fill({pair: psnr for pair, psnr in zip(pairs, values.values(), strict=True) if psnr})
    title, line = ("tape, snr", "tape") if swept == "systems" else ("tape", "tape, snr")
    assert table(written(folder), f"## {title}", "### PSNR in dB, strict") == {
        r"noise \| dB": [line],
        "0.5": ["**21.00** [20.00, 22.00]"],
        "2": ["**11.00** [10.00, 12.00]"],
        "10": [""],
    }


def test_answers_come_first_and_names_break_nothing(folder):
    folder.describe({"a|b <i>*c*": {}}, {"tape": {}})
    folder.fill({("a|b <i>*c*", "tape"): (20, 24)})
    text = written(folder, [Answer("So <it> is.", "not decided", ["+1 on tape", "-1 on fza"])])
    answer = "- **not decided**: So &lt;it> is.\n  - +1 on tape\n  - -1 on fza\n"
    assert text.startswith(f"# Who is best?\n\n{answer}\n- command")
    assert r"a\|b &lt;i>\*c\*" in table(text, "## Scores", "### PSNR in dB, strict")
