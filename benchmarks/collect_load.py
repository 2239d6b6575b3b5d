"""10,000 frames through the SSH agent while everything breaks, and what limits the rate at full resolution:

    python benchmarks/collect_load.py faults [--frames 10000] --out FOLDER      FOLDER/faults.json
    python benchmarks/collect_load.py rate --disk FOLDER --out FOLDER           FOLDER/rate.json
    python benchmarks/collect_load.py figure FOLDER docs/collect_load.png

Linux, as root (it mounts a file system to fill it up), with OpenSSH's server: apt install openssh-server. A real sshd
on the loopback address, a virtual rig behind `lensless-capture serve`, and `lensless-capture collect` as a process of
its own, started again as soon as it ends. Faults come in the first 60 % of the frames, each at a random record: agents
and collectors killed (SIGKILL), connections cut, the disk filled up. The rest shows the rate and whether memory grows.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "hardware"), str(ROOT / "tests" / "hardware")]

from loopback import Cable, Server, agents  # noqa: E402

from lensless_capture.agent import serve  # noqa: E402
from lensless_capture.cameras.base import CameraInfo, Frame, Reported, Settings  # noqa: E402
from lensless_capture.files import write_whole  # noqa: E402
from lensless_capture.plan import list_scenes, plan  # noqa: E402
from lensless_capture.png import encode  # noqa: E402
from lensless_capture.remote import remote_rig  # noqa: E402
from lensless_capture.rig import Rig  # noqa: E402
from lensless_capture.screens.simulated import SimulatedScreen  # noqa: E402
from lensless_capture.ssh import SshAgent  # noqa: E402

FAULTS = {"agent killed": 20, "collector killed": 20, "cable pulled": 20, "disk filled": 3}
# Shares of the run: with faults, and from where on everything has settled after them.
FAULTY, CALM = 0.6, 0.62
SIZE, FULL_SIZE = (24, 34), (3040, 4056)
EVERY, MASKS = 100, 2
RIG = """
[camera]
kind = "virtual"
[bench]
size = [24, 34]
ambient = 0.02
[display]
kind = "simulated"
size = [24, 32]
[mask]
kind = "wheel"
count = 2
"""


@dataclass
class Watch:
    """Looks at a run from outside: how far it is, and how much memory its two processes hold (bytes)."""

    out: Path
    rig: Path
    collector: subprocess.Popen | None = None
    records: int = 0
    samples: list[dict] = field(default_factory=list)

    def count(self) -> int:
        """Records that are complete; they come in order."""
        while (self.out / f"{self.records:06d}.json").exists():
            self.records += 1
        return self.records

    def sample(self, began: float) -> None:
        agent = next(agents(self.rig), None)
        collector = None if self.collector is None else self.collector.pid
        memory = {"collector": resident(collector), "agent": resident(agent)}
        pids = {"collector_pid": collector, "agent_pid": agent}
        self.samples.append({"seconds": time.monotonic() - began, "records": self.count(), **memory, **pids})


def resident(pid: int | None) -> int | None:
    """Bytes of memory that a process holds, None where it has ended."""
    if pid is not None:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return 1024 * int(line.split()[1])
    return None


@contextmanager
def disk(folder: Path, size: str):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def faults(options: argparse.Namespace) -> None:
    """Run the collection through all faults, verify every record, write faults.json."""
    with tempfile.TemporaryDirectory() as name, disk(Path(name) / "disk", "400m") as space:
        folder, server = Path(name), Server(Path(name))
        rig, scenes, out = folder / "rig.toml", space / "scenes", space / "records"
        rig.write_text(RIG)
        shots = write_scenes(scenes, options.frames)
        cable, watch = Cable(server.port), Watch(out, rig)
        command = [
            *(str(server.program()), "collect", str(scenes), str(out), "--every", str(EVERY), "--rig", str(rig)),
            *("--host", "pi", "--ssh-config", str(server.config(port=cable.port)), "--agent", str(server.program())),
            "serve",
        ]
        try:
            told = through(command, watch, cable, space, schedule(random.Random(options.seed), options.frames))
        finally:
            server.stop()
            watch.collector.kill()
        summary = json.loads((out / "report.json").read_text())["summary"]
        found = verify(out, shots)
    calm = [sample for sample in watch.samples if sample["records"] >= CALM * options.frames]
    records, seconds = (calm[-1][key] - calm[0][key] for key in ("records", "seconds"))
    result = {
        "machine": machine(),
        "frames": len(shots),
        "frame_bytes": 2 * SIZE[0] * SIZE[1],
        "seed": options.seed,
        **told,
        "connections": cable.connections,
        **found,
        "rejected": summary["rejected"],
        "quarantined": summary["quarantined"],
        "undisturbed_frames_per_second": records / seconds,
        "memory": growth(calm),
        "samples": watch.samples,
    }
    write(options.out / "faults.json", result)
    print(json.dumps({key: value for key, value in result.items() if key != "samples"}, indent=1))


def through(command: list[str], watch: Watch, cable: Cable, space: Path, due: list[tuple[int, str]]) -> dict:
    """Start the collector again and again until it is done, while the faults that are due happen."""
    done, ends, began, next_sample = Counter(), Counter(), time.monotonic(), 0.0
    while True:
        watch.collector = subprocess.Popen(command)
        while watch.collector.poll() is None:
            if time.monotonic() > next_sample:
                watch.sample(began)
                next_sample = time.monotonic() + 1
            if due and watch.count() >= due[0][0] and strike(due[0][1], watch, cable, space):
                done[due.pop(0)[1]] += 1
            time.sleep(0.005)
        ends[str(watch.collector.returncode)] += 1
        (space / "ballast").unlink(missing_ok=True)
        if watch.collector.returncode == 0:
            return {"faults": done, "collector_exit_codes": ends, "seconds": time.monotonic() - began}


def write_scenes(folder: Path, frames: int) -> list:
    """As many pictures as make a plan of ``frames`` shots; returns the shots."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    count = frames
    while len(plan([""] * count, masks=range(MASKS), every=EVERY)) > frames:
        count -= 1
    for index in range(count):
        picture = noise.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        Image.fromarray(picture).save(folder / f"{index:05d}.png")
    shots = plan(list_scenes(folder), masks=range(MASKS), every=EVERY)
    if len(shots) != frames:
        raise SystemExit(f"--frames: {frames} is no length of a plan, the next shorter one is {len(shots)}")
    return shots


def schedule(chance: random.Random, frames: int) -> list[tuple[int, str]]:
    """(number of records, fault) in order."""
    kinds = [kind for kind, count in FAULTS.items() for _ in range(count)]
    chance.shuffle(kinds)
    return list(zip(sorted(chance.sample(range(20, int(FAULTY * frames)), len(kinds))), kinds, strict=True))


def strike(kind: str, watch: Watch, cable: Cable, space: Path) -> bool:
    """Let one fault happen; whether it could."""
    match kind:
        case "collector killed":
            watch.collector.kill()
        case "agent killed":
            found = list(agents(watch.rig))
            for pid in found:
                os.kill(pid, signal.SIGKILL)
            return bool(found)
        case "cable pulled":
            cable.pull()
        case "disk filled":
            with suppress(OSError), open(space / "ballast", "wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(2**16))
            watch.collector.wait()
    return True


def verify(out: Path, shots: list) -> dict[str, int]:
    """Every record of the plan against its file: what is whole, lost, doubled or of something else."""
    counts = dict.fromkeys(("whole", "lost", "damaged", "of_another_shot", "beyond_the_plan"), 0)
    numbers = sorted(int(file.stem) for file in out.glob("*.json") if file.stem.isdecimal())
    counts["beyond_the_plan"] = sum(number >= len(shots) for number in numbers)
    shown = Counter()
    for number, shot in enumerate(shots):
        file = out / f"{number:06d}.json"
        if not file.exists():
            counts["lost"] += 1
            continue
        record = json.loads(file.read_text())
        same = hashlib.sha256(file.with_suffix(".png").read_bytes()).hexdigest() == record["sha256"]
        asked = all(record[key] == value for key, value in vars(shot).items())
        counts["whole" if same and asked else "damaged" if asked else "of_another_shot"] += 1
        if record["kind"] == "scene":
            shown[record["scene"]] += 1
    return {**counts, "scenes": len(shown), "scenes_doubled": sum(count > 1 for count in shown.values())}


def growth(calm: list[dict]) -> dict[str, dict[str, float]]:
    """Memory in the undisturbed part: at its beginning and end, means of a tenth of it, and growth by a line through
    all."""
    found = {}
    for name in ("collector", "agent"):
        # one process: the last one of the run
        same = [one for one in calm if one[name] and one[f"{name}_pid"] == calm[-2][f"{name}_pid"]]
        same = same[len(same) // 10 :]  # while it starts, libraries and records are read
        records, memory = ([one[key] for one in same] for key in ("records", name))
        slope = float(np.polyfit(records, memory, 1)[0])
        tenth = max(1, len(same) // 10)
        found[name] = {
            "first_mb": float(np.mean(memory[:tenth])) / 1e6,
            "last_mb": float(np.mean(memory[-tenth:])) / 1e6,
            "growth_kb_per_1000_records": slope,
        }
    return found


def rate(options: argparse.Namespace) -> None:
    """What each step costs at full resolution, alone and all together, write rate.json.

    Costs are processor time, so that other work on the machine does not count, but for the disk and the whole.
    """
    frame = full_frame()
    size, content = frame.pixels.nbytes, encode(frame.pixels)
    steps = {
        "PNG": size / seconds(lambda: encode(frame.pixels)),
        "sha256": size / seconds(lambda: hashlib.sha256(frame.pixels).hexdigest()),
    }
    whole = {"disk": size / seconds(lambda: write_whole(options.disk / "probe.png", content), clock=time.perf_counter)}
    (options.disk / "probe.png").unlink()
    with tempfile.TemporaryDirectory() as name:
        server, quiet = Server(Path(name)), os.getloadavg()[0]
        config = server.config()
        for cipher in ("chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"):
            client, daemon = through_ssh(["ssh", "-F", str(config), "-c", cipher, "pi"], server)
            steps |= {f"ssh, {cipher.partition('@')[0]}": client, f"sshd, {cipher.partition('@')[0]}": daemon}
        script = server.folder / "constant"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" serve\n')
        script.chmod(0o755)
        with remote_rig(SshAgent("pi", command=[str(script)], config=config)) as rig:
            whole["frames over the link"] = size / seconds(
                lambda: rig.camera.capture(Settings(0.01)), clock=time.perf_counter
            )
        before = processor_seconds(server)[0]
        frames, whole["collect"] = collected(server, script, options.disk, size)
        steps["all of collect"] = frames * size / (processor_seconds(server)[0] - before)
        server.stop()
    result = {
        "machine": machine(),
        "load_average": quiet,
        "frame_bytes": size,
        "png_bytes": len(content),
        "sensor": 10 * size,
        "bytes_per_processor_second": steps,
        "bytes_per_second": whole,
    }
    write(options.out / "rate.json", result)
    print(json.dumps(result, indent=1))


def collected(server: Server, agent: Path, disk: Path, size: int) -> tuple[int, float]:
    """Number of frames of a collection at one exposure, and bytes a second, the first and last frames left out."""
    scenes, out = server.folder / "scenes", disk / "records"
    scenes.mkdir()
    for index in range(60):
        Image.fromarray(np.full((24, 32, 3), index, np.uint8)).save(scenes / f"{index:03d}.png")
    command = [str(server.program()), "collect", str(scenes), str(out), "--fixed", "--host", "pi"]
    subprocess.run([*command, "--ssh-config", str(server.config()), "--agent", str(agent)], check=True)
    times = sorted(file.stat().st_mtime for file in out.glob("0*.json"))
    steady = times[5:-1]
    for file in out.iterdir():
        file.unlink()
    out.rmdir()
    return len(times), size * (len(steady) - 1) / (steady[-1] - steady[0])


def full_frame() -> Frame:
    """A frame of an HQ camera in middling light: 12 bits, their noise that of photons."""
    random_numbers = np.random.default_rng(0)
    light = 400 + 200 * np.sin(np.arange(FULL_SIZE[1]) / 300) + np.zeros(FULL_SIZE)[:, :1]
    counts = 256 + light + random_numbers.standard_normal(FULL_SIZE, np.float32) * np.sqrt(light / 2.1 + 2)
    reported = Reported(0.01, 1.0, (1.0, 1.0), 256, 12, "RGGB", time.monotonic())
    return Frame(counts.clip(0, 4095).astype(np.uint16), reported)


class Constant:
    """A camera that has its frame ready, so that the link and not the simulation is measured."""

    def __init__(self):
        self.frame = full_frame()
        self.info = CameraInfo("constant", FULL_SIZE, 12, "RGGB", (1e-5, 10.0), (1.0, 16.0))

    def capture(self, settings: Settings) -> Frame:
        now = {"exposure": settings.exposure, "gain": settings.gain, "timestamp": time.monotonic()}
        return Frame(self.frame.pixels, Reported(**{**vars(self.frame.reported), **now}))


def serve_constant() -> None:
    @contextmanager
    def rig():
        yield Rig(Constant(), SimulatedScreen((24, 32)))

    serve(sys.stdin.buffer.raw, sys.stdout.buffer, rig)


def seconds(work: Callable[[], object], *, clock: Callable[[], float] = time.process_time) -> float:
    """The median of some calls, after one to warm up."""
    work()
    taken = []
    while len(taken) < 5 or (sum(taken) < 3 and len(taken) < 30):
        began = clock()
        work()
        taken.append(clock() - began)
    return float(np.median(taken))


def through_ssh(command: list[str], server: Server, count: int = 1_000_000_000) -> tuple[float, float]:
    """Bytes a second of processor time that ssh and sshd carry, each on its own processor."""
    before = processor_seconds(server)
    with subprocess.Popen([*command, f"head -c {count} /dev/zero"], stdout=subprocess.PIPE) as process:
        while process.stdout.read(2**20):
            pass
    after = processor_seconds(server)
    return count / (after[0] - before[0]), count / (after[1] - before[1])


def processor_seconds(server: Server) -> tuple[float, float]:
    """Of all processes that were started here and have ended, and of all that the server started."""
    time.sleep(0.5)  # until the server has cleared up
    here = resource.getrusage(resource.RUSAGE_CHILDREN)
    there = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return here.ru_utime + here.ru_stime, (int(there[13]) + int(there[14])) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"


def write(file: Path, result: dict) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result) + "\n")


def figure(options: argparse.Namespace) -> None:
    """Memory and progress of the faults' run, and the rates."""
    from matplotlib.figure import Figure

    found, rates = (json.loads((options.results / f"{name}.json").read_text()) for name in ("faults", "rate"))
    samples = found["samples"]
    sheet = Figure(figsize=(11, 3.8), layout="constrained")
    left, right = sheet.subplots(1, 2, width_ratios=(3, 2))
    records = [one["records"] for one in samples]
    for name, colour in (("collector", "#1f5fa8"), ("agent", "#c4541c")):
        left.plot(records, [one[name] and one[name] / 1e6 for one in samples], ".", ms=2, color=colour, label=name)
    left.axvspan(0, FAULTY * found["frames"], color="0.93", lw=0, label=f"{sum(found['faults'].values())} faults")
    left.set(xlabel="records written", ylabel="memory, MB", ylim=(0, None), xlim=(0, found["frames"]))
    left.legend(loc="lower right", fontsize=8)
    left.set_title(f"{found['whole']:,} of {found['frames']:,} records whole, {found['lost']} lost", fontsize=10)
    steps = rates["bytes_per_processor_second"]
    order = sorted(steps, key=steps.get)
    right.barh(order, [steps[name] / 1e6 for name in order], color="#7a9cc0")
    right.axvline(rates["sensor"] / 1e6, color="#c4541c", lw=1)
    right.set(xscale="log", xlabel="MB/s of one core, frames of 4056 x 3040")
    right.set_title("line: the sensor at 10 frames/s", fontsize=10)
    picture = io.BytesIO()
    sheet.savefig(picture, dpi=110)
    options.picture.write_bytes(picture.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    sub = parser.add_subparsers(required=True)
    run = sub.add_parser("faults")
    run.add_argument("--frames", type=int, default=10_000)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--out", type=Path, required=True)
    run.set_defaults(run=faults)
    run = sub.add_parser("rate")
    run.add_argument("--disk", type=Path, required=True, help="a folder on the disk to measure")
    run.add_argument("--out", type=Path, required=True)
    run.set_defaults(run=rate)
    run = sub.add_parser("figure")
    run.add_argument("results", type=Path)
    run.add_argument("picture", type=Path)
    run.set_defaults(run=figure)
    run = sub.add_parser("serve")
    run.set_defaults(run=lambda options: serve_constant())
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
