"""Records survive whatever kills the process that writes them, and the company of other processes."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lensless.errors import InputError
from lensless.evaluation.records import append_records, known_records, read_records, record_key

ROOT = Path(__file__).parents[2]


def record(number: int, **more) -> dict:
    return {
        "key": record_key("wiener", number),
        "model": "wiener, k 1e-3",
        "system": "tape",
        "image": number,
        "picture": "Blüte.jpg",
        "metrics": {"strict/psnr": 20.0 + number},
        **more,
    }


def keys(numbers) -> set[str]:
    return {record_key("wiener", number) for number in numbers}


def test_a_record_is_read_as_it_was_written(tmp_path):
    append_records(tmp_path / "deep" / "0-of-1.jsonl", [record(0), record(1)])
    append_records(tmp_path / "deep" / "0-of-1.jsonl", [record(2)])
    found = read_records(tmp_path / "deep")
    assert list(found) == [record(0), record(1), record(2)]
    assert (found.damaged, found.repeated) == ([], 0)


def test_no_folder_holds_no_records(tmp_path):
    assert list(read_records(tmp_path / "nowhere")) == []


def test_a_write_that_is_cut_at_any_byte_costs_the_line_that_it_cut_and_no_other(tmp_path):
    """What a process leaves that is killed in the middle of a write: the file up to any byte of its last write."""
    file = tmp_path / "0-of-1.jsonl"
    append_records(file, [record(0)])
    before = file.stat().st_size
    append_records(file, [record(1), record(2)])
    whole = file.read_bytes()
    first, second = (len(line) for line in whole[before:].splitlines(keepends=True))
    for length in range(before, len(whole) + 1):
        file.write_bytes(whole[:length])
        written = length - before
        # a line is there once its last brace is, with or without the line's end
        there = 1 + (written >= first - 1) + (written >= first + second - 1)
        cut = written not in (0, first - 1, first, first + second - 1, first + second)
        found = read_records(tmp_path)
        assert found.by_key.keys() == keys(range(there))
        assert found.damaged == ([f"{file}:{there + 1}"] if cut else [])
        # and the next process goes on from there
        append_records(file, [record(number) for number in range(there, 3)])
        found = read_records(tmp_path)
        assert found.by_key.keys() == keys(range(3)) and found.repeated == 0
        assert found.damaged == ([f"{file}:{there + 1}"] if cut else [])


def test_what_is_no_record_is_named_with_its_line(tmp_path):
    lines = ["[1, 2]", "3", '"text"', "\0\0\0", json.dumps({"key": "k"}), json.dumps(record(5, metrics=None)), "\udcff"]
    file = tmp_path / "copied.jsonl"
    content = "\n".join([*lines, json.dumps(record(0)), ""]).encode(errors="surrogateescape")
    file.write_bytes(content)
    found = read_records(tmp_path)
    assert found.by_key.keys() == keys([0])
    assert found.damaged == [f"{file}:{number}" for number in range(1, len(lines) + 1)]


def test_a_record_of_several_files_counts_once_and_the_first_file_wins(tmp_path):
    append_records(tmp_path / "a.jsonl", [record(0, seconds=1.0), record(1)])
    append_records(tmp_path / "b.jsonl", [record(1), record(0, seconds=2.0), record(2)])
    found = read_records(tmp_path)
    assert found.by_key.keys() == keys(range(3))
    assert found.repeated == 2
    assert found.by_key[record_key("wiener", 0)]["seconds"] == 1.0


def test_keys_alone_are_those_of_the_records(tmp_path):
    append_records(tmp_path / "a.jsonl", [record(0), record(1), record(0)])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"key": "cut')
    known, found = known_records(tmp_path), read_records(tmp_path)
    assert known.keys == found.by_key.keys() == keys([0, 1])
    assert known.damaged == found.damaged == [f"{tmp_path / 'a.jsonl'}:4"]
    assert known.repeated == found.repeated == 1


WRITER = """
import sys
from pathlib import Path
from lensless.evaluation.records import append_records

file, writer, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    # from a part of a page to many, which a reader may see one by one
    entries = {"model": writer, "system": "tape", "image": number, "picture": "x" * (7919 * number % 200003)}
    keys = [f"{writer} {number} {part}" for part in range(1 + number % 3)]
    append_records(file, [{"key": key, "metrics": {}} | entries for key in keys])
"""


def test_two_processes_append_to_one_file(tmp_path):
    file, rounds = tmp_path / "0-of-1.jsonl", 60
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), name, str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        for name in ("one", "other")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    ends = [threading.Thread(target=writer.communicate, args=("go\n",)) for writer in writers]
    for end in ends:
        end.start()
    for end in ends:
        end.join()
    assert [writer.returncode for writer in writers] == [0, 0]
    found = read_records(tmp_path)
    assert (found.damaged, found.repeated) == ([], 0)
    assert found.by_key.keys() == {
        f"{name} {number} {part}"
        for name in ("one", "other")
        for number in range(rounds)
        for part in range(1 + number % 3)
    }


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "records").write_text("no folder")
    with pytest.raises(InputError, match=r"records/0-of-1\.jsonl: cannot be written"):
        append_records(tmp_path / "records" / "0-of-1.jsonl", [record(0)])
