"""Packed data sets give the same samples, and reach the hub whole."""

import http.server
import json
import threading

import cv2
import numpy as np
import pytest
import torch

from lensless.data.card import load_card
from lensless.data.dataset import load_dataset
from lensless.data.pack import pack
from lensless.data.push import push
from lensless.data.splits import split_indices
from lensless.errors import InputError

pytest.importorskip("datasets", reason="needs the extra datasets")

ABOUT = {"summary": "pairs of ours", "licence": "CC0-1.0"}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("huggingface"))


@pytest.fixture
def pairs(tmp_path):
    """Five pairs: floating-point measurements, some values negative and above 1, and 8-bit sRGB scenes."""
    random = np.random.default_rng(0)
    folder = tmp_path / "pairs"
    for name in ("lensless", "lensed"):
        (folder / name).mkdir(parents=True)
    for index in range(5):
        measurement = random.uniform(-0.1, 1.2, (6, 9, 3)).astype(np.float32)
        np.save(folder / "lensless" / f"{index}.npy", measurement)
        cv2.imwrite(str(folder / "lensed" / f"{index}.png"), random.integers(0, 255, (5, 7, 3), np.uint8))
    np.save(folder / "psf.npy", random.uniform(0, 1, (6, 9, 3)).astype(np.float32))
    (folder / "card.yaml").write_text(
        "samples: {kind: images, scene_encoding: srgb, psf: psf.npy}\n"
        "splits: {test: {share: 0.4}, train: {share: 1.0}}\nalignment: {top_left: [0, 1], size: [5, 7]}\n"
    )
    return folder


def packed(pairs, out, about=ABOUT):
    card = load_card(pairs)
    return pack(card, split_indices(card.splits, card.open()), out, about=about)


def test_the_same_samples_come_out(pairs, tmp_path):
    packed(pairs, tmp_path / "out")
    for split in ("train", "validation", "test"):
        before, after = load_dataset(pairs, split), load_dataset(tmp_path / "out", split)
        assert len(before) == len(after) > 0
        for one, other in zip(before, after, strict=True):
            # 16 bits over a range of at most 1.3
            torch.testing.assert_close(other.measurement, one.measurement, atol=1.3 / 131070 + 1e-6, rtol=0)
            assert torch.equal(other.scene, one.scene)
            assert other.alignment == one.alignment
            torch.testing.assert_close(other.psf, one.psf, atol=1e-7, rtol=1e-5)


def test_the_readme_tells_the_hub_where_the_splits_are(pairs, tmp_path):
    packed(pairs, tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    assert "path: data/test-*" in text and "Licence: CC0-1.0" in text


def test_a_set_that_cannot_be_packed_leaves_nothing(pairs, tmp_path):
    with pytest.raises(InputError, match="licence: expected a line about the data set"):
        packed(pairs, tmp_path / "out", {"summary": "x"})
    (pairs / "lensed/3.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"3\.png"):
        packed(pairs, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"out: .* exists already"):
        packed(pairs, tmp_path / "out")


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub answers to a new repository, an upload of large files and a commit; keeps what it gets."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        here = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            answer = {"url": f"{here}/datasets/me/pairs"}
        elif "/preupload/" in self.path:
            modes = {True: "lfs", False: "regular"}
            answer = {
                "files": [
                    {"path": file["path"], "uploadMode": modes["data/" in file["path"]], "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
            }
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{here}/put/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            answer = {"transfer": "basic", "objects": objects}
        else:
            self.server.commit = [json.loads(line) for line in body.splitlines()]
            answer = {"success": True, "commitOid": "0" * 40, "commitUrl": f"{here}/datasets/me/pairs/commit/0"}
        self.answer(answer)

    def do_PUT(self):
        self.server.stored[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    # the plain protocol; the hub's newer one needs its own storage servers
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.stored, server.status = {}, 200
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_file_reaches_the_hub(pairs, tmp_path, hub):
    content = packed(pairs, tmp_path / "out")
    url = push(tmp_path / "out", "me/pairs", endpoint=hub.url)
    assert url == f"{hub.url}/datasets/me/pairs/commit/0"
    assert (hub.created["name"], hub.created["type"], hub.created["visibility"]) == ("pairs", "dataset", "private")
    large = {file["sha256"] for name, file in content["files"].items() if name.startswith("data/")}
    assert set(hub.stored) == large
    names = {line["value"]["path"] for line in hub.commit if "path" in line["value"]}
    assert names == {*content["files"], "card.yaml", "README.md"}


def test_what_is_not_whole_or_not_packed_is_not_pushed(pairs, tmp_path, hub):
    packed(pairs, tmp_path / "out")
    (tmp_path / "out/psfs/000.npy").unlink()
    with pytest.raises(InputError, match=r"000.npy: no such file"):
        push(tmp_path / "out", "me/pairs", endpoint=hub.url)
    with pytest.raises(InputError, match="expected a packed data set"):
        push(pairs, "me/pairs", endpoint=hub.url)
    assert hub.stored == {}


def test_a_refusal_names_the_repository(pairs, tmp_path, hub):
    packed(pairs, tmp_path / "out")
    hub.status = 403
    with pytest.raises(ConnectionError, match="me/pairs: the hub did not take it"):
        push(tmp_path / "out", "me/pairs", endpoint=hub.url)
