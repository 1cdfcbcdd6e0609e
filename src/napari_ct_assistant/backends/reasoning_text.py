"""Sets a model's reasoning apart from its answer, as the text comes.

Language models that were trained to reason write `<think>` ... `</think>` before the answer,
whichever family their encoder belongs to. It is shown folded and is no part of a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from napari_ct_assistant.backends.protocol import OnText

OPEN: Final = "<think>"
CLOSE: Final = "</think>"


class ReasoningSplitter:
    """Sorts generated text into reasoning and answer.

    A tag may come in pieces. Text before a closing tag without an opening one is reasoning, too:
    some prompts open it.

    Parameters
    ----------
    on_text, on_reasoning : callable, optional
        Called with each new piece of the answer and of the reasoning.

    Attributes
    ----------
    text, reasoning : str
        What has come so far.
    answer_start : int
        Where the answer begins in the whole text, in characters.
    """

    def __init__(self, on_text: OnText | None = None, on_reasoning: OnText | None = None) -> None:
        self._on_text, self._on_reasoning = on_text, on_reasoning
        self._thinking = False
        self._held = ""  # may be the beginning of a tag
        self._seen = 0  # characters that were sorted
        self.text = self.reasoning = ""
        self.answer_start = 0

    def feed(self, piece: str) -> None:
        """Sort a new piece."""
        waiting = self._held + piece
        while waiting:
            tag, at = _first_tag(waiting)
            if tag:
                self._put(waiting[:at])
                self._seen += len(tag)
                waiting = waiting[at + len(tag) :]
                if tag == CLOSE and not self._thinking:
                    self.reasoning, self.text = self.reasoning + self.text, ""
                self._thinking = tag == OPEN
                if tag == CLOSE:
                    self.answer_start = self._seen
                continue
            kept = _tag_begun(waiting)
            self._put(waiting[: len(waiting) - kept])
            self._held = waiting[len(waiting) - kept :]
            return
        self._held = ""

    def finish(self) -> None:
        """Sort what was held back: no tag came of it."""
        held, self._held = self._held, ""
        self._put(held)
        if self._thinking:
            # The answer never came.
            self.answer_start = self._seen

    def _put(self, text: str) -> None:
        self._seen += len(text)
        if not self._thinking and not self.text:
            # Blank lines between the reasoning and the answer.
            less = text.lstrip() if self.reasoning else text
            if self.reasoning and len(less) < len(text):
                self.answer_start = self._seen - len(less)
            text = less
        if not text:
            return
        if self._thinking:
            self.reasoning += text
            if self._on_reasoning is not None:
                self._on_reasoning(text)
        else:
            self.text += text
            if self._on_text is not None:
                self._on_text(text)


def answer_tokens(tokenizer: Any, ids: Sequence[int], answer_start: int) -> list[int]:
    """Return the tokens from a character of the decoded text on.

    Evidence is measured for the answer alone, not for the reasoning before it.
    """
    for number in range(len(ids) + 1) if answer_start else ():
        if len(tokenizer.decode(ids[:number], skip_special_tokens=True)) >= answer_start:
            return list(ids[number:])
    return list(ids)


def _first_tag(text: str) -> tuple[str, int]:
    """Return the first tag in a text and where it begins; "" if there is none."""
    found = [(text.find(tag), tag) for tag in (OPEN, CLOSE) if tag in text]
    at, tag = min(found) if found else (0, "")
    return tag, at


def _tag_begun(text: str) -> int:
    """Return how many characters at the end of a text may be the beginning of a tag."""
    most = min(len(text), len(CLOSE) - 1)
    sizes = (n for n in range(most, 0, -1) if any(t.startswith(text[-n:]) for t in (OPEN, CLOSE)))
    return next(sizes, 0)
