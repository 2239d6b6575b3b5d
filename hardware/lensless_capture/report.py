"""What a folder of records holds, told from the records alone: exposures, light, rejected frames, drift."""

from collections import Counter
from typing import Any

from lensless_capture.records import RecordFolder


def summarise(records: RecordFolder) -> dict[str, Any]:
    """Numbers of the whole folder, whoever wrote it in how many runs, as JSON.

    exposures, gains: least and most of the scenes. light: how often each verdict. rejected: frames that were taken
    again, by reason. background: level of the first one and the largest change of any, psf: the largest shift and the
    least correlation of a point of light, each with the record where; None where there is nothing to compare.
    """
    exposures, gains, kinds, light, rejected = [], [], Counter(), Counter(), Counter()
    backgrounds, points = [], []
    for number in records.numbers():
        record = records.record(number)
        kinds[record["kind"]] += 1
        rejected.update(record.get("rejected") or {})
        drift = record.get("drift")
        if record["kind"] == "scene":
            exposures.append(record["exposure"])
            gains.append(record["gain"])
            light[(record.get("verdict") or "none").partition(":")[0]] += 1
        elif drift is not None:
            (points if record["kind"] == "psf" else backgrounds).append({**drift, "record": number})
    return {
        "planned": records.planned,
        "records": kinds.total(),
        "kinds": dict(kinds),
        "quarantined": sum(1 for _ in records.folder.glob("quarantine/*.json")),
        "exposures": _ends(exposures),
        "gains": _ends(gains),
        "light": dict(light),
        "rejected": dict(rejected),
        "background": _background(backgrounds),
        "psf": _psf(points),
    }


def in_words(summary: dict[str, Any]) -> str:
    """The summary in lines of text."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary["kinds"].items())
    lines = [f"{summary['records']} of {summary['planned']} records: {kinds or 'none'}"]
    lines.append(f"frames taken again: {_tally(summary['rejected'])}; records quarantined: {summary['quarantined']}")
    lines.append(f"light of the scenes: {_tally(summary['light'])}")
    if summary["exposures"]:
        lines.append("exposures {:g} s to {:g} s, gains {:g} to {:g}".format(*summary["exposures"], *summary["gains"]))
    if summary["background"]:
        first, change, record = summary["background"].values()
        lines.append(f"background {first:.2%} of full scale at first, changed by {change:+.2%} at most ({record:06d})")
    if summary["psf"]:
        (down, right), record, correlation = summary["psf"].values()
        lines.append(
            f"PSF moved by {down:+.2f}, {right:+.2f} pixels at most ({record:06d}), correlates with the first "
            f"{correlation:.3f} or better"
        )
    else:
        lines.append("PSF: no two points of light that were bright enough to compare")
    return "\n".join(lines)


def _ends(values: list[float]) -> list[float] | None:
    return [min(values), max(values)] if values else None


def _background(drifts: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not drifts:
        return None
    most = max(drifts, key=lambda drift: abs(drift["change"]))
    return {"first": drifts[0]["level"], "change": most["change"], "record": most["record"]}


def _psf(drifts: list[dict[str, Any]]) -> dict[str, Any] | None:
    if len(drifts) < 2:
        return None
    most = max(drifts, key=lambda drift: max(map(abs, drift["shift"])))
    least = min(drift["correlation"] for drift in drifts)
    return {"shift": most["shift"], "record": most["record"], "correlation": least}


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "none"
