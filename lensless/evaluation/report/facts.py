"""Where the numbers come from and what is missing among them, in words: the head of the report."""

from lensless.evaluation.results import Column, Results, Row, setting

# below so many pictures a percentile bootstrap interval is noticeably too narrow
FEW = 10


def facts(results: Results) -> list[tuple[str, str]]:
    """(what, text) of how the records were made, and of what is missing, damaged, repeated or left out."""
    about = results.description
    found = [
        ("command", about["command"]),
        ("date", about["date"]),
        ("machine", about["machine"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        ("images", _images(results)),
        ("records", _records(results)),
    ]
    if about["waiting"]:
        found.append(("not trained yet", ", ".join(about["waiting"])))
    if results.damaged:
        found.append(("damaged lines", ", ".join(results.damaged)))
    return found


def _images(results: Results) -> str:
    images = [results.images(column) for column in results.columns]
    pictures = [_pictures(results, column) for column in results.columns]
    text = f"{_span(images)} of {_span(pictures)} {'picture' if max(pictures) == 1 else 'pictures'} a system"
    if min(pictures) < FEW:
        text += f"; intervals from fewer than {FEW} pictures are too narrow"
    return text


def _pictures(results: Results, column: Column) -> int:
    return len({record["picture"] for row in results.rows for record in results.cell(row, column).values()})


def _records(results: Results) -> str:
    text = (
        f"{len(results.records)} used, {results.missing} missing, {results.other_versions} of other versions of the "
        f"library left out; damaged lines: {len(results.damaged)}, repeated lines: {results.repeated}"
    )
    return text + (". `lensless benchmark score` computes what is missing." if results.missing else "")


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def choices(results: Results) -> list[str]:
    """For each group of settings, which one counts on which system."""
    return [f"{row.group}: {_chosen(results, row)}" for row in results.rows if row.group]


def _chosen(results: Results, row: Row) -> str:
    places = {member: [] for member in row.members}
    for column in results.columns:
        if (row.name, column.name) in results.chosen:
            places[results.chosen[row.name, column.name]].append(column.name)
    return "; ".join(
        f"{' '.join(setting(row.group, member))} on {' · '.join(names)}" for member, names in places.items() if names
    )


def judges(results: Results) -> str:
    """By which measure the best of a group is taken."""
    forms = {column.judge.form for column in results.columns}
    return " or, where a camera's brightness is relative, ".join(f"{form} PSNR" for form in sorted(forms, reverse=True))
