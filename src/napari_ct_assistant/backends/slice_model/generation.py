"""Generate an answer behind the slices, token by token."""

from __future__ import annotations

import threading
import time

import torch

from napari_ct_assistant.backends.protocol import GeneratedText, OnText, Prompt
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.processor import SliceModelProcessor
from napari_ct_assistant.backends.slice_model.snapshot import Snapshot
from napari_ct_assistant.backends.streaming import TokenChooser

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # the bytes so far are no whole character


class AnswerTokens:
    """Sorts generated tokens, as they come, into reasoning and answer.

    Parameters
    ----------
    processor : SliceModelProcessor
    thinking : bool
        The prompt has opened the reasoning.
    on_text, on_reasoning : callable, optional
        Called with each new piece.

    Attributes
    ----------
    ids : list of int
        All tokens.
    answer, reasoning : list of int
        Those of each part, without the marks around reasoning.
    thinking : bool
        Where the text is now.
    """

    def __init__(
        self,
        processor: SliceModelProcessor,
        thinking: bool = False,
        on_text: OnText | None = None,
        on_reasoning: OnText | None = None,
    ):
        self._tokenizer = processor.tokenizer
        self._opening = {a for a, _ in processor.special.thinking}
        self._closing = {b for _, b in processor.special.thinking}
        self.thinking = thinking
        self.ids: list[int] = []
        self.answer: list[int] = []
        self.reasoning: list[int] = []
        self._tell = {False: on_text, True: on_reasoning}
        self._shown = {False: "", True: ""}

    def feed(self, token: int) -> None:
        """Take a token."""
        self.ids.append(token)
        if token in self._opening or token in self._closing:
            self.thinking = token in self._opening
            return
        (self.reasoning if self.thinking else self.answer).append(token)
        self._show(self.thinking, whole=False)

    def close(self) -> None:
        """Show what was held back; the text has ended."""
        for part in (True, False):
            self._show(part, whole=True)

    def text(self, reasoning: bool = False) -> str:
        """Return a part's text."""
        ids = self.reasoning if reasoning else self.answer
        words = str(self._tokenizer.decode(ids, skip_special_tokens=True))
        # Blank lines stand between reasoning and answer.
        return words.lstrip() if self.reasoning or reasoning else words

    def _show(self, part: bool, *, whole: bool) -> None:
        text = self.text(part)
        tell, shown = self._tell[part], self._shown[part]
        if not text.startswith(shown) or (text.endswith(_UNFINISHED) and not whole):
            return
        self._shown[part] = text
        if tell is not None and text != shown:
            tell(text[len(shown) :])


def generate(
    processor: SliceModelProcessor,
    snapshot: Snapshot,
    prompt: Prompt,
    settings: GenerationSettings,
    *,
    window: int,
    on_text: OnText | None = None,
    on_reasoning: OnText | None = None,
    cancel: threading.Event | None = None,
) -> GeneratedText:
    """Generate the answer to a question; `window` is the most tokens that the model can hold."""
    start = time.perf_counter()
    parts = AnswerTokens(processor, prompt.thinking, on_text, on_reasoning)
    choose = TokenChooser(settings, [*snapshot.prefix, *prompt.ids])
    cache = snapshot.copies()
    limit = settings.max_new_tokens or processor.preset.max_new_tokens
    limit = max(1, min(limit, window - snapshot.length - len(prompt.ids)))
    first = 0.0
    ended = False
    with torch.no_grad():
        logits = snapshot.forward(cache, torch.tensor([prompt.ids]), keep=1)[:, -1]
        while len(parts.ids) < limit and not (parts.ids and cancel is not None and cancel.is_set()):
            token = choose(logits)
            first = first or time.perf_counter() - start
            if token in processor.special.end:
                ended = True
                break
            parts.feed(token)
            if len(parts.ids) < limit:
                at = len(prompt.ids) + len(parts.ids) - 1
                logits = snapshot.forward(cache, torch.tensor([[token]]), at, keep=1)[:, -1]
    parts.close()
    stopped = not ended and cancel is not None and cancel.is_set()
    return GeneratedText(
        text=parts.text(),
        ids=parts.ids,
        seconds_first_token=first,
        stopped=stopped,
        # An answer that ends within its reasoning is not whole either.
        cut=not stopped and (not ended or parts.thinking),
        reasoning=parts.text(reasoning=True).strip(),
    )
