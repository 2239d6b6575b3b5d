"""The Pi's end of the link: holds one rig open and does what the messages on its standard input ask.

It listens on no port and writes nothing to the Pi's disk; it ends when its input does, or falls silent.
"""

import select
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO

import numpy as np

from lensless_capture.cameras.base import Settings
from lensless_capture.errors import DeviceError, InputError, LinkError, require
from lensless_capture.rig import Rig
from lensless_capture.wire import Message, receive, send

PROTOCOL = 2
# Seconds without a request after which nobody is there: a workstation that lost its power closes no connection, and the
# camera must be free when it comes back.
SILENCE = 60.0


def serve(source: BinaryIO, sink: BinaryIO, open_rig: Callable[[], AbstractContextManager[Rig]]) -> None:
    """Open the rig, say what it is, and answer each message in turn until ``source``, unbuffered, ends or falls silent.

    Wrong input and hardware that fails are answered, and it goes on; a rig that does not open is answered, and it ends.
    """
    try:
        with open_rig() as rig:
            send(sink, Message({"protocol": PROTOCOL, **rig.describe()}))
            while select.select([source], [], [], SILENCE)[0] and (message := receive(source)) is not None:
                try:
                    answer = _answer(rig, message)
                except (InputError, DeviceError) as error:
                    if isinstance(error, LinkError):
                        raise
                    answer = _failure(error)
                send(sink, answer)
    except LinkError:
        return  # nobody is left to tell
    except (InputError, DeviceError) as error:
        send(sink, _failure(error))


def _answer(rig: Rig, message: Message) -> Message:
    head = message.head
    match head.get("do"):
        case "capture":
            frame = rig.camera.capture(
                Settings(head["exposure"], head["gain"], tuple(head["colour_gains"]))
            )
            body = frame.pixels.astype("<u2", copy=False).tobytes()
            return Message({"shape": frame.pixels.shape, "reported": frame.reported.to_json()}, body)
        case "show":
            require(rig.display is not None, "display: this rig has none")
            size = tuple(rig.display.size)
            require(len(message.body) == 3 * size[0] * size[1], f"picture: expected uint8 {(*size, 3)}")
            rig.display.show(np.frombuffer(message.body, np.uint8).reshape(*size, 3))
        case "mask":
            require(rig.mask is not None, "mask: this rig has no programmable one")
            if head["label"] is None:
                rig.mask.close()
            else:
                rig.mask.show(head["label"])
        case other:
            raise InputError(f"message: {other!r} is not known; are both ends of one version?")
    return Message({})


def _failure(error: Exception) -> Message:
    return Message({"error": str(error), "input": isinstance(error, InputError)})
