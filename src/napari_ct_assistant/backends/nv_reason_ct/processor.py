"""From scans and conversations to NV-Reason-CT's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from transformers import BatchFeature, PreTrainedTokenizerFast

from napari_ct_assistant.backends.nv_reason_ct.conversation import text
from napari_ct_assistant.backends.nv_reason_ct.conversation.tokens import SpecialTokens
from napari_ct_assistant.backends.nv_reason_ct.input.scan_input import ScanInput
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import EncoderSizes
from napari_ct_assistant.backends.nv_reason_ct.network.positions import prompt_positions
from napari_ct_assistant.volume import CTVolume

MAX_NEW_TOKENS: Final = 2048

Message = Mapping[str, Any]


class NVReasonCTProcessor(ScanInput):
    """Prepares scans and text for an `NVReasonCT` network.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    special : SpecialTokens
    sizes : EncoderSizes
    pixdim : three floats, mm
        Spacing (x, y, z) of the model's grid.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        special: SpecialTokens,
        sizes: EncoderSizes,
        pixdim: tuple[float, float, float],
    ):
        self.tokenizer = tokenizer
        self.special = special
        super().__init__(sizes, pixdim)
        self.max_new_tokens = MAX_NEW_TOKENS
        added = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
        self._added = sorted(added, key=len, reverse=True)

    # ---- the text

    @property
    def image_token_id(self) -> int:
        """The id that stands for each token of the volume."""
        return self.special.image

    def text_ids(self, words: str) -> list[int]:
        """Return the ids of a text as it is; names of special tokens become these tokens."""
        return list(self.tokenizer(words, add_special_tokens=False)["input_ids"])

    def harmless(self, words: str) -> str:
        """Return a text in which no special token is named: a blank parts each of them."""
        for token in self._added:
            words = words.replace(token, f"{token[0]} {token[1:]}")
        return words

    def prefix_ids(self) -> list[int]:
        """Return the ids before every question: the beginning of the turn and the volume."""
        ids: list[int] = []
        for token in self.text_ids(text.OPENING):
            ids += [token] * (self.num_image_tokens if token == self.image_token_id else 1)
        return ids

    def question_ids(
        self, question: str, turns: Sequence[tuple[str, str]] = (), *, thinking: bool = True
    ) -> list[int]:
        """Return the ids of a question after earlier turns, which follow `prefix_ids`."""
        safe = [(self.harmless(q), self.harmless(text.without_reasoning(a))) for q, a in turns]
        words = text.after_the_volume(safe, self.harmless(question), thinking=thinking)
        return self.text_ids(words)

    def apply_chat_template(
        self, messages: Sequence[Message], *, enable_thinking: bool = True
    ) -> str:
        """Return a conversation as text, with one image token for the volume.

        Parameters
        ----------
        messages
            Turns of "user" and "assistant", as transformers takes them: `content` is a text or a
            list of {"type": "image"} and {"type": "text", "text": ...}. The image stands in the
            first turn only; the last turn is the user's.
        enable_thinking : bool
            The answer begins with reasoning.

        Raises
        ------
        ValueError
            If the turns have another order, or the image is missing or in a later turn.
        """
        turns, question = self._dialogue(messages)
        return text.OPENING + text.after_the_volume(turns, question, thinking=enable_thinking)

    def __call__(
        self,
        messages: str | Sequence[Message],
        volume: CTVolume | None = None,
        *,
        region: str = "",
        enable_thinking: bool = True,
    ) -> BatchFeature:
        """Make the network's input for one conversation about one scan.

        Parameters
        ----------
        messages
            As for `apply_chat_template`; a text is a first question.
        volume : CTVolume, optional
            Without it there are no `pixel_values`.
        region, enable_thinking
            As for `prepare` and `apply_chat_template`.

        Returns
        -------
        BatchFeature with `input_ids` and `attention_mask` [1, T], `position_ids` [3, 1, T] and
        `pixel_values` [1, 1, T, H, W].
        """
        turns, question = ((), messages) if isinstance(messages, str) else self._dialogue(messages)
        ids = torch.tensor(
            [self.prefix_ids() + self.question_ids(question, turns, thinking=enable_thinking)]
        )
        positions, _ = prompt_positions(ids[0], self.image_token_id, self.sizes.grid)
        feature = BatchFeature(
            {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
                "position_ids": positions[:, None],
            }
        )
        if volume is not None:
            feature["pixel_values"] = self.prepare_volume(volume, region=region)[0]
        return feature

    def _dialogue(self, messages: Sequence[Message]) -> tuple[list[tuple[str, str]], str]:
        """Return the earlier turns (question, answer) and the last question."""
        stated: list[str] = []
        for number, message in enumerate(messages):
            role = ("user", "assistant")[number % 2]
            if message.get("role") != role:
                raise ValueError(f"message {number + 1} is {message.get('role')!r}, not {role!r}")
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            images = [part for part in parts if part.get("type") == "image"]
            if len(images) != (number == 0) and not (number == 0 and isinstance(content, str)):
                raise ValueError(
                    f"message {number + 1} has {len(images)} image(s); the volume stands in the "
                    "first message only"
                )
            stated.append("".join(part["text"] for part in parts if part.get("type") == "text"))
        if len(stated) % 2 == 0:
            raise ValueError("the last message must be the user's")
        return list(zip(stated[:-1:2], stated[1::2], strict=True)), stated[-1]
