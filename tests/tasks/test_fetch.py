"""Downloads from a local server that can count, cut off and serve ranges."""

import hashlib
import http.server
import threading
from typing import NamedTuple

import pytest

from lensless.cli import main
from lensless.errors import InputError
from lensless.tasks.download import fetch_files

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Asked(NamedTuple):
    path: str
    range: str | None


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under every path; ``cut_after`` bytes the connection breaks; ``ranges`` may be refused."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[Asked] = []
        self.cut_after: int | None = None
        self.ranges = True
        self.status: int | None = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append(Asked(self.path, wanted))
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if self.server.status:
            self.send_error(self.server.status)
            return
        if first >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut_after])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_whole_download_and_no_second_one(server, tmp_path):
    files = {"a.bin": (f"{server.url}/x/a", DIGEST), "folder/b.bin": (f"{server.url}/b", DIGEST)}
    found = fetch_files(tmp_path, files)
    assert found == [tmp_path / "a.bin", tmp_path / "folder/b.bin"]
    assert all(path.read_bytes() == CONTENT for path in found)
    assert fetch_files(tmp_path, files) == found
    assert server.asked == [("/x/a", None), ("/b", None)]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.bin", "b.bin", "folder"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_resumes(server, tmp_path, ranges):
    files = {"folder/a.bin": (f"{server.url}/a", DIGEST)}
    server.cut_after = 100_000
    with pytest.raises(ConnectionError, match=r"could not be downloaded from http://127.0.0.1.*it resumes"):
        fetch_files(tmp_path, files)
    part = (tmp_path / "folder/a.bin.part").stat().st_size
    assert 0 < part <= 100_000
    server.cut_after, server.ranges = None, ranges
    (path,) = fetch_files(tmp_path, files)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1].range == f"bytes={part}-"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.bin"]


def test_a_download_cut_after_its_last_byte_is_whole(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    (path,) = fetch_files(tmp_path, {"a.bin": (f"{server.url}/a", DIGEST)})
    assert path.read_bytes() == CONTENT


def test_another_content_is_refused_and_removed(server, tmp_path):
    with pytest.raises(InputError, match=r"a.bin: what came from .* was removed; SHA256"):
        fetch_files(tmp_path, {"a.bin": (f"{server.url}/a", "0" * 64)})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_names_the_url_and_the_answer(server, tmp_path):
    server.status = 404
    with pytest.raises(ConnectionError, match=rf"{server.url}/a \(404 "):
        fetch_files(tmp_path, {"a.bin": (f"{server.url}/a", DIGEST)})


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A data card of our own, where the command looks for cards."""

    def write(url, digest=DIGEST):
        (tmp_path / "cards").mkdir()
        (tmp_path / "cards/sample.yaml").write_text(
            f"summary: a sample\nsource: {url}\nlicence: CC0-1.0\nlayout: bytes\nexample: look into {{folder}}\n"
            f"files:\n  a.bin:\n    url: {url}/a\n    sha256: '{digest}'\n"
        )
        monkeypatch.setattr("lensless.tasks.fetch.resource_dir", lambda name: tmp_path / "cards")

    return write


def test_the_command_lists_fetches_and_says_what_next(server, tmp_path, card, capsys):
    card(server.url)
    assert main(["fetch"]) == 0
    assert capsys.readouterr().out.split() == ["sample", "a", "sample", "(CC0-1.0)"]
    assert main(["fetch", "sample", f"folder={tmp_path}/cache (1)"]) == 0
    assert (tmp_path / "cache (1)/sample/a.bin").read_bytes() == CONTENT
    assert f"look into {tmp_path}/cache (1)/sample" in capsys.readouterr().out


def test_offline_the_command_names_the_url_and_the_cache_folder(tmp_path, card, capsys):
    card("http://127.0.0.1:9")
    assert main(["fetch", "sample", f"folder={tmp_path}/cache"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lensless: error: a.bin: could not be downloaded from http://127.0.0.1:9/a")
    assert f"put the file there by hand: {tmp_path}/cache/sample/a.bin" in error


def test_the_command_refuses_another_content(server, tmp_path, card, capsys):
    card(server.url, "0" * 64)
    assert main(["fetch", "sample", f"folder={tmp_path}/cache"]) == 2
    assert "was removed" in capsys.readouterr().err
    assert list((tmp_path / "cache/sample").iterdir()) == []
