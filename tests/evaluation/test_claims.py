"""Claims and their answers, on records made by hand."""

import json

import pytest

from lensless.errors import InputError
from lensless.evaluation.claims import answers
from lensless.evaluation.records import append_records
from lensless.evaluation.results import read_results

ROWS = {
    "learned": {"key": "L"},
    "solver, tau 1": {"key": "S1", "tuning": "solver"},
    "solver, tau 2": {"key": "S2", "tuning": "solver"},
    "plain": {"key": "P"},
}
SYSTEMS = {"here": {"key": "h", "samples": 3}, "there": {"key": "t", "samples": 3}}
VERSIONS = {"lensless-torch": "0"}


def records(model, system, psnr, lpips=None, *, key=None):
    """A record for each value; image i shows picture i."""
    for image, value in enumerate(psnr):
        metrics = {"strict/psnr": value} | ({} if lpips is None else {"strict/lpips_alex": lpips[image]})
        yield {
            "key": f"{model} {system} {image}",
            "model": model,
            "system": system,
            "model_key": key or ROWS[model]["key"],
            "system_key": SYSTEMS[system]["key"],
            "image": image,
            "picture": f"picture {image}",
            "metrics": metrics,
            "versions": VERSIONS,
        }


@pytest.fixture
def ask(tmp_path):
    def answer(statement, *lines):
        statements = [{"text": "So it is.", **statement}]
        description = {"rows": ROWS, "systems": SYSTEMS, "statements": statements, "versions": VERSIONS}
        (tmp_path / "suite.json").write_text(json.dumps(description))
        file = tmp_path / "records" / "0.jsonl"
        file.unlink(missing_ok=True)
        append_records(file, [record for line in lines for record in line])
        (found,) = answers(read_results(tmp_path, "suite"))
        return found

    return answer


BETTER = {"claim": "better", "model": "learned", "than": ["solver"], "systems": ["here"], "metrics": ["strict/psnr"]}


def test_better_everywhere_is_yes(ask):
    found = ask(
        BETTER,
        records("learned", "here", [21, 22, 23]),
        records("solver, tau 1", "here", [20, 21, 22]),
        records("solver, tau 2", "here", [10, 10, 10]),
    )
    assert (found.statement, found.verdict) == ("So it is.", "yes")
    assert found.evidence[0].startswith("learned - solver, strict/psnr on here: +1 [+1, +1]; 3 of 3 pictures better")


def test_the_best_member_of_a_group_stands_for_it(ask):
    """tau 2 is better on average, though tau 1 is on two pictures of three."""
    found = ask(
        BETTER,
        records("learned", "here", [24, 24, 24]),
        records("solver, tau 1", "here", [20, 20, 20]),
        records("solver, tau 2", "here", [25, 19, 19]),
    )
    assert found.verdict == "not decided"  # +3 on average, but -1 on one picture


def test_worse_is_no_and_mixed_is_not_decided(ask):
    worse = ask(BETTER, records("learned", "here", [19, 20, 21]), records("solver, tau 1", "here", [20, 21, 22]))
    assert worse.verdict == "no"
    mixed = ask(BETTER, records("learned", "here", [19, 23]), records("solver, tau 1", "here", [20, 21]))
    assert mixed.verdict == "not decided"


def test_apart_asks_for_intervals_that_do_not_overlap(ask):
    """Gains of 1 and 3: 2 > sqrt(2) 1. Gains of 0.5 and 4.5: 2.5 < sqrt(2) 2, though above 0."""
    apart = BETTER | {"apart": True}
    close = ask(apart, records("learned", "here", [11, 23]), records("solver, tau 1", "here", [10, 20]))
    assert close.verdict == "yes" and close.evidence[0].endswith("overlap, those within pictures do not")
    found = ask(apart, records("learned", "here", [10.5, 24.5]), records("solver, tau 1", "here", [10, 20]))
    assert found.verdict == "not decided" and found.evidence[0].endswith("the means' intervals overlap")
    clear = ask(apart, records("learned", "here", [30, 31]), records("solver, tau 1", "here", [10, 20]))
    assert clear.verdict == "yes" and clear.evidence[0].endswith("the means' intervals do not overlap")


def test_less_is_better_for_distances(ask):
    found = ask(
        BETTER | {"metrics": ["strict/lpips_alex"]},
        records("learned", "here", [1, 1], [0.2, 0.3]),
        records("solver, tau 1", "here", [1, 1], [0.4, 0.5]),
    )
    assert found.verdict == "yes"
    assert "+0.2 [+0.2, +0.2]" in found.evidence[0]


def test_a_larger_gain_by_hand(ask):
    statement = {
        "claim": "larger_gain",
        "gain": ["learned", "plain", "here"],
        "over": ["learned", "plain", "there"],
        "metrics": ["strict/psnr"],
    }
    found = ask(
        statement,
        records("learned", "here", [24, 25]),
        records("plain", "here", [20, 22]),
        records("learned", "there", [30, 30]),
        records("plain", "there", [29, 29]),
    )
    assert found.verdict == "yes"  # 4 and 3 against 1 and 1
    assert found.evidence == [
        "gain of learned over plain on here, against learned over plain on there, strict/psnr: "
        "+3.5 [+3, +4] against +1 [+1, +1], difference +2.5 [+2, +3]"
    ]


def test_records_of_another_configuration_do_not_count(ask):
    found = ask(
        BETTER,
        records("learned", "here", [30, 30], key="an earlier one"),
        records("solver, tau 1", "here", [20, 21]),
    )
    assert found.verdict == "not decided"
    assert found.evidence == ["learned - solver, strict/psnr on here: nothing recorded"]


def test_an_unknown_claim_is_refused(ask):
    with pytest.raises(InputError, match=r"statements.claim: 'beter' is not known; did you mean better"):
        ask({"claim": "beter"}, records("plain", "here", [1]))
