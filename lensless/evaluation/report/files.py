"""The report's files: SUITE.md and SUITE.html."""

from collections.abc import Sequence
from pathlib import Path

from lensless.evaluation.claims import Answer
from lensless.evaluation.report.album import album
from lensless.evaluation.report.markdown import markdown
from lensless.evaluation.report.page import page
from lensless.evaluation.report.tables import Tables
from lensless.evaluation.results import Results
from lensless.images.write import atomic_write


def write_report(results: Results, answers: Sequence[Answer]) -> list[Path]:
    """Write both beside the records; returns their paths. Raises InputError where they cannot be written."""
    tables = Tables(results)
    pictures, left_out = album(results)
    texts = {"md": markdown(tables, answers), "html": page(tables, answers, pictures, left_out=left_out)}
    files = []
    for suffix, text in texts.items():
        files.append(results.out / f"{results.description['name']}.{suffix}")
        with atomic_write(files[-1]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return files
