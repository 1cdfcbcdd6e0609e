"""Conversations as NV-Reason-CT reads and writes them.

Qwen3.5's chat format, written out here: the template of a folder is compared with the published
one and not run. The volume stands in the first turn only; the reasoning of earlier answers is
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

VISION_START: Final = "<|vision_start|>"
IMAGE_PAD: Final = "<|image_pad|>"
VISION_END: Final = "<|vision_end|>"
TURN_START: Final = "<|im_start|>"
TURN_END: Final = "<|im_end|>"
THINK: Final = "<think>"
THINK_END: Final = "</think>"

OPENING: Final = f"{TURN_START}user\n{VISION_START}{IMAGE_PAD}{VISION_END}"
REASONING: Final = f"{TURN_START}assistant\n{THINK}\n"
DIRECT: Final = f"{REASONING}\n{THINK_END}\n\n"

ANSWER: Final = "<answer>"
ANSWER_END: Final = "</answer>"

OnText = Callable[[str], None]


def after_the_volume(turns: Sequence[tuple[str, str]], question: str, *, thinking: bool) -> str:
    """Return the text of a conversation behind the volume, up to where the answer begins.

    Parameters
    ----------
    turns : sequence of (question, answer)
        The earlier turns, oldest first.
    question
    thinking
        The answer begins with reasoning.
    """
    questions = [*(asked for asked, _ in turns), question]
    parts = [f"{questions[0].strip()}{TURN_END}\n"]
    for (_, answer), later in zip(turns, questions[1:], strict=True):
        parts.append(f"{TURN_START}assistant\n{without_reasoning(answer)}{TURN_END}\n")
        parts.append(f"{TURN_START}user\n{later.strip()}{TURN_END}\n")
    return "".join(parts) + (REASONING if thinking else DIRECT)


def without_reasoning(answer: str) -> str:
    """Return an answer without what stands before the last `</think>`."""
    return answer.rpartition(THINK_END)[2].lstrip("\n").strip()


class AnswerParts:
    """Sorts generated text, as it comes, into reasoning, answer and the list of labels.

    Parameters
    ----------
    thinking : bool
        The text begins within the reasoning, whose opening tag is part of the prompt.
    on_text, on_reasoning : callable, optional
        Called with each new piece of the answer and of the reasoning.

    Attributes
    ----------
    reasoning, text, listed : str
        What has come so far. `listed` stands between `<answer>` and `</answer>`.
    thinking, listing : bool
        Where the text is now.
    has_labels : bool
        Whether `<answer>` came.
    """

    def __init__(
        self,
        thinking: bool,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
    ):
        self.thinking, self.listing, self.has_labels = thinking, False, False
        self.reasoning = self.text = self.listed = ""
        self._on_text, self._on_reasoning = on_text, on_reasoning
        self._pending = ""

    def feed(self, piece: str) -> None:
        """Take a piece of text."""
        self._pending += piece
        while True:
            tag = THINK_END if self.thinking else ANSWER_END if self.listing else ANSWER
            before, found, after = self._pending.partition(tag)
            if not found:
                # A part of the tag may stand at the end.
                keep = next((n for n in range(len(tag) - 1, 0, -1) if before.endswith(tag[:n])), 0)
                self._take(before[: len(before) - keep])
                self._pending = before[len(before) - keep :]
                return
            self._take(before)
            self._pending = after
            if self.thinking:
                self.thinking = False
            else:
                self.listing = not self.listing
                self.has_labels = True

    def close(self) -> None:
        """Take what was held back; the text has ended."""
        self._take(self._pending)
        self._pending = ""

    def _take(self, piece: str) -> None:
        if not piece:
            return
        if self.thinking:
            self.reasoning += piece
            if self._on_reasoning is not None:
                self._on_reasoning(piece)
        elif self.listing:
            self.listed += piece
        else:
            if not self.text:
                piece = piece.lstrip()
            self.text += piece
            if piece and self._on_text is not None:
                self._on_text(piece)
