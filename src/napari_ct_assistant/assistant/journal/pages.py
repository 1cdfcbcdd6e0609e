"""The pages of the journal: what one window of the program last saved about one scan."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from napari_ct_assistant.support.plain_text import without_markdown
from napari_ct_assistant.support.translation import N_, _

INTERRUPTED: Final = N_("Interrupted: the program ended while this was being written.")
STILL_WRITTEN: Final = N_(
    "Another window of the program is still writing this. Open the scan again to see the rest."
)
STOPPED: Final = N_("Stopped.")
# A window on another computer is taken to run for so long after it wrote.
RECENT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Program:
    """Which program run wrote a page.

    Attributes
    ----------
    host : str
        A hash of the computer's name.
    pid : int
    started : float
        Seconds since 1970; it tells a process from a later one with the same number.
    """

    host: str
    pid: int
    started: float

    def runs(self, last_wrote: float) -> bool:
        """Return whether it still runs; `last_wrote` in seconds since 1970."""
        import psutil

        if self.host != this_program().host:
            return time.time() - last_wrote < RECENT_SECONDS
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1.0
        except (psutil.Error, ValueError, OverflowError):
            return False


@cache
def _program_of(pid: int) -> Program:
    import psutil

    host = hashlib.sha256(platform.node().encode()).hexdigest()[:16]
    return Program(host, pid, psutil.Process(pid).create_time())


def this_program() -> Program:
    """Return what this process is called in the journal."""
    return _program_of(os.getpid())


@dataclass(frozen=True)
class Page:
    """What one window last saved about a scan.

    Attributes
    ----------
    scan : str
        The scan's hash.
    updated : float
        Seconds since 1970.
    body : dict
        Plain values: "report", "transcript", "question".
    session : str
        Which window saved it.
    number : int
        Grows with every save.
    program : Program or None
        The program run of the window.
    seen : dict or None
        The pages that the window knew, by session and number; None where earlier versions wrote
        the page.
    others : tuple of Page
        What other windows saved that this page's window did not know.
    """

    scan: str
    updated: float
    body: dict[str, Any]
    session: str = ""
    number: int = 0
    program: Program | None = None
    seen: dict[str, int] | None = None
    others: tuple[Page, ...] = ()

    def unfinished(self, message: Mapping[str, Any]) -> str:
        """Return what to say after a message that was not complete when the page was saved."""
        if message.get("stopped"):
            return _(STOPPED)
        running = self.program is not None and self.program.runs(self.updated)
        return _(STILL_WRITTEN if running else INTERRUPTED)

    @property
    def text(self) -> str:
        """Everything in it as plain text, and what other windows wrote."""
        parts = self.passages()
        if self.body.get("question"):
            parts.append(f"Not sent:\n{self.body['question']}")
        for other in self.others:
            told = [part for part in other.passages() if part not in parts]
            if told:
                parts += [f"Another window, {local_minute(other.updated)}:", *told]
        return "\n\n".join(parts)

    def passages(self) -> list[str]:
        """Return each message and the report as plain text."""
        from napari_ct_assistant.assistant.report.document import ReportDocument

        parts = []
        for message in self.body.get("transcript") or ():
            title, text = message.get("title", ""), str(message.get("text", ""))
            complete = message.get("complete", True)
            # A text that is not complete was saved as it came, without markdown.
            text = without_markdown(text) if complete else text
            cut = "" if complete else f"[{self.unfinished(message)}]"
            parts.append("\n".join(filter(None, (title, text, cut))))
        if self.body.get("report"):
            with suppress(ValueError):
                parts.append(str(ReportDocument.from_json(self.body["report"])))
        return parts


def local_minute(seconds: float) -> str:
    """Return a time in seconds since 1970 as the reader's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def page_of(row: Sequence[Any]) -> Page:
    """Return the page in a row of the file: scan, session, updated, body, number."""
    scan, session, updated, text, number = row
    body = _body(text)
    program, seen = body.pop("program", None), body.pop("seen", None)
    return Page(scan, _time(updated), body, session, number, _program(program), _seen(seen))


def with_others(pages: Sequence[Page]) -> Page | None:
    """Return the newest of a scan's pages (newest first), with those that its window missed."""
    if not pages:
        return None
    newest = pages[0]
    if newest.seen is None:
        return newest
    missed = [page for page in pages[1:] if page.number > newest.seen.get(page.session, 0)]
    return replace(newest, others=tuple(missed))


def _body(text: object) -> dict[str, Any]:
    """Return what a page holds; what has not the form that `save` was given is left out."""
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return {}
    messages = body.get("transcript")
    wanted = {
        "report": isinstance(body.get("report"), dict),
        "question": isinstance(body.get("question"), str),
        "transcript": isinstance(messages, list) and all(map(_is_message, messages)),
    }
    return {key: value for key, value in body.items() if wanted.get(key, True)}


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and all(
        isinstance(message.get(key, ""), str) for key in ("speaker", "title", "text")
    )


def _program(found: object) -> Program | None:
    if not isinstance(found, dict):
        return None
    host, pid, started = (found.get(key) for key in ("host", "pid", "started"))
    if isinstance(host, str) and isinstance(pid, int) and isinstance(started, int | float):
        return Program(host, pid, float(started))
    return None


def _seen(found: object) -> dict[str, int] | None:
    if not isinstance(found, dict):
        return None
    return {key: number for key, number in found.items() if isinstance(number, int)}


def _time(updated: object) -> float:
    """Return when a page was written, 0 if that is no time."""
    return float(updated) if isinstance(updated, int | float) and 0 <= updated < 1e11 else 0.0
