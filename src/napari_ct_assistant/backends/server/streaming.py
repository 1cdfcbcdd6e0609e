"""An answer as it arrives from a server, which the reader can stop at any moment."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.backends.reasoning_text import ReasoningSplitter

POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Piece:
    """One event of a stream.

    Attributes
    ----------
    text, reasoning : str
    ids : tuple of int
        The tokens of it.
    finish : str or None
        "stop" or "length" in the last one.
    prompt_tokens, cached_tokens : int or None
        Of the whole request, in the event that counts them.
    """

    text: str = ""
    reasoning: str = ""
    ids: tuple[int, ...] = ()
    finish: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass
class Answered:
    """A whole answer, or what came of it until it was stopped.

    Attributes
    ----------
    text, reasoning : str
        A server without a reasoning parser sends both as one text, which is divided here.
    answer_start : int
        Where the text begins in what the server sent as text, in characters.
    ids : list of int
    finish : str
        "stop", "length", or "" for one that was stopped.
    stopped : bool
    seconds_first_token : float
    prompt_tokens, cached_tokens : int or None
        As the server counts them: tokens of the prompt, and those that it had computed before.
    """

    text: str = ""
    reasoning: str = ""
    answer_start: int = 0
    ids: list[int] | None = None
    finish: str = ""
    stopped: bool = False
    seconds_first_token: float = 0.0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None


class _Line:
    """The thread that reads the stream; it is abandoned if the reader stops."""

    def __init__(self, start: Callable[[], tuple[Iterator[Piece], Callable[[], None]]]):
        self.events: queue.SimpleQueue[Piece | BaseException | None] = queue.SimpleQueue()
        self._start = start
        self._lock = threading.Lock()
        self._hang_up: Callable[[], None] | None = None
        self._abandoned = False
        self.thread = threading.Thread(target=self._read, name="answer of a server", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            pieces, hang_up = self._start()
            with self._lock:
                self._hang_up = hang_up
                abandoned = self._abandoned
            if abandoned:
                hang_up()
                return
            for piece in pieces:
                self.events.put(piece)
            self.events.put(None)
        except BaseException as error:  # noqa: BLE001  raised again where the answer is awaited
            self.events.put(error)

    def abandon(self) -> None:
        """Close the connection, upon which the server gives the request up."""
        with self._lock:
            self._abandoned = True
            hang_up = self._hang_up
        if hang_up is not None:
            hang_up()


def answer(
    start: Callable[[], tuple[Iterator[Piece], Callable[[], None]]],
    *,
    on_text: Callable[[str], None] | None = None,
    on_reasoning: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> Answered:
    """Collect a stream.

    Parameters
    ----------
    start
        Sends the request; returns the pieces and what closes the connection. It is called, and
        the pieces are read, in another thread: a dead server cannot hold up the reader's Stop.
    on_text, on_reasoning
        Get each new piece, in this thread.
    cancel
        Set it to stop.

    Raises
    ------
    ConnectionResetError
        If the stream ends before the answer does.
    """
    began = time.perf_counter()
    made = Answered(ids=[])
    ids: list[int] = []
    whole = False
    line = _Line(start)
    parts = ReasoningSplitter(on_text, on_reasoning)
    try:
        while True:
            if cancel is not None and cancel.is_set() and not made.finish:
                made.stopped = True
                break
            try:
                event = line.events.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(event, BaseException):
                raise event
            if event is None:
                if not made.finish:
                    raise ConnectionResetError("the stream ended within the answer")
                whole = True
                break
            if (event.text or event.ids or event.reasoning) and not made.seconds_first_token:
                made.seconds_first_token = time.perf_counter() - began
            ids += event.ids
            made.finish = event.finish or made.finish
            if event.prompt_tokens is not None:
                made.prompt_tokens = event.prompt_tokens
                made.cached_tokens = event.cached_tokens
            if event.reasoning:
                made.reasoning += event.reasoning
                if on_reasoning is not None:
                    on_reasoning(event.reasoning)
            if event.text:
                parts.feed(event.text)
    finally:
        # The connection of a whole answer may be in use for the next request already.
        if not whole:
            line.abandon()
    parts.finish()
    made.text, made.answer_start = parts.text, parts.answer_start
    made.reasoning += parts.reasoning
    made.ids = ids
    return made


def hang_up(response: Any) -> None:
    """End a connection from another thread than the one that reads from it.

    To close it would not do: while the other thread waits for a byte, the system keeps the
    connection open, and the server would go on writing.
    """
    stream = getattr(response, "extensions", {}).get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
