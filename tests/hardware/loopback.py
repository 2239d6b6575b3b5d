"""A real sshd on the loopback address, and a cable to it that can be pulled; for the tests and benchmarks."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
HARDWARE = Path(__file__).parents[2] / "hardware"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_key(file: Path) -> str:
    """Write a key pair; returns the public one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file.with_suffix(".pub").read_text()


class Cable(threading.Thread):
    """Carries connections from its own ``port`` to the port ``to``.

    Connection i is pulled once ``limits[i]`` bytes came back through it, all of them by :meth:`pull`.
    """

    def __init__(self, to: int, limits: tuple[int, ...] = ()):
        super().__init__(daemon=True)
        self.to, self.limits, self.connections = to, dict(enumerate(limits)), 0
        self.ends: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            limit = self.limits.get(self.connections, float("inf"))
            self.connections += 1
            self.ends = [near, far]
            threading.Thread(target=self.carry, args=(near, far, float("inf")), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, limit), daemon=True).start()

    def pull(self) -> None:
        """Cut the last connection, in whatever it is doing."""
        for end in self.ends:
            with suppress(OSError):  # it was cut before
                end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def carry(source: socket.socket, sink: socket.socket, limit: float) -> None:
        carried = 0
        with suppress(OSError):  # the other direction ended first
            while carried < limit and (content := source.recv(65536 if limit == float("inf") else 4096)):
                carried += len(content)
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Server:
    """An sshd with a key and a host key made for it in ``folder``. Raises RuntimeError where it does not start."""

    def __init__(self, folder: Path):
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
        if os.geteuid() == 0:  # what the system's own start of sshd does, which a container lacks
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        checked = subprocess.run([SSHD, "-t", "-f", str(settings)], capture_output=True, text=True)
        if checked.returncode:
            raise RuntimeError(f"sshd does not start here: {checked.stderr.strip()}")
        self.process = subprocess.Popen([SSHD, "-D", "-f", str(settings)], stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("sshd did not answer within 10 s")

    def config(self, *, known: str | None = None, user: str = "user", port: int | None = None) -> Path:
        """An ssh_config by which this server is "pi", its host key ``known``, default the true one."""
        port = port or self.port
        known = self.host_key if known is None else known
        (self.folder / "known").write_text(f"[127.0.0.1]:{port} {known}" if known else "")
        config = self.folder / "ssh_config"
        config.write_text(
            f"Host pi\n HostName 127.0.0.1\n Port {port}\n IdentityFile {self.folder}/{user}\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {self.folder}/known\n GlobalKnownHostsFile none\n"
        )
        return config

    def program(self) -> Path:
        """lensless-capture as it would be installed: a file that is run by its name."""
        script = self.folder / "lensless-capture"
        script.write_text(f'#!/bin/sh\nPYTHONPATH="{HARDWARE}" exec "{sys.executable}" -m lensless_capture "$@"\n')
        script.chmod(0o755)
        return script

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def agents(rig: Path) -> Iterator[int]:
    """Process ids of the agents that serve the rig of this very file."""
    marks = [part.encode() for part in ("serve", "--rig", str(rig))]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:  # ended meanwhile
                continue
            if words[-4:-1] == marks and words[0] == sys.executable.encode():
                yield int(entry.name)
