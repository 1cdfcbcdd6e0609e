"""A small server that answers by vLLM's rules (0.32), for tests.

What it does as vLLM does: streams token by token, gives a request up when its client hangs up,
counts the prompt tokens that its prefix cache held (whole blocks, by content and salt), refuses
embeddings of a wrong size and prompts beyond the context window, answers NaN with nothing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from napari_ct_assistant.support.loading_lock import LOADING_LOCK

BLOCK = 4


@dataclass
class VllmRules:
    """What a server serves and what happened to it.

    Attributes
    ----------
    name : str
        The served model.
    folder : Path or None
        A language model for completions.
    chat : callable or None
        Returns the answer to a conversation, for a model that reads images.
    key : str
        API key that is asked for; "" for none.
    pause : float
        Seconds before each token.
    fault : str
        "429", "503", "die" (within the answer), "silent" (after the first token), "error" (an
        event that says the engine failed), "redirect"; "" for none.
    requests : list of dict
        Every body, with its path under "path" and its headers under "headers".
    aborted : list of int
        Tokens that were written when a client hung up.
    running : int
        Requests that are being answered.
    """

    name: str
    folder: Path | None = None
    chat: Callable[[list[dict[str, Any]]], str] | None = None
    key: str = ""
    pause: float = 0.0
    fault: str = ""
    max_model_len: int = 512
    requests: list[dict[str, Any]] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)
    running: int = 0
    address: str = ""
    _blocks: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _model: Any = None

    @property
    def model(self) -> Any:
        """The language model and its tokenizer."""
        # Requests come in threads of their own, beside those that load a model here.
        with LOADING_LOCK:
            if self._model is None:
                from transformers import AutoModelForCausalLM, AutoTokenizer

                self._model = (
                    AutoModelForCausalLM.from_pretrained(self.folder).eval(),
                    AutoTokenizer.from_pretrained(self.folder),
                )
            return self._model

    def cached(self, rows: list[bytes], salt: str) -> int:
        """Return how many leading tokens were there before; remember those of this prompt."""
        chain = hashlib.sha256(salt.encode())
        found, whole = 0, True
        for begin in range(0, len(rows) - BLOCK + 1, BLOCK):
            chain.update(b"".join(rows[begin : begin + BLOCK]))
            whole = whole and chain.hexdigest() in self._blocks
            found += BLOCK * whole
            self._blocks.add(chain.hexdigest())
        # The last token is always computed, for its logits.
        return min(found, (len(rows) - 1) // BLOCK * BLOCK)


@contextmanager
def serving(rules: VllmRules) -> Iterator[VllmRules]:
    """Serve on a free port of this computer; sets `rules.address`."""
    handler = type("Handler", (_Handler,), {"rules": rules})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    rules.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield rules
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _HungUpError(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rules: VllmRules

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        rules = self.rules
        try:
            self._authorize()
            if self.path == "/v1/models":
                card = {
                    "id": rules.name,
                    "object": "model",
                    "created": 0,
                    "owned_by": "vllm",
                    "root": str(rules.folder or rules.name),
                    "max_model_len": rules.max_model_len,
                }
                self._send(200, {"object": "list", "data": [card]})
            elif self.path == "/version":
                self._send(200, {"version": "0.32.0"})
            else:
                self._send(404, {"detail": "Not Found"})
        except _RefusedError as error:
            self._refuse(error)

    def do_POST(self) -> None:
        rules = self.rules
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with rules._lock:
            rules.requests.append(body | {"path": self.path, "headers": dict(self.headers)})
            rules.running += 1
        try:
            self._authorize()
            if rules.fault in ("429", "503"):
                raise _RefusedError(int(rules.fault), "busy")
            if rules.fault == "redirect":
                self.send_response(307)
                self.send_header("Location", "http://127.0.0.1:9/v1/completions")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if body.get("model") != rules.name:
                raise _RefusedError(404, f"The model `{body.get('model')}` does not exist.")
            if self.path == "/v1/completions":
                self._complete(body)
            elif self.path == "/v1/chat/completions":
                self._chat(body)
            else:
                self._send(404, {"detail": "Not Found"})
        except _RefusedError as error:
            self._refuse(error)
        except (_HungUpError, BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with rules._lock:
                rules.running -= 1

    # ---- completions from embeddings or text

    def _complete(self, body: dict[str, Any]) -> None:
        import torch

        rules = self.rules
        model, tokenizer = rules.model
        embeddings = self._prompt(body, model, tokenizer)
        most = int(body.get("max_tokens", 16))
        if len(embeddings) + most > rules.max_model_len:
            raise _RefusedError(
                400,
                f"This model's maximum context length is {rules.max_model_len} tokens. However, "
                f"you requested {most} output tokens and your prompt contains {len(embeddings)}.",
            )
        rows = [row.numpy().tobytes() for row in embeddings.float()]
        with rules._lock:
            cached = rules.cached(rows, str(body.get("cache_salt", "")))
        usage = {"prompt_tokens": len(rows), "prompt_tokens_details": {"cached_tokens": cached}}
        end = {*body.get("stop_token_ids", []), tokenizer.eos_token_id}
        tokens = self._tokens(model, embeddings, body) if torch.isfinite(embeddings).all() else ()
        if not body.get("stream"):
            token, logs = next(iter(tokens))
            asked = body.get("logprob_token_ids") or []
            ids = (
                [*asked, token] if asked else logs.topk(body.get("logprobs") or 1).indices.tolist()
            )
            top = {f"token_id:{i}": float(logs[i]) for i in dict.fromkeys([*ids, token])}
            text = tokenizer.decode([token])
            logprobs = {"top_logprobs": [top], "tokens": [], "token_logprobs": []}
            choice = {"index": 0, "text": text, "finish_reason": "length", "logprobs": logprobs}
            self._send(200, self._chunk("text_completion", choice) | {"usage": usage})
            return
        self._events()
        ids, shown, finish = [], "", "length"
        for token, _ in tokens:
            self._pace(len(ids))
            ids.append(token)
            if token in end:
                finish = "stop"
                break
            text = tokenizer.decode(ids, skip_special_tokens=True)
            choice = {"index": 0, "text": text[len(shown) :], "token_ids": [token]}
            shown = text
            self._event(self._chunk("text_completion", choice))
            if len(ids) == most:
                break
        last = {"index": 0, "text": "", "finish_reason": finish}
        last["token_ids"] = ids[-1:] if finish == "stop" else []
        self._end("text_completion", last, usage, len(ids))

    def _prompt(self, body: dict[str, Any], model: Any, tokenizer: Any) -> Any:
        import torch

        if "prompt_embeds" not in body:
            if not body.get("prompt"):
                raise _RefusedError(
                    400, "Either prompt or prompt_embeds must be provided and non-empty."
                )
            ids = torch.tensor(tokenizer(body["prompt"])["input_ids"])
            return model.get_input_embeddings()(ids).detach()
        raw = io.BytesIO(base64.b64decode(body["prompt_embeds"], validate=True))
        embeddings = torch.load(raw, weights_only=True, map_location="cpu")
        width = model.config.hidden_size
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise _RefusedError(
                400,
                f"prompt_embeds must be a 2D tensor with hidden size {width}, got "
                f"{list(embeddings.shape)}",
            )
        return embeddings.to(next(model.parameters()).dtype)

    @staticmethod
    def _tokens(model: Any, embeddings: Any, body: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        """Yield greedy tokens with the log-probabilities that they were taken from."""
        import torch

        allowed = body.get("allowed_token_ids")
        cache, fed = None, embeddings[None]
        while True:
            with torch.no_grad():
                out = model(inputs_embeds=fed, past_key_values=cache, use_cache=True)
            cache, logs = out.past_key_values, out.logits[0, -1].float().log_softmax(-1)
            token = allowed[int(logs[allowed].argmax())] if allowed else int(logs.argmax())
            yield token, logs
            fed = model.get_input_embeddings()(torch.tensor([[token]])).detach()

    # ---- a chat with a model that reads images

    def _chat(self, body: dict[str, Any]) -> None:
        rules = self.rules
        if rules.chat is None:
            raise _RefusedError(400, "this model has no chat template")
        messages = body["messages"]
        pieces = _pieces_of(messages)
        if len(pieces) + int(body.get("max_tokens", 16)) > rules.max_model_len:
            raise _RefusedError(
                400,
                f"The decoder prompt (length {len(pieces)}) is longer than the maximum model "
                f"length of {rules.max_model_len}.",
            )
        with rules._lock:
            cached = rules.cached(pieces, str(body.get("cache_salt", "")))
        words = rules.chat(messages).split(" ")
        usage = {"prompt_tokens": len(pieces), "prompt_tokens_details": {"cached_tokens": cached}}
        if not body.get("stream"):
            top = [{"token": w, "logprob": -0.1 - 2.0 * i} for i, w in enumerate((words[0], "No"))]
            first = {"token": words[0], "logprob": -0.1, "top_logprobs": top}
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": words[0]},
                "finish_reason": "length",
                "logprobs": {"content": [first]},
            }
            self._send(200, self._chunk("chat.completion", choice) | {"usage": usage})
            return
        self._events()
        most, finish = int(body.get("max_tokens", 16)), "length"
        count = 0
        for count, word in enumerate(words[:most], 1):
            self._pace(count - 1)
            delta = {"content": word if count == 1 else f" {word}"}
            choice = {"index": 0, "delta": delta, "token_ids": [count]}
            self._event(self._chunk("chat.completion.chunk", choice))
        if len(words) <= most:
            finish = "stop"
        last = {"index": 0, "delta": {}, "finish_reason": finish}
        self._end("chat.completion.chunk", last, usage, count)

    # ---- HTTP

    def _authorize(self) -> None:
        if self.rules.key and self.headers["Authorization"] != f"Bearer {self.rules.key}":
            raise _RefusedError(401, "Unauthorized")

    def _chunk(self, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": "1",
            "object": kind,
            "created": 0,
            "model": self.rules.name,
            "choices": [choice],
        }

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, error: _RefusedError) -> None:
        kind = "BadRequestError" if error.status == 400 else "Error"
        self._send(
            error.status,
            {"error": {"message": str(error), "type": kind, "param": None, "code": error.status}},
        )

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, content: dict[str, Any] | str) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        data = f"data: {text}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _pace(self, written: int) -> None:
        """Wait as a token takes; notice that the client has hung up, or break as `fault` says."""
        rules = self.rules
        if written and rules.fault == "error":
            self._event({"error": {"message": "EngineCore died", "code": 500}})
            self.wfile.write(b"0\r\n\r\n")
            raise _HungUpError
        if written and rules.fault == "die":
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _HungUpError
        until = time.monotonic() + (60 if written and rules.fault == "silent" else rules.pause)
        while True:
            left = max(until - time.monotonic(), 0)
            ready, _, _ = select.select([self.connection], [], [], min(left, 0.02))
            if ready and not self.connection.recv(1, socket.MSG_PEEK):
                with rules._lock:
                    rules.aborted.append(written)
                raise _HungUpError
            if not left:
                return

    def _end(self, kind: str, choice: dict[str, Any], usage: dict[str, Any], count: int) -> None:
        self._event(self._chunk(kind, choice))
        counted = usage | {
            "completion_tokens": count,
            "total_tokens": usage["prompt_tokens"] + count,
        }
        self._event(self._chunk(kind, choice) | {"choices": [], "usage": counted})
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")


def _pieces_of(messages: list[dict[str, Any]]) -> list[bytes]:
    """Return a conversation as tokens, for counting: words, and 64 for an image."""
    found: list[bytes] = []
    for message in messages:
        found.append(message["role"].encode())
        parts = message["content"]
        for part in [{"type": "text", "text": parts}] if isinstance(parts, str) else parts:
            if part["type"] == "image_url":
                image = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                found += [hashlib.sha256(image).digest() + bytes([n]) for n in range(64)]
            else:
                found += [word.encode() for word in part["text"].split()]
    return found
