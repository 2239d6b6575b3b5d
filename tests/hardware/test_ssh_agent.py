"""The link over a real sshd on the loopback address, with a key and a host key made for it."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lensless_capture.cameras.base import Settings
from lensless_capture.collect import Collection, collect
from lensless_capture.errors import InputError, LinkError
from lensless_capture.exposure import AutoExposure
from lensless_capture.mask import on_pixels, random_pattern
from lensless_capture.remote import remote_rig
from lensless_capture.rig import read_rig, rig_opener
from lensless_capture.ssh import SshAgent

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
HARDWARE = Path(__file__).parents[2] / "hardware"
QUICK = (0.05,) * 4

if SSHD is None or shutil.which("ssh") is None:
    pytest.skip("OpenSSH is not here: apt install openssh-server openssh-client", allow_module_level=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_key(file):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file.with_suffix(".pub").read_text()


class Cable(threading.Thread):
    """Carries connections to ``port``; connection i is pulled once ``limits[i]`` bytes came back through it."""

    def __init__(self, port, limits=()):
        super().__init__(daemon=True)
        self.port, self.limits, self.connections = port, dict(enumerate(limits)), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # closed by the test
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            limit = self.limits.get(self.connections, float("inf"))
            self.connections += 1
            threading.Thread(target=self.carry, args=(near, far, float("inf")), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, limit), daemon=True).start()

    @staticmethod
    def carry(source, sink, limit):
        carried = 0
        with suppress(OSError):  # the other direction ended first
            while carried < limit and (content := source.recv(4096)):
                carried += len(content)
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Server:
    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.host_key = make_key(folder / "host")
        (folder / "authorized").write_text(make_key(folder / "user"))
        settings = folder / "sshd_config"
        # another home, so that no start-up file of the user's shell takes part
        settings.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"SetEnv HOME={folder}\n"
        )
        checked = subprocess.run([SSHD, "-t", "-f", str(settings)], capture_output=True, text=True)
        if checked.returncode:
            pytest.skip(f"sshd does not start here: {checked.stderr.strip()}")
        self.process = subprocess.Popen([SSHD, "-D", "-f", str(settings)], stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("sshd did not answer within 10 s")

    def agent(self, rig, *, known=None, user="user", port=None):
        """An agent for ``rig`` through this server, whose host key is ``known``, default the true one."""
        port = port or self.port
        known = self.host_key if known is None else known
        (self.folder / "known").write_text(f"[127.0.0.1]:{port} {known}" if known else "")
        config = self.folder / "ssh_config"
        config.write_text(
            f"Host pi\n HostName 127.0.0.1\n Port {port}\n IdentityFile {self.folder}/{user}\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {self.folder}/known\n GlobalKnownHostsFile none\n"
        )
        python = ["env", f"PYTHONPATH={HARDWARE}", sys.executable]
        return SshAgent("pi", command=[*python, "-m", "lensless_capture", "serve", "--rig", str(rig)], config=config)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("sshd"))
    yield server
    server.process.terminate()
    server.process.wait()


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
        server.agent(virtual(), known=make_key(tmp_path / "other")).__enter__()


def test_a_key_that_is_not_accepted_is_said(server, virtual):
    make_key(server.folder / "stranger")
    with pytest.raises(InputError, match="accepts none of your keys; run `ssh-copy-id pi`"):
        server.agent(virtual(), user="stranger").__enter__()


def test_a_rig_that_is_not_over_there_is_wrong_input(server, tmp_path):
    with pytest.raises(InputError, match=r"pi: rig: '.*none.toml' is no file and none of pi, virtual"):
        server.agent(tmp_path / "none.toml").__enter__()


def test_a_host_that_is_not_there_and_an_agent_that_is_not_installed(server, virtual):
    with pytest.raises(LinkError, match="Connection refused"):
        server.agent(virtual(), port=free_port()).__enter__()
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
    file, cable = virtual(size=(240, 340)), Cable(server.port, limits=(90_000, 480_000))
    port = cable.listener.getsockname()[1]
    report = gather(tmp_path / "out", scenes, lambda: remote_rig(server.agent(file, port=port)))
    cable.listener.close()
    assert report.reopened == 2 and cable.connections == 3
    assert report.written == SHOTS and complete(tmp_path / "out", SHOTS)


def test_an_agent_that_is_killed_is_started_again(server, virtual, scenes, tmp_path):
    file, killed = virtual(), []

    def agents():
        """Process ids of the agents of this very rig."""
        marks = [part.encode() for part in ("serve", "--rig", str(file))]
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:  # ended meanwhile
                    continue
                if words[-4:-1] == marks and words[0] == sys.executable.encode():
                    yield int(entry.name)

    def kill_once_it_works():
        while len(killed) < 2:
            if len(list((tmp_path / "out").glob("0*.json"))) > 2 * len(killed):
                for process in agents():
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_once_it_works, daemon=True)
    killer.start()
    report = gather(tmp_path / "out", scenes, lambda: remote_rig(server.agent(file)))
    assert len(set(killed)) == len(killed) == 2 == report.reopened
    assert report.written == SHOTS and complete(tmp_path / "out", SHOTS)
