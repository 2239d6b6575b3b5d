"""Framed messages on a byte stream: a head of JSON and a body of bytes, whole or not at all.

    "LLC1"  length of the head (4 bytes, big endian)  head, UTF-8 JSON  body (head["size"] bytes)

The head carries the body's sha256. A frame's body is its counts, little-endian uint16, row by row.
"""

import hashlib
import json
import struct
from typing import Any, BinaryIO, NamedTuple

from lensless_capture.errors import LinkError

MAGIC = b"LLC1"
LONGEST_HEAD, LONGEST_BODY = 2**20, 2**28


class Message(NamedTuple):
    head: dict[str, Any]
    body: bytes = b""


def send(stream: BinaryIO, message: Message) -> None:
    """Write one message. Raises LinkError where the other end is gone."""
    extra = {"size": len(message.body), "sha256": hashlib.sha256(message.body).hexdigest()}
    head = json.dumps({**message.head, **extra}).encode()
    try:
        stream.write(MAGIC + struct.pack(">I", len(head)) + head)
        stream.write(message.body)
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: closed meanwhile
        raise LinkError(f"link: the other end is gone ({error})") from error


def receive(stream: BinaryIO) -> Message | None:
    """Read one message from an unbuffered stream; None where it ends before one begins.

    Raises LinkError on a stream that ends within one, on other bytes, and on a body that is not what was sent.
    """
    start = _up_to(stream, len(MAGIC))
    if not start:
        return None
    if start != MAGIC:
        said = (start + stream.read(200)).decode(errors="replace").strip()
        raise LinkError(f"link: expected the agent, got {said!r}; a shell's start-up file must print nothing")
    (length,) = struct.unpack(">I", _exactly(stream, 4))
    if length > LONGEST_HEAD:
        raise LinkError(f"link: a head of {length} bytes; the stream is damaged")
    try:
        head = json.loads(_exactly(stream, length))
        size, digest = head["size"], head["sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise LinkError(f"link: the head of a message is damaged ({error})") from error
    if not isinstance(size, int) or not 0 <= size <= LONGEST_BODY:
        raise LinkError(f"link: a body of {size} bytes; expected 0 to {LONGEST_BODY}")
    body = _exactly(stream, size)
    if hashlib.sha256(body).hexdigest() != digest:
        raise LinkError("link: a message arrived damaged, its sha256 is not the one sent")
    return Message(head, body)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = _up_to(stream, size)
    if len(content) < size:
        raise LinkError(f"link: broke within a message, {len(content)} of {size} bytes came")
    return content


def _up_to(stream: BinaryIO, size: int) -> bytes:
    """``size`` bytes, in as many reads as it takes, or what comes until the stream ends."""
    content = bytearray()
    while len(content) < size and (part := stream.read(size - len(content))):
        content += part
    return bytes(content)
