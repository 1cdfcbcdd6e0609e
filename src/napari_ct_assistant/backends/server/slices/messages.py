"""Conversations about slices as OpenAI's chat API takes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.backends.protocol import Prompt
from napari_ct_assistant.backends.slices import SlicePreset, conversation

Message = dict[str, Any]
_TYPES: Final = {"lossless": "image/png", "jpeg": "image/jpeg"}


@dataclass(frozen=True)
class ChatPrompt(Prompt):
    """A question as messages; the server turns them into tokens, so `ids` is empty.

    Attributes
    ----------
    turns : tuple of (str, str)
        Earlier questions and answers.
    question : str
    reasoning : bool or None
        Whether the answer begins with reasoning; None leaves it to the server.
    """

    turns: tuple[tuple[str, str], ...] = ()
    question: str = ""
    reasoning: bool | None = None


def image_parts(files: Sequence[bytes], preset: SlicePreset) -> list[Message]:
    """Return slices as data addresses. Equal slices give equal bytes."""
    kind = _TYPES[preset.encoding]
    return [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{kind};base64,{base64.b64encode(file).decode('ascii')}"},
        }
        for file in files
    ]


def messages(
    preset: SlicePreset, images: Sequence[Message], region: str, prompt: ChatPrompt
) -> list[Message]:
    """Return a conversation; the slices stand in its first turn, and are the same each time."""
    if prompt.text_only:
        return [{"role": "user", "content": prompt.question}]
    turns = conversation(
        preset, len(images), prompt.question, region=region, history=list(prompt.turns)
    )
    return [{"role": turn["role"], "content": _content(turn["content"], images)} for turn in turns]


def _content(parts: Sequence[Mapping[str, Any]], images: Sequence[Message]) -> Any:
    if all(part["type"] == "text" for part in parts):
        return "".join(str(part["text"]) for part in parts)
    return [images[part["index"]] if part["type"] == "image" else dict(part) for part in parts]
