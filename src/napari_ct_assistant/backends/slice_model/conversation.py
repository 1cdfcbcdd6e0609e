"""Conversations about the slices of one scan as a model's chat template writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from napari_ct_assistant.backends.slice_model.processor import SliceModelProcessor
from napari_ct_assistant.backends.slices import SlicePreset, conversation
from napari_ct_assistant.backends.slices.mentions import without_image_numbers

THINK: Final = "<think>"
THINK_END: Final = "</think>"


@dataclass(frozen=True)
class Renderer:
    """Renders conversations about the slices of one scan.

    Attributes
    ----------
    processor : SliceModelProcessor
    region : str
        Part of the body.
    tokens : tuple of int
        Tokens of each slice.
    window : int
        The most tokens that the model can hold.
    """

    processor: SliceModelProcessor
    region: str
    tokens: tuple[int, ...]
    window: int

    @property
    def preset(self) -> SlicePreset:
        """How the scan is shown."""
        return self.processor.preset

    @property
    def reserve(self) -> int:
        """Tokens that are kept for an answer."""
        return min(self.preset.max_new_tokens, self.window // 4)

    def render(
        self,
        question: str,
        history: Sequence[tuple[str, str]] = (),
        *,
        thinking: bool | None = None,
    ) -> tuple[list[int], list[int], bool]:
        """Return a conversation's ids up to the last slice's end, the ids behind it, and whether
        the answer begins within reasoning.
        """
        safe = self.processor.harmless
        turns = conversation(
            self.preset,
            len(self.tokens),
            safe(question),
            region=self.region,
            history=[
                (safe(asked), safe(without_image_numbers(stated))) for asked, stated in history
            ],
        )
        text = self.processor.apply_chat_template(turns, thinking=thinking)
        opened = text.rstrip().endswith(THINK)
        if opened and thinking is False:
            # A template that cannot leave reasoning out: it is empty.
            text, opened = f"{text.rstrip()}\n\n{THINK_END}\n\n", False
        prefix, rest = self.processor.split(self.processor.ids(text, self.tokens))
        return prefix, rest, opened
