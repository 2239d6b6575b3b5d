"""The link over a real sshd on the loopback address, with a key and a host key made for it."""

import calendar
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lensless_capture.cameras.base import Settings
from lensless_capture.cli import main
from lensless_capture.collect import Collection, collect
from lensless_capture.errors import InputError, LinkError
from lensless_capture.exposure import AutoExposure
from lensless_capture.mask import on_pixels, random_pattern
from lensless_capture.remote import remote_rig
from lensless_capture.rig import read_rig, rig_opener
from lensless_capture.ssh import SshAgent


def beside(name):
    """The module in the file ``name`` of this folder."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


loopback = beside("loopback")
QUICK = (0.05,) * 4

if loopback.SSHD is None or shutil.which("ssh") is None:
    pytest.skip("OpenSSH is not here: apt install openssh-server openssh-client", allow_module_level=True)


class Server(loopback.Server):
    def agent(self, rig, *, program=(), **changes):
        """An agent for ``rig`` through this server; changes as :meth:`config` takes them."""
        command = [*(program or [str(self.program())]), "serve", "--rig", str(rig)]
        return SshAgent("pi", command=command, config=self.config(**changes))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    try:
        server = Server(tmp_path_factory.mktemp("sshd"))
    except RuntimeError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


def test_a_remote_rig_is_the_rig_over_there(server, virtual):
    file = virtual("seed = 3")
    with remote_rig(server.agent(file)) as far, rig_opener(read_rig(str(file)))() as near:
        assert (far.camera.info, far.display.size, far.mask.labels) == (near.camera.info, (18, 24), range(2))
        for rig in (far, near):
            rig.display.show(on_pixels(random_pattern(1, (30, 20)), (18, 24)))
            rig.mask.show(1)
            rig.mask.close()
        frames = [rig.camera.capture(Settings(0.1, 2.0, (1.5, 2.0))) for rig in (far, near)]
        np.testing.assert_array_equal(frames[0].pixels, frames[1].pixels)
        assert far.describe() == near.describe()
        assert frames[0].reported.colour_gains == (1.5, 2.0)
        with pytest.raises(InputError, match="mask: expected a label from 0 to 1, got 2"):
            far.mask.show(2)


def test_an_unknown_host_is_refused_with_the_way_to_add_it(server, virtual):
    with pytest.raises(InputError, match=r"the key of pi is not known; add it:\s+1. on the Pi:  ssh-keygen -lf"):
        server.agent(virtual(), known="").__enter__()


def test_a_changed_host_is_refused_with_the_way_to_renew_it(server, virtual, tmp_path):
    with pytest.raises(InputError, match=r"the key of pi is not the one it had: another machine answers"):
        server.agent(virtual(), known=loopback.make_key(tmp_path / "other")).__enter__()


def test_a_key_that_is_not_accepted_is_said(server, virtual):
    loopback.make_key(server.folder / "stranger")
    with pytest.raises(InputError, match="accepts none of your keys; run `ssh-copy-id pi`"):
        server.agent(virtual(), user="stranger").__enter__()


def test_a_rig_that_is_not_over_there_is_wrong_input(server, tmp_path):
    with pytest.raises(InputError, match=r"pi: rig: '.*none.toml' is no file and none of pi, virtual"):
        server.agent(tmp_path / "none.toml").__enter__()


def test_a_host_that_is_not_there_and_an_agent_that_is_not_installed(server, virtual):
    with pytest.raises(LinkError, match="Connection refused"):
        server.agent(virtual(), port=loopback.free_port()).__enter__()
    agent = server.agent(virtual())
    agent.arguments[-1] = "no-such-program"
    with pytest.raises(LinkError, match="no-such-program"):
        agent.__enter__()
    with pytest.raises(InputError, match="host: expected a name such as pi@raspberrypi, got '-oProxyCommand=x'"):
        SshAgent("-oProxyCommand=x")


def gather(out, scenes, open_rig):
    collection = Collection(scenes, Settings(0.05), AutoExposure(), every=4)
    return collect(out, collection, open_rig, pauses=QUICK)


def complete(out, count):
    """Records 0 to count - 1 and no other, each file with the digest that was noted."""
    noted = {file.stem: json.loads(file.read_text())["sha256"] for file in out.glob("0*.json")}
    found = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in out.glob("0*.png")}
    return noted == found and sorted(found) == [f"{number:06d}" for number in range(count)]


# 7 scenes, 2 masks; a dark, backgrounds and a point before each four scenes and a point at the end: 2 x 4 + 7 + 1
SHOTS = 16


def test_a_cable_pulled_in_mid_frame_loses_and_doubles_nothing(server, virtual, scenes, tmp_path):
    # 163 kB a frame: the first connection ends within its first frame, the second within its third
    file, cable = virtual(size=(240, 340)), loopback.Cable(server.port, limits=(90_000, 480_000))
    report = gather(tmp_path / "out", scenes, lambda: remote_rig(server.agent(file, port=cable.port)))
    cable.listener.close()
    assert report.reopened == 2 and cable.connections == 3
    assert report.written == SHOTS and complete(tmp_path / "out", SHOTS)


def test_an_agent_that_is_killed_is_started_again(server, virtual, scenes, tmp_path):
    file, killed = virtual(), []

    def kill_once_it_works():
        while len(killed) < 2:
            if len(list((tmp_path / "out").glob("0*.json"))) > 2 * len(killed):
                for process in loopback.agents(file):
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_once_it_works, daemon=True)
    killer.start()
    report = gather(tmp_path / "out", scenes, lambda: remote_rig(server.agent(file)))
    assert len(set(killed)) == len(killed) == 2 == report.reopened
    assert report.written == SHOTS and complete(tmp_path / "out", SHOTS)


def words(server, scenes, out, file):
    """`lensless-capture collect` as it is typed on the workstation."""
    far = ["--host", "pi", "--ssh-config", str(server.config()), "--agent", str(server.program()), "serve"]
    return ["collect", str(scenes), str(out), "--every", "4", "--exposure", "0.05", "--rig", str(file), *far]


def test_a_workstation_that_is_killed_goes_on_where_it_was(server, virtual, scenes, tmp_path):
    out, before = tmp_path / "out", []
    command = [str(server.program()), *words(server, scenes, out, virtual(size=(240, 340)))]
    for least in (2, 7):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not (out / f"{least:06d}.json").exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
        before.append({file: file.read_bytes() for file in out.glob("0*.json")})
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and complete(out, SHOTS)
    assert len(before[0]) < len(before[1]) < SHOTS
    for found in before:
        assert {file: file.read_bytes() for file in found} == found


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_here_stops_it_and_space_lets_it_go_on(server, virtual, scenes, small_disk, capsys):
    # 33 kB a frame
    out, file = small_disk / "out", virtual(size=(96, 136))
    assert main(words(server, scenes, out, file)) == 2
    assert re.search(r"error: \[Errno 28\] No space left on device: '.*/0000\d\d\.(png|json)'", capsys.readouterr().err)
    written = len(list(out.glob("0*.json")))
    assert 3 <= written < SHOTS and not list(out.glob(".*"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert main(words(server, scenes, out, file)) == 0
    assert f"this run: {SHOTS - written} records written, 0 damaged" in capsys.readouterr().out
    assert complete(out, SHOTS)


def test_a_disk_that_is_full_over_there_does_not_matter(server, virtual, scenes, tmp_path):
    file = virtual()
    full = server.folder / "full"
    full.write_text(f'#!/bin/sh\nulimit -f 0 && exec "{server.program()}" "$@"\n')
    full.chmod(0o755)
    report = gather(tmp_path / "out", scenes, lambda: remote_rig(server.agent(file, program=[str(full)])))
    assert (report.written, report.reopened) == (SHOTS, 0) and complete(tmp_path / "out", SHOTS)


# An agent on a machine whose clock is years off, and which was started at another time.
SKEWED = """
import sys, time
sys.path.insert(0, {hardware!r})
clock, started = time.time, time.monotonic
time.time = lambda: clock() + {years} * 365.25 * 86400
time.gmtime = lambda seconds=None, at=time.gmtime: at(time.time() if seconds is None else seconds)
time.monotonic = lambda: started() + {uptime}
from lensless_capture.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_clock_that_is_years_off_over_there_orders_nothing(server, virtual, scenes, tmp_path):
    """After each cut another clock: 20 years ahead, then, the machine started anew, 30 years behind, then ahead."""
    file, cable = virtual(size=(240, 340)), loopback.Cable(server.port, limits=(700_000, 900_000))
    clocks = [(20, 5_000_000), (-30, 0), (1, -1_000_000)]

    def rig():
        years, uptime = clocks[cable.connections]
        script = SKEWED.format(hardware=str(loopback.HARDWARE), years=years, uptime=uptime)
        return remote_rig(server.agent(file, program=[sys.executable, "-c", script], port=cable.port))

    began = time.time()
    report = gather(tmp_path / "out", scenes, rig)
    cable.listener.close()
    assert (report.written, report.reopened) == (SHOTS, 2) and complete(tmp_path / "out", SHOTS)
    records = [json.loads(file.read_text()) for file in sorted((tmp_path / "out").glob("0*.json"))]
    times = [calendar.timegm(time.strptime(record["time"], "%Y-%m-%dT%H:%M:%SZ")) for record in records]
    assert times == sorted(times) and began - 1 <= times[0] and times[-1] <= time.time() + 1
    # the frames' own clock, which tells stale frames within one connection, went back twice
    steps = np.diff([record["timestamp"] for record in records])
    assert (steps < 0).sum() == 2 and report.summary["rejected"].get("stale", 0) == 0
