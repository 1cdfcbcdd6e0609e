"""An object store on this machine: files by byte range, with the faults that stores have."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


class ObjectStore(ThreadingHTTPServer):
    """Serves a folder; `requests` lists (path, Range header) of each request.

    faults: answers for the next requests, "429", "503", "reset" or "short"; ranges: whether byte
    ranges are served; token: a bearer token that is asked for; redirect: where to send everyone.
    """

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), partial(_Handler, folder))
        self.requests: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.ranges = True
        self.token = ""
        self.redirect = ""
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/bucket"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ObjectStore

    def __init__(self, folder: Path, *arguments: object):
        self.folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        path = urlsplit(self.path).path
        with self.server.lock:
            self.server.requests.append((self.path, asked))
            fault = self.server.faults.pop(0) if self.server.faults else ""
        bearer = f"Bearer {self.server.token}" if self.server.token else None
        file = self.folder / path.removeprefix("/bucket/")
        if bearer and self.headers.get("Authorization") != bearer:
            self.answer(403)
        elif self.server.redirect:
            self.answer(302, {"Location": self.server.redirect})
        elif fault.isdigit():
            self.answer(int(fault), {"Retry-After": "7"} if fault == "429" else {})
        elif fault == "reset":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif not file.is_file():
            self.answer(404)
        elif not asked or not self.server.ranges:
            self.answer(200, {}, file.read_bytes())
        else:
            self.answer_range(file, asked, cut=fault == "short")

    def answer_range(self, file: Path, asked: str, *, cut: bool) -> None:
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        with file.open("rb") as stream:
            stream.seek(first)
            part = stream.read(last + 1 - first)
        size = file.stat().st_size
        told = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{size}"}
        if part:
            self.answer(206, told, part, cut=cut)
        else:
            self.answer(416)

    def answer(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True


@contextmanager
def serve(folder: Path) -> Iterator[ObjectStore]:
    """Serve a folder under /bucket while the block runs."""
    with ObjectStore(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
