"""A small server on this machine that behaves like an OpenAI-compatible one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], Any]


def chat(text: str, finish: str = "stop") -> Answer:
    """A chat completion with its use of tokens."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text},
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return 200, {}, {"object": "chat.completion", "choices": [choice], "usage": usage}


def refusal(status: int, message: str, **headers: str) -> Answer:
    """An error in the API's form."""
    return status, headers, {"error": {"message": message, "type": "error"}}


def good(body: dict[str, Any]) -> Answer:
    """Questions of the asked kind."""
    asked = body["messages"][1]["content"]
    if "multiple-choice" in asked:
        item: dict[str, Any] = {
            "question": "Which side?",
            "answer": "B",
            "choices": ["left", "right", "both", "neither"],
        }
    elif "`Yes.`" in asked:
        item = {"question": "Is there a nodule?", "answer": "yes"}
    else:
        item = {"question": "What is seen?", "answer": "A nodule."}
    return chat(json.dumps({"questions": [item]}))


@dataclass
class Server:
    """What was asked of a server, and how it answers: the first rule that answers counts."""

    url: str = ""
    rule: Callable[[dict[str, Any]], Answer] = good
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server on a free port of this machine."""
    state, lock = Server(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state.asked.append(body)
                state.headers.append(dict(self.headers))
                state.paths.append(self.path)
            status, headers, content = state.rule(body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
