"""The client of a server that speaks OpenAI's API, on the `openai` package.

TLS certificates are verified, no redirect is followed, no request is repeated, and nothing of the
environment that is meant for OpenAI's own servers (keys, organisation) is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from napari_ct_assistant.backends.server.address import ServerAddress
from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.backends.server.streaming import Answered, Piece, answer, hang_up
from napari_ct_assistant.backends.server.trouble import explain
from napari_ct_assistant.support.translation import said

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class ModelOnServer:
    """A model as a server lists it.

    Attributes
    ----------
    id : str
        Its name there.
    root : str
        What the server loaded: a folder of its own or a hub id; "" if it does not say.
    max_model_len : int
        Tokens that prompt and answer can have; 0 if it does not say.
    """

    id: str
    root: str = ""
    max_model_len: int = 0


class ServerClient:
    """A connection to one server.

    Parameters
    ----------
    address : ServerAddress
    key : str
        API key; "" sends none.
    timeout : float
        Seconds without a byte from the server after which it counts as dead.
    """

    def __init__(self, address: ServerAddress, key: str = "", timeout: float = 120.0):
        self.address = address
        self.timeout = timeout
        self._key = key
        self._lock = threading.Lock()
        self._client: Any = None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __del__(self) -> None:
        self.close()

    def models(self) -> list[ModelOnServer]:
        """Return the models that the server offers."""
        with self._told():
            listed = self._open().models.list()
            return [
                ModelOnServer(
                    str(model.id),
                    str((model.model_extra or {}).get("root") or ""),
                    int((model.model_extra or {}).get("max_model_len") or 0),
                )
                for model in listed.data
            ]

    def version(self) -> str:
        """Return the version that vLLM states; "" from another server."""
        client = self._open()
        try:
            found: Any = client.get(f"{self.address.origin}/version", cast_to=object)
        except Exception:  # noqa: BLE001  another server has no such page
            return ""
        return str(found.get("version", ""))[:40] if isinstance(found, dict) else ""

    def complete(
        self,
        model: str,
        body: Mapping[str, Any],
        *,
        on_text: Callable[[str], None] | None = None,
        on_reasoning: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Answered:
        """Stream a completion; `body` has what differs from OpenAI's API, such as embeddings."""
        return self._stream(
            lambda client: client.completions.create(
                model=model, prompt=_absent(), stream=True, extra_body={**body, **_COUNTED}
            ),
            on_text,
            cancel,
            on_reasoning,
        )

    def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        body: Mapping[str, Any],
        *,
        on_text: Callable[[str], None] | None = None,
        on_reasoning: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Answered:
        """Stream the answer to a conversation."""
        return self._stream(
            lambda client: client.chat.completions.create(
                model=model, messages=list(messages), stream=True, extra_body={**body, **_COUNTED}
            ),
            on_text,
            cancel,
            on_reasoning,
        )

    def first_token(self, model: str, body: Mapping[str, Any]) -> dict[str, float]:
        """Return log-probabilities of first tokens of a completion, by "token_id:N"."""
        with self._told():
            got = self._open().completions.create(
                model=model,
                prompt=_absent(),
                extra_body={**body, "max_tokens": 1, "return_tokens_as_token_ids": True},
            )
        found = getattr(got.choices[0].logprobs, "top_logprobs", None) or [{}]
        return dict(found[0] or {})

    def first_words(
        self, model: str, messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]
    ) -> dict[str, float]:
        """Return log-probabilities of the first tokens of a chat's answer, by their text."""
        with self._told():
            got = self._open().chat.completions.create(
                model=model,
                messages=list(messages),
                logprobs=True,
                top_logprobs=20,
                max_tokens=1,
                extra_body=dict(body),
            )
        content = getattr(got.choices[0].logprobs, "content", None) or []
        return {one.token: one.logprob for one in content[0].top_logprobs} if content else {}

    def _stream(
        self,
        start: Callable[[Any], Any],
        on_text: Callable[[str], None] | None,
        cancel: threading.Event | None,
        on_reasoning: Callable[[str], None] | None = None,
    ) -> Answered:
        client = self._open()
        with self._told():
            return answer(
                lambda: _pieces(start(client)),
                on_text=on_text,
                on_reasoning=on_reasoning,
                cancel=cancel,
            )

    def _open(self) -> Any:
        """Return the client of the package `openai`."""
        try:
            import openai
        except ModuleNotFoundError as error:
            raise ServerError(
                said(
                    "a model on a server needs the package openai: pip install "
                    "'napari-ct-assistant[remote]'"
                )
            ) from error
        with self._lock:
            if self._client is None:
                timeout = openai.Timeout(self.timeout, connect=CONNECT_SECONDS)
                self._client = openai.OpenAI(
                    # The package insists on a key; a server without keys ignores it.
                    api_key=self._key or "none",
                    organization="",
                    project="",
                    base_url=f"{self.address.origin}/v1",
                    max_retries=0,
                    timeout=timeout,
                    http_client=openai.DefaultHttpxClient(
                        follow_redirects=False,
                        timeout=timeout,
                        # What is meant for this computer goes through no proxy.
                        trust_env=not self.address.is_loopback,
                    ),
                )
            return self._client

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the package and the network raise into one line."""
        try:
            yield
        except ServerError:
            raise
        except Exception as error:
            line = explain(error, self.timeout)
            if line is None:
                raise
            raise ServerError(
                said("{origin}: {line}", origin=self.address.origin, line=line)
            ) from error


_COUNTED: dict[str, Any] = {"stream_options": {"include_usage": True}, "return_token_ids": True}


def _absent() -> Any:
    """Return what leaves a field out: vLLM refuses an empty prompt."""
    import openai

    return openai.omit


def _pieces(stream: Any) -> tuple[Iterator[Piece], Callable[[], None]]:
    """Return the pieces of an open stream, and a function that ends it at once."""

    def pieces() -> Iterator[Piece]:
        for chunk in stream:
            usage = getattr(chunk, "usage", None)
            details = getattr(usage, "prompt_tokens_details", None)
            choice = chunk.choices[0] if chunk.choices else None
            delta = getattr(choice, "delta", None)
            extra = getattr(choice, "model_extra", None) or {}
            thought = (getattr(delta, "model_extra", None) or {}) if delta is not None else {}
            yield Piece(
                text=str((getattr(choice, "text", None) or getattr(delta, "content", None)) or ""),
                reasoning=str(thought.get("reasoning") or thought.get("reasoning_content") or ""),
                ids=tuple(extra.get("token_ids") or ()),
                finish=getattr(choice, "finish_reason", None),
                prompt_tokens=getattr(usage, "prompt_tokens", None),
                cached_tokens=getattr(details, "cached_tokens", None),
            )

    return pieces(), lambda: hang_up(stream.response)
