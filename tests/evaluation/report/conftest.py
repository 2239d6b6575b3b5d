"""A benchmark's folder with numbers that can be followed by hand."""

import json

import pytest

# two images of each of two pictures
PICTURES = ("a", "a", "b", "b")
VERSION = "1.2.3"
ROWS = {
    "admm, tau 1": {"tuning": "admm"},
    "admm, tau 2": {"tuning": "admm"},
    "tape": {"trained_on": ["tape"]},
    "fza": {"trained_on": ["fza"]},
}
SYSTEMS = {"lens": {"seen": False}, "tape": {}, "fza": {}}
# PSNR in dB of the pictures a and b
PSNR = {
    ("admm, tau 1", "tape"): (18, 18),
    ("admm, tau 2", "tape"): (17, 17),
    ("admm, tau 1", "fza"): (10, 10),
    ("admm, tau 2", "fza"): (16, 16),
    ("admm, tau 1", "lens"): (12, 12),
    ("admm, tau 2", "lens"): (11, 11),
    ("tape", "tape"): (20, 24),
    ("tape", "fza"): (14, 16),
    ("tape", "lens"): (13, 13),
    ("fza", "tape"): (16, 18),
    ("fza", "fza"): (21, 21),
    ("fza", "lens"): (11, 15),
}


def line(name, row, system, image, psnr, **changes):
    """A record, whose other metrics follow from the PSNR; ``name`` of the suite."""
    of_form = {"strict": psnr, "affine": psnr + 1}
    metrics = {f"{form}/psnr": value for form, value in of_form.items()}
    metrics |= {f"{form}/lpips_alex": 1 - value / 100 for form, value in of_form.items()}
    return {
        "key": f"{name} {row} {system} {image}",
        "model": row,
        "system": system,
        "model_key": f"{name} model {row}",
        "system_key": f"{name} system {system}",
        "image": image,
        "picture": PICTURES[image],
        "metrics": metrics | {"reprojection": 0.1},
        "seconds": 0.25,
        "bytes": None,
        "versions": {"lensless-torch": VERSION},
    } | changes


class Folder:
    """Writes what `lensless benchmark score` leaves."""

    line = staticmethod(line)

    def __init__(self, out):
        self.out = out

    def describe(self, rows=ROWS, systems=SYSTEMS, *, name="suite", **about):
        description = {
            "name": name,
            "title": "Who is best?",
            "axis": None,
            "statements": [],
            "rows": {row: entries | {"key": f"{name} model {row}"} for row, entries in rows.items()},
            "systems": {
                system: {"samples": 4} | entries | {"key": f"{name} system {system}"}
                for system, entries in systems.items()
            },
            "waiting": [],
            "command": "lensless benchmark suite=suite",
            "date": "2026-11-26",
            "machine": "two cores",
            "versions": {"lensless-torch": VERSION, "torch": "2.13"},
        }
        (self.out / f"{name}.json").write_text(json.dumps(description | about), encoding="utf-8")

    def record(self, lines, file="0-of-1"):
        path = self.out / "records" / f"{file}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(one) + "\n" for one in lines)

    def fill(self, psnr=PSNR, *, name="suite"):
        """A record for each image; psnr: of the pictures by row and system, None for none."""
        for (row, system), values in psnr.items():
            by_picture = dict(zip("ab", values, strict=True))
            self.record(
                line(name, row, system, image, by_picture[picture])
                for image, picture in enumerate(PICTURES)
                if by_picture[picture] is not None
            )


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def matrix(folder):
    """Two trained models and a tuned one on two cameras and on one that nobody was trained on."""
    folder.describe()
    folder.fill()
    return folder
