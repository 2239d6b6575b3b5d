"""A rig on another machine, used like one at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lensless_capture.agent import PROTOCOL
from lensless_capture.cameras.base import CameraInfo, Frame, Reported, Settings
from lensless_capture.errors import LinkError, require
from lensless_capture.mask import Mask
from lensless_capture.rig import Rig
from lensless_capture.screens.base import check_picture
from lensless_capture.ssh import PATIENCE, SshAgent


@contextmanager
def remote_rig(agent: SshAgent) -> Iterator[Rig]:
    """The :class:`~lensless_capture.rig.Rig` that ``agent``, started here and ended after, holds open.

    Raises InputError where the agent is of another version, and what :class:`~lensless_capture.ssh.SshAgent` raises.
    """
    with agent:
        head = agent.greeting.head
        require(
            head.get("protocol") == PROTOCOL,
            f"host: {agent.host} speaks protocol {head.get('protocol')}, expected {PROTOCOL}; install the same version "
            "of lensless-capture at both ends",
        )
        display = None if head["display"] is None else _Display(agent, tuple(head["display"]))
        mask = None if head["masks"] is None else _Mask(agent, head["masks"])
        yield Rig(_Camera(agent, CameraInfo.from_json(head["camera"])), display, mask)


class _Part:
    """What the agent opens and closes as a whole."""

    def __init__(self, agent: SshAgent):
        self.agent = agent

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class _Camera(_Part):
    def __init__(self, agent: SshAgent, info: CameraInfo):
        super().__init__(agent)
        self.info = info

    def capture(self, settings: Settings) -> Frame:
        self.info.check(settings)
        request = {"do": "capture", **vars(settings)}
        # until a new exposure arrives, frames of the old and the new one pass
        head, body = self.agent.ask(request, patience=PATIENCE + 40 * settings.exposure)
        if tuple(head["shape"]) != self.info.size or len(body) != 2 * self.info.size[0] * self.info.size[1]:
            raise LinkError(f"link: expected a frame of {self.info.size}, got {head['shape']} in {len(body)} bytes")
        pixels = np.frombuffer(body, "<u2").reshape(self.info.size).astype(np.uint16)
        return Frame(pixels, Reported.from_json(head["reported"]))


class _Display(_Part):
    def __init__(self, agent: SshAgent, size: tuple[int, int]):
        super().__init__(agent)
        self.size = size

    def show(self, picture: np.ndarray) -> None:
        check_picture(picture, self.size)
        self.agent.ask({"do": "show"}, picture.tobytes())


class _Mask(Mask):
    def __init__(self, agent: SshAgent, about: list[dict[str, Any]]):
        super().__init__(about)
        self.agent = agent

    def _put(self, label: int | None) -> None:
        self.agent.ask({"do": "mask", "label": label})
