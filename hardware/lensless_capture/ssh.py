"""One persistent agent on another machine, over the system's OpenSSH client.

The client is run as a list of arguments: it is what the operating system keeps patched, it needs no package, and the
user's ~/.ssh/config, agent, hardware keys and jump hosts work as they do everywhere else.
"""

import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from lensless_capture.errors import DeviceError, InputError, LinkError, require
from lensless_capture.wire import Message, receive, send

# Keys only, no question asked, no host taken on trust, nothing forwarded; a dead line is noticed within 15 s.
OPTIONS = (
    "BatchMode=yes",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "StrictHostKeyChecking=yes",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)
AGENT = ("lensless-capture", "serve")
# Seconds that the agent may take to answer, opening the camera included.
PATIENCE = 60.0

ADD_KEY = """
  1. on the Pi:  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
  2. from here:  ssh {host}
     and say yes only where it shows the same fingerprint"""


class SshAgent:
    """Context manager: an agent started on ``host``, asked one thing at a time. ``greeting`` is its first message.

    host: as `ssh` takes it, "pi@raspberrypi.local" or a name in ~/.ssh/config. command: starts the agent there.
    config: an ssh_config file instead of ~/.ssh/config.
    Raises InputError on an unknown or changed host key or a key that is not accepted, saying what to do, LinkError
    where the host is not reached or the line breaks, and what the agent reports.
    """

    def __init__(self, host: str, *, command: Sequence[str] = AGENT, config: Path | None = None):
        require(bool(host) and not host.startswith("-"), f"host: expected a name such as pi@raspberrypi, got {host!r}")
        options = [word for option in OPTIONS for word in ("-o", option)]
        chosen = [] if config is None else ["-F", str(config)]
        self.host = host
        # what follows the host is a command line for the login shell over there, hence quoted
        self.arguments = ["ssh", "-T", *chosen, *options, "--", host, shlex.join(command)]

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.arguments, stdin=pipe, stdout=pipe, stderr=pipe)
        self.said = deque(maxlen=30)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        try:
            self.greeting = self._receive(PATIENCE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.listener.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):  # of a request that never left
                stream.close()

    def ask(self, request: dict[str, Any], body: bytes = b"", *, patience: float = PATIENCE) -> Message:
        """Send one request and wait ``patience`` seconds for its answer.

        Raises what the agent reports, and LinkError.
        """
        try:
            send(self.process.stdin, Message(request, body))
        except LinkError:
            self._ended()
        return self._receive(patience)

    def _receive(self, patience: float) -> Message:
        watchdog = threading.Timer(patience, self.process.kill)
        watchdog.start()
        try:
            answer = receive(self.process.stdout.raw)
        finally:
            watchdog.cancel()
        if answer is None:
            self._ended()
        if "error" in answer.head:
            raise (InputError if answer.head["input"] else DeviceError)(f"{self.host}: {answer.head['error']}")
        return answer

    def _listen(self) -> None:
        for line in self.process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())

    def _ended(self) -> NoReturn:
        """Raise what ssh said when it ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.listener.join()
        said, host, how = "\n".join(self.said), self.host, ADD_KEY.format(host=self.host)
        if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
            raise InputError(
                f"host: the key of {host} is not the one it had: another machine answers, or it was set up anew. "
                f"If you know why, forget the old key (ssh-keygen -R NAME) and add the new one:{how}"
            )
        if "Host key verification failed" in said:
            raise InputError(f"host: the key of {host} is not known; add it:{how}")
        if "Permission denied" in said:
            raise InputError(f"host: {host} accepts none of your keys; run `ssh-copy-id {host}` once ({said})")
        raise LinkError(f"link: the connection to {host} ended" + (f" ({said})" if said else ""))
