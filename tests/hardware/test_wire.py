import io
import os

import numpy as np
import pytest

from lensless_capture.agent import serve
from lensless_capture.errors import LinkError
from lensless_capture.rig import read_rig, rig_opener
from lensless_capture.wire import MAGIC, Message, receive, send


def sent(*messages):
    stream = io.BytesIO()
    for message in messages:
        send(stream, message)
    return stream.getvalue()


def test_messages_arrive_as_they_were_sent_and_the_end_is_an_end():
    body = np.random.default_rng(0).bytes(10_007)
    stream = io.BytesIO(sent(Message({"do": "show"}, body), Message({"é": [1, None]})))
    first, second = receive(stream), receive(stream)
    assert (first.head["do"], first.body) == ("show", body)
    assert (second.head["é"], second.body) == ([1, None], b"")
    assert receive(stream) is None


def test_a_stream_cut_anywhere_within_a_message_is_noticed():
    whole = sent(Message({"do": "show"}, b"0123456789"))
    for length in range(1, len(whole)):
        with pytest.raises(LinkError):
            receive(io.BytesIO(whole[:length]))


def test_a_changed_byte_of_the_body_is_noticed():
    whole = bytearray(sent(Message({}, b"0123456789")))
    whole[-3] ^= 1
    with pytest.raises(LinkError, match="arrived damaged, its sha256"):
        receive(io.BytesIO(whole))


def test_what_a_login_shell_prints_is_quoted():
    with pytest.raises(LinkError, match="expected the agent, got 'Welcome to the Pi'; a shell's start-up file"):
        receive(io.BytesIO(b"Welcome to the Pi\n"))


@pytest.mark.parametrize(
    "content", [b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\1{", b'\0\0\0\x19{"size": -1, "sha256": ""}']
)
def test_a_damaged_head_is_an_error_of_the_link(content):
    with pytest.raises(LinkError):
        receive(io.BytesIO(MAGIC + content))


def talk(rig, *requests, hang_up=True):
    """The agent's greeting and its answers, once it has ended."""
    far, near = os.pipe()
    with open(far, "rb", buffering=0) as source, open(near, "wb", buffering=0) as asking:
        asking.write(sent(*requests))
        if hang_up:
            asking.close()
        sink = io.BytesIO()
        serve(source, sink, rig_opener(read_rig(str(rig))))
    answers = io.BytesIO(sink.getvalue())
    return [receive(answers) for _ in range(len(requests) + 1)]


def test_the_agent_answers_wrong_requests_and_goes_on(virtual):
    capture = {"do": "capture", "exposure": 0.1, "gain": 1.0, "colour_gains": [1, 1]}
    greeting, *answers = talk(
        virtual(),
        Message({"do": "dance"}),
        Message({"do": "show"}, b"short"),
        Message({"do": "mask", "label": 2}),
        Message(capture | {"exposure": 99.0}),
        Message({"do": "mask", "label": None}),
        Message(capture),
    )
    assert greeting.head["display"] == [18, 24] and len(greeting.head["masks"]) == 2
    said = ["'dance' is not known", "expected uint8 (18, 24, 3)", "a label from 0 to 1, got 2", "10 s, got 99 s"]
    for part, answer in zip(said, answers, strict=False):
        assert part in answer.head["error"] and answer.head["input"]
    assert "error" not in answers[4].head
    assert answers[5].head["shape"] == [24, 34] and len(answers[5].body) == 2 * 24 * 34


def test_an_agent_that_hears_nothing_lets_go_of_the_camera(virtual, monkeypatch):
    monkeypatch.setattr("lensless_capture.agent.SILENCE", 0.05)
    _, answer = talk(virtual(), Message({"do": "mask", "label": None}), hang_up=False)
    assert "error" not in answer.head


def test_the_agent_says_why_a_rig_does_not_open(tmp_path):
    rig = tmp_path / "rig.toml"
    rig.write_text(f'[camera]\nkind = "folder"\nfolder = "{tmp_path}"\nbits = 12\n')
    (greeting,) = talk(rig)
    assert "holds no PNG or TIFF file" in greeting.head["error"]


def test_the_agent_tells_failing_hardware_from_wrong_requests(virtual):
    rig = virtual('faults = {0 = "dropped"}')
    _, answer = talk(rig, Message({"do": "capture", "exposure": 0.1, "gain": 1.0, "colour_gains": [1, 1]}))
    assert "no frame came" in answer.head["error"] and not answer.head["input"]
