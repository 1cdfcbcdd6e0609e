"""A small Hugging Face hub on this machine: what the real client asks of the real one."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest

LARGE = (".safetensors", ".bin")
PIECE = 64 * 1024


class Hub:
    """One repository, and `more` beside it. `files` can be changed between requests."""

    def __init__(self, repo: str, files: dict[str, bytes], commit: str):
        self.repo, self.files, self.commit = repo, dict(files), commit
        self.requests: list[tuple[str, str, str | None]] = []  # method, file, range
        self.cut_after: int | None = None  # bytes of a large file after which the line drops
        self.corrupt: set[str] = set()
        self.locked = False  # nobody may write
        self.created: dict[str, Any] = {}  # how the repository was asked for
        self.uploaded: dict[str, bytes] = {}
        self.asked = 0  # requests of any kind
        self.piece_seconds = 0.0  # between two pieces of a large file
        self.url = ""
        self.more: list[Hub] = []

    def of(self, path: str) -> Hub:
        """Return the hub whose repository a path is about."""
        return next((one for one in self.more if f"{one.repo}/" in f"{path}/"), self)

    def entry(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        digest = hashlib.sha256(content).hexdigest()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        found: dict[str, Any] = {"size": len(content), "oid": blob, "blobId": blob}
        if name.endswith(LARGE):
            found["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 1}
        return found

    def info(self) -> dict[str, Any]:
        siblings = [{"rfilename": name, **self.entry(name)} for name in self.files]
        return {"id": self.repo, "sha": self.commit, "siblings": siblings, "tags": []}

    def tree(self) -> list[dict[str, Any]]:
        return [{"type": "file", "path": name, **self.entry(name)} for name in self.files]


class Handler(BaseHTTPRequestHandler):
    """Answers for `Hub`."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_POST(self) -> None:
        self.hub.asked += 1
        path = unquote(urlsplit(self.path).path).lstrip("/")
        data = self.rfile.read(int(self.headers["Content-Length"]))
        hub, model = self.hub, f"api/models/{self.hub.repo}"
        if hub.locked:
            return self.refuse()
        if path == "api/repos/create":
            hub.created = json.loads(data)
            return self.reply({"url": f"{hub.url}/{hub.repo}", "name": hub.repo})
        if path == "api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if path == f"{model}/preupload/main":
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(data)["files"]
            ]
            return self.reply({"files": files})
        if path == f"{hub.repo}.git/info/lfs/objects/batch":
            objects = [
                {**entry, "actions": {"upload": {"href": f"{hub.url}/upload/{entry['oid']}"}}}
                for entry in json.loads(data)["objects"]
            ]
            return self.reply({"transfer": "basic", "objects": objects})
        if path == f"{model}/commit/main":
            for line in data.splitlines():
                item = json.loads(line)
                value = item["value"]
                if item["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif item["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.uploaded[value["oid"]]
            answer = {"commitUrl": f"{hub.url}/{hub.repo}/commit/{hub.commit}"}
            return self.reply({**answer, "commitOid": hub.commit, "success": True})
        return self.missing("EntryNotFound")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(data).hexdigest() == oid
        self.hub.uploaded[oid] = data
        self.reply({})

    def refuse(self) -> None:
        data = b'{"error": "Invalid credentials"}'
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        hub = self.hub.of(path)
        hub.asked += 1
        if path.startswith(f"api/models/{hub.repo}"):
            rest = path.removeprefix(f"api/models/{hub.repo}").strip("/")
            revision = rest.partition("/")[2] or "main"
            if revision not in {"main", "v1", hub.commit}:
                return self.missing("RevisionNotFound")
            return self.reply(hub.tree() if rest.startswith("tree") else hub.info())
        start = f"{hub.repo}/resolve/{hub.commit}/"
        if path.startswith(start) and path.removeprefix(start) in hub.files:
            return self.file(hub, path.removeprefix(start), body=body)
        return self.missing("RepoNotFound" if path.startswith("api") else "EntryNotFound")

    def missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def reply(self, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def file(self, hub: Hub, name: str, *, body: bool) -> None:
        content, entry = hub.files[name], hub.entry(name)
        wanted = self.headers.get("Range")
        hub.requests.append((self.command, name, wanted))
        begin = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if name in hub.corrupt:
            content = bytes(len(content))
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", hub.commit)
        self.send_header("ETag", f'"{entry["lfs"]["sha256"] if "lfs" in entry else entry["oid"]}"')
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if not body:
            return
        if hub.cut_after is not None and name.endswith(LARGE):
            self.wfile.write(content[begin : begin + hub.cut_after])
            self.wfile.flush()
            self.close_connection = True
            return
        if not (hub.piece_seconds and name.endswith(LARGE)):
            self.wfile.write(content[begin:])
            return
        try:
            for start in range(begin, len(content), PIECE):
                self.wfile.write(content[start : start + PIECE])
                self.wfile.flush()
                time.sleep(hub.piece_seconds)
        except OSError:  # the client went away
            self.close_connection = True


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run a hub; `hub.url` is its address."""
    handler = type("HubHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def use_cache(patch: pytest.MonkeyPatch, cache: Path) -> None:
    """Make the hub's client keep its files in `cache`."""
    for module in (
        "constants",
        "_snapshot_download.constants",
        "file_download.constants",
        "utils._cache_manager",
    ):
        patch.setattr(f"huggingface_hub.{module}.HF_HUB_CACHE", str(cache), raising=False)


@contextmanager
def client_of(hub: Hub, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub, and make the hub's client ask it."""
    constants = huggingface_hub.constants
    with serve(hub):
        patch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its own protocol, not HTTP alone
        huggingface_hub.close_session()
        yield hub
        huggingface_hub.close_session()
