"""Models through the hub, against a server on this machine that speaks what huggingface_hub calls.

The client runs in a process of its own: huggingface_hub reads HF_ENDPOINT once, when it is imported.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lensless.errors import InputError
from lensless.models.pretrained import Model

CLIENT = """
import os
from lensless.errors import InputError
from lensless.models.card import Card
from lensless.models.modular import ModularReconstruction
from lensless.models.pretrained import Model
from lensless.recon.unrolled import UnrolledADMM

def model(iterations):
    return Model(ModularReconstruction(UnrolledADMM(iterations)), Card("for a test", licence="CC0-1.0"))

def attempt(action):
    try:
        return action()
    except InputError as error:
        return f"InputError: {error}"

"""


class Hub(BaseHTTPRequestHandler):
    """Repositories as {commit: {name: content}}; what was asked for is kept in ``server.requests``."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, content):
        self.reply(200, json.dumps(content).encode(), Content_Type="application/json")

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        self.server.requests.append((self.command, self.path))
        match = re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/(\w+)/([\w.]+)", self.path)
        repository = self.server.repositories.get(match[1]) if match else None
        if repository is None:
            return self.reply(404, X_Error_Code="RepoNotFound")
        if match[2] not in repository:
            return self.reply(404, X_Error_Code="RevisionNotFound")
        content = repository[match[2]][match[3]]
        etag = hashlib.sha256(content).hexdigest()
        return self.reply(200, content, ETag=f'"{etag}"', X_Repo_Commit=match[2])

    do_HEAD = do_GET

    def do_PUT(self):
        self.server.requests.append((self.command, self.path))
        self.server.uploads[self.path.rpartition("/")[2]] = self.body()
        self.reply(200)

    def do_POST(self):
        self.server.requests.append((self.command, self.path))
        body = self.body()
        if self.headers.get("Authorization") != "Bearer secret":
            return self.reply(401, X_Error_Message="Invalid credentials")
        here = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            return self.reply_json({"url": f"{here}/{name}"})
        if self.path.endswith("/preupload/main"):
            paths = [file["path"] for file in json.loads(body)["files"]]
            mode = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in paths}
            return self.reply_json(
                {"files": [{"path": path, "uploadMode": mode[path], "shouldIgnore": False} for path in paths]}
            )
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            upload = {item["oid"]: {"upload": {"href": f"{here}/upload/{item['oid']}"}} for item in objects}
            return self.reply_json({"objects": [{**item, "actions": upload[item["oid"]]} for item in objects]})
        name = re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/commit/main", self.path)[1]
        commit = hashlib.sha1(body).hexdigest()
        lines = [json.loads(line) for line in body.splitlines()]
        files = {line["value"]["path"]: line["value"] for line in lines if line["key"] != "header"}
        self.server.repositories[name][commit] = {
            path: self.server.uploads[file["oid"]] if "oid" in file else base64.b64decode(file["content"])
            for path, file in files.items()
        }
        return self.reply_json({"commitOid": commit, "commitUrl": f"{here}/{name}/commit/{commit}"})


@pytest.fixture
def hub():
    pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.repositories, server.uploads, server.requests = {}, {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def client(hub, folder, script):
    """Lines that the script prints, run with the stand-in as its hub."""
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(folder / "cache"),
        "HF_TOKEN": "secret",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", CLIENT + script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_is_pushed_and_fetched_at_its_commit(hub, tmp_path):
    pushed = client(
        hub,
        tmp_path,
        """
commit = model(3).push_to_hub("someone/a-model")
later = model(4).push_to_hub("someone/a-model")
first = Model.from_pretrained("someone/a-model", revision=commit)
print(commit, later, first.reconstruction.inversion.iterations)
print(Model.from_pretrained(f"someone/a-model@{later}").reconstruction.inversion.iterations)
print(attempt(lambda: Model.from_pretrained("someone/a-model", revision="0" * 40)))
print(attempt(lambda: Model.from_pretrained("someone/no-model", revision=commit)))
os.environ["HF_TOKEN"] = "guessed"
print(attempt(lambda: model(3).push_to_hub("someone/another")))
""",
    )
    commit, later, first = pushed[0].split()
    assert (first, pushed[1]) == ("3", "4")
    files = hub.repositories["someone/a-model"][commit]
    assert set(files) == {"card.json", "model.safetensors"}
    assert json.loads(files["card.json"])["weights_sha256"] == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert f"InputError: model: someone/a-model@{'0' * 40} cannot be fetched" in "\n".join(pushed)
    assert f"InputError: model: someone/no-model@{commit} cannot be fetched" in "\n".join(pushed)
    assert "InputError: repository: someone/another cannot be written to" in "\n".join(pushed)
    assert list(hub.repositories) == ["someone/a-model"]
    assert not [path for _, path in hub.requests if "/resolve/main" in path]

    # a commit never changes: once fetched it needs no network
    hub.shutdown()
    hub.server_close()
    offline = client(
        hub,
        tmp_path,
        f"""
print(Model.from_pretrained("someone/a-model@{later}").reconstruction.inversion.iterations)
print(attempt(lambda: model(3).push_to_hub("someone/a-model")))
""",
    )
    assert offline[0] == "4"
    assert offline[1].startswith("InputError: repository: someone/a-model cannot be written to")


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "a3f3b5f", "A3F3B5FFEC4CA96DBDA3B19CDA9B1F983B5718FE"])
def test_a_revision_that_could_change_is_refused(revision):
    with pytest.raises(InputError, match="revision: expected the 40 hexadecimal digits of a commit"):
        Model.from_pretrained("someone/a-model", revision=revision)


def test_without_huggingface_hub_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'lensless-torch\[hub\]'"):
        Model.from_pretrained("someone/a-model", revision="0" * 40)
