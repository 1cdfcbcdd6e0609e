"""A client for any server that speaks OpenAI's chat API, on the standard library's HTTP.

Nothing is sent unless `ct-assistant instructions` is given an endpoint and `--yes`. Hugging Face's
`InferenceClient` is not used because it sends the user's hub token to a server that was given no
key, changes the URL, and never retries.
"""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.training.config.errors import RecipeError


class EndpointError(RecipeError):
    """An endpoint cannot be used. The message holds neither the key nor any report."""


class MalformedAnswerError(CTAssistantError, ValueError):
    """An answer is not in the requested form; a repeat may help."""


@dataclass(frozen=True)
class Reply:
    """A model's answer and its cost in tokens."""

    text: str
    tokens_in: int
    tokens_out: int


class ChatEndpoint:
    """One model on an OpenAI-compatible server.

    Parameters
    ----------
    url
        The base URL, such as http://127.0.0.1:8000/v1; "/chat/completions" is added.
    model
        The server's name for it.
    key
        Sent as a bearer token; "" sends none.
    timeout
        Limit of one request, in seconds.
    tries
        How often a request is sent if the server is busy (429), fails (5xx) or is unreachable.
    pause
        Seconds before the second try, doubled before each further one. A pause that the server
        asks for takes precedence.
    sleep
        Waits for a number of seconds.

    Raises
    ------
    EndpointError
        If the URL is neither http nor https.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str = "",
        *,
        timeout: float = 120.0,
        tries: int = 6,
        pause: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EndpointError(f"endpoint {url}: give http(s)://host/v1")
        self.host = parts.hostname
        self.url = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        self.model = model
        self.timeout = timeout
        self.tries = tries
        self.pause = pause
        self._key = key
        self._sleep = sleep
        # Response formats, strictest first; one that the server refuses is dropped.
        self._forms = ["json_schema", "json_object", "text"]

    def ask(
        self, messages: list[dict[str, str]], schema: dict[str, Any], temperature: float = 0.2
    ) -> Reply:
        """Send a chat and return the answer's text.

        Raises
        ------
        EndpointError
            If the server refuses permanently or stays unreachable.
        MalformedAnswerError
            If the answer is not a chat completion, or was cut off at its length limit.
        """
        while True:
            form = self._forms[0]
            body: dict[str, Any] = {
                "model": self.model,
                "messages": messages,
                "temperature": temperature,
            }
            if form == "json_schema":
                named = {"name": "questions", "strict": True, "schema": schema}
                body["response_format"] = {"type": form, "json_schema": named}
            elif form == "json_object":
                body["response_format"] = {"type": form}
            try:
                return _reply(self._send(body))
            except _UnknownFormatError:
                # Another thread may have dropped it already.
                if self._forms[0] == form:
                    self._forms.pop(0)

    def _send(self, body: dict[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(  # noqa: S310  http or https, checked
            self.url, data=json.dumps(body).encode(), headers=headers, method="POST"
        )
        problem = ""
        for attempt in range(self.tries):
            wait = self.pause * 2**attempt * random.uniform(0.8, 1.2)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:  # noqa: S310
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError as error:
                problem = f"status {error.code}"
                detail = error.read(4096).decode("utf-8", "replace")
                if error.code == 400 and "response_format" in body and "response_format" in detail:
                    raise _UnknownFormatError from None
                if error.code not in (408, 409, 429) and error.code < 500:
                    hint = {401: "check the key", 403: "check the key", 404: "check URL and model"}
                    more = hint.get(error.code, "the server refuses the request")
                    raise EndpointError(f"endpoint {self.url}: {problem}; {more}") from None
                wait = _retry_after(error.headers.get("Retry-After")) or wait
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                reason = getattr(error, "reason", error)
                problem = f"no answer ({type(reason).__name__})"
            if attempt + 1 < self.tries:
                self._sleep(wait)
        raise EndpointError(
            f"endpoint {self.url}: {problem} after {self.tries} tries; the answers so far are "
            "kept, run the same command again to continue"
        )


class _UnknownFormatError(Exception):
    """The server does not know this `response_format`."""


def _retry_after(text: str | None) -> float:
    try:
        return min(max(float(text or 0), 0.0), 300.0)
    except ValueError:
        return 0.0  # a date: keep our own pause


def _reply(content: bytes) -> Reply:
    try:
        answer = json.loads(content)
        choice = answer["choices"][0]
        text = choice["message"]["content"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, IndexError, TypeError):
        raise MalformedAnswerError("not a chat completion") from None
    if not isinstance(text, str):
        raise MalformedAnswerError("the answer has no text")
    if choice.get("finish_reason") == "length":
        raise MalformedAnswerError("the answer was cut off at the server's length limit")
    used = answer.get("usage") or {}
    return Reply(text, int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0))
