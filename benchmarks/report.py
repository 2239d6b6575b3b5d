"""Markdown tables of one results file, for benchmarks/README.md: `python benchmarks/report.py FILE`."""

import json
import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

OURS, TORCH, NUMPY, FLOOR = "ours", "LenslessPiCam torch", "LenslessPiCam NumPy", "FFTs"
BFLOAT = "ours, bfloat16"
PEAK = "Peak memory of the whole process, interpreter and libraries included, GB:"
TITLES = {
    "admm": "ADMM, milliseconds an iteration",
    "fista": "FISTA, milliseconds an iteration",
    "convolution": "One scene through the PSF, milliseconds",
    "photograph": "One photograph placed and convolved, milliseconds",
    "measurement": "The same with shot noise of 40 dB, milliseconds",
    "sensor": "The same with all that a sensor does in place of the shot noise, milliseconds",
    "unrolled-forward": "Unrolled ADMM, 5 iterations, forward, milliseconds",
    "unrolled-training": "Unrolled ADMM, 5 iterations, forward, backward and a step of AdamW, milliseconds",
    "modular-training": "The same between two DRUNets of 4 million weights each, milliseconds",
    "light-training": "The same between two DRUNets of 128 thousand weights each, milliseconds",
}


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    print(render([json.loads(line) for line in lines]))


def render(records: list[dict]) -> str:
    """Every benchmark that ``records`` holds, as markdown; of a repeated measurement the last one counts."""
    sections = [machine(records)]
    for name, section in (
        ("admm", solver), ("fista", solver), ("memory", memory), ("scaling", scaling), ("lcd", lcd),
        ("convolution", comparison), ("photograph", comparison), ("measurement", comparison), ("sensor", comparison),
        ("unrolled-forward", comparison), ("unrolled-training", comparison), ("modular-training", comparison),
        ("light-training", comparison), ("loading", loading), ("resume", resume), ("fft", fft_sizes),
    ):
        found = [record for record in records if record["benchmark"] == name]
        if found:
            sections.append(section(found))
    return "\n\n".join(sections)


def machine(records: list[dict]) -> str:
    facts = next(record for record in reversed(records) if record["benchmark"] == "machine")
    versions: dict[str, set[str]] = {}
    for record in records:
        side = "LenslessPiCam with" if "lensless" in record.get("versions", {}) else "ours with"
        for package, version in record.get("versions", {}).items():
            versions.setdefault(side, set()).add(f"{package} {version}")
    sides = [f"{side} {', '.join(sorted(found))}" for side, found in sorted(versions.items(), reverse=True)]
    return (
        f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores, {facts['memory_bytes'] / 1e9:.0f} GB, "
        f"{facts['libc']}, Python {facts['python']}; {'; '.join(sides)}."
    )


def solver(records: list[dict]) -> str:
    """The comparison, and what one call costs beside its iterations."""
    contenders = [name for name in dict.fromkeys(r["contender"] for r in records) if "FFTs" not in name]
    rows = [[*label, *(f"{row[name]['seconds_once']:.2f}" for name in contenders)] for label, row in cases(records)]
    beside = table(["sensor", "allocator", *contenders], rows)
    return f"{comparison(records)}\n\nSeconds that a call takes beside its iterations:\n\n{beside}"


def comparison(records: list[dict]) -> str:
    """Milliseconds, the ratios that matter, and the peak of the memory."""
    contenders = list(dict.fromkeys(r["contender"] for r in records))
    pairs = ((TORCH, OURS), (NUMPY, OURS), (TORCH, BFLOAT), (OURS, FLOOR))
    ratios = [(a, b) for a, b in pairs if {a, b} <= set(contenders)]
    times, peaks, spread = [], [], 0.0
    for label, row in cases(records):
        quotients = [f"{row[a]['seconds'] / row[b]['seconds']:.1f}x" for a, b in ratios]
        times.append([*label, *(milliseconds(row[name]["seconds"]) for name in contenders), *quotients])
        peaks.append([*label, *(f"{row[name]['peak_bytes'] / 1e9:.2f}" for name in contenders)])
        for r in row.values():
            spread = max(spread, (max(r["seconds_of_rounds"]) - min(r["seconds_of_rounds"])) / r["seconds"])
    first = records[0]
    headings = ["sensor", "allocator", *contenders]
    return "\n\n".join((
        f"### {TITLES[first['benchmark']]}\n\n"
        f"float32, {first['threads']} threads, median of {len(first['seconds_of_rounds'])} rounds that differ by "
        f"up to {spread:.0%}.",
        table([*headings, *(f"{a} / {b}" for a, b in ratios)], times),
        PEAK,
        table(headings, peaks),
    ))


def cases(records: list[dict]) -> list[tuple[list[str], dict[str, dict]]]:
    """For each sensor and allocator its label, and the record of each contender: of repeated ones the last."""
    found: dict[tuple, dict[str, dict]] = {}
    for r in records:
        batch, size = r.get("batch", 1), "x".join(map(str, r["shape"])) + "x3"
        label = f"{batch} of {size}" if batch > 1 else size
        found.setdefault((label, r["allocator"]), {})[r["contender"]] = r
    return [([*label], row) for label, row in found.items()]


def memory(records: list[dict]) -> str:
    last = records[-1]
    height, width = last["shape"]
    return (
        f"### Memory\n\nPeak of a process that reconstructs {height}x{width}x3 with ADMM, everything included: "
        f"{last['peak_bytes'] / 1e9:.1f} GB."
    )


def scaling(records: list[dict]) -> str:
    """Cost against pixels, and the slope of the least-squares line through the logarithms."""
    cells = {tuple(r["shape"]): r["seconds"] for r in records}
    pixels = [math.prod(shape) for shape in cells]
    slope = statistics.linear_regression(
        [math.log(n) for n in pixels], [math.log(seconds) for seconds in cells.values()]
    ).slope
    rows = [
        [f"{shape[0]}x{shape[1]}x3", f"{n / 1e6:.2f}", milliseconds(seconds), f"{seconds / n * 1e9:.0f}"]
        for n, (shape, seconds) in zip(pixels, cells.items(), strict=True)
    ]
    headings = ["sensor", "megapixels", "milliseconds an iteration", "nanoseconds an iteration and pixel"]
    return f"### ADMM against sensor size: slope {slope:.2f} on log-log axes\n\n{table(headings, rows)}"


def lcd(records: list[dict]) -> str:
    """Milliseconds a pattern, shadows and propagated waves each beside their peers, and the peak of the memory."""
    cells = {(tuple(r["shape"]), r["contender"]): r for r in records}
    contenders = list(dict.fromkeys(contender for _, contender in cells))
    ratios = [(TORCH, OURS), (NUMPY, OURS), ("LenslessPiCam waves", "ours, waves")]
    rows, peaks = [], []
    for shape in dict.fromkeys(shape for shape, _ in cells):
        row = {contender: cells[shape, contender] for contender in contenders}
        label = "x".join(map(str, shape)) + "x3"
        times = [milliseconds(row[contender]["seconds"]) for contender in contenders]
        rows.append([label, *times, *(f"{row[a]['seconds'] / row[b]['seconds']:.1f}x" for a, b in ratios)])
        peaks.append([label, *(f"{row[contender]['peak_bytes'] / 1e9:.2f}" for contender in contenders)])
    return "\n\n".join((
        "### LCD, milliseconds a pattern's PSF",
        table(["sensor", *contenders, *(f"{a} / {b}" for a, b in ratios)], rows),
        PEAK,
        table(["sensor", *contenders], peaks),
    ))


def loading(records: list[dict]) -> str:
    """Of each number of workers the last record."""
    rows = [
        [
            str(workers),
            milliseconds(r["seconds"]),
            f"{1 / r['seconds']:.1f}",
            f"{r['waiting']:.1%}",
            f"{r['peak_bytes'] / 1e9:.2f}",
            f"{r['peak_bytes_worker'] / 1e9:.2f}" if workers else "",
        ]
        for workers, r in {r["workers"]: r for r in records}.items()
    ]
    headings = ["workers", "ms a step", "steps a second", "of it waiting for data", "peak, GB", "of the worker, GB"]
    return f"### Training of cpu_small: 4 scenes of 96x128x3 a step\n\n{table(headings, rows)}"


def resume(records: list[dict]) -> str:
    last = records[-1]
    rows = [
        [name, f"{last[key]:.1f}", again]
        for name, key, again in (
            ("begun", "seconds_start", ""),
            ("gone on with after SIGTERM", "seconds_after_sigterm", "0"),
            ("gone on with after SIGKILL", "seconds_after_sigkill", str(last["steps_again"])),
        )
    ]
    headings = ["cpu_small is", "seconds to the first new step", "steps made again"]
    title = f"### Resuming a training whose steps take {milliseconds(last['seconds_step'])} ms"
    return f"{title}\n\n{table(headings, rows)}"


def fft_sizes(records: list[dict]) -> str:
    """Nanoseconds a pixel, one row a grid."""
    cells = {(tuple(r["grid"]), f"{r['backend']} {r['direction']}"): r["ns_per_pixel"] for r in records}
    columns = list(dict.fromkeys(column for _, column in cells))
    rows = [
        ["x".join(map(str, grid)), *(f"{cells[grid, column]:.2f}" for column in columns)]
        for grid in dict.fromkeys(grid for grid, _ in cells)
    ]
    return f"### One real 2-D FFT, nanoseconds a pixel\n\n{table(['grid', *columns], rows)}"


def milliseconds(seconds: float) -> str:
    """Three significant digits."""
    value = seconds * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = list(headings)
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
