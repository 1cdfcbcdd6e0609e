"""The message that shows slices to a model: instruction, labelled slices, question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_ct_assistant.backends.slices.preset import SlicePreset

Part = dict[str, Any]
Turn = dict[str, Any]


def conversation(
    preset: SlicePreset,
    count: int,
    question: str,
    *,
    region: str = "chest",
    history: Sequence[tuple[str, str]] = (),
) -> list[Turn]:
    """Return a conversation about slices as transformers' chat templates take it.

    The slices stand in the first turn only; there is no system turn.

    Parameters
    ----------
    preset : SlicePreset
    count : int
        Slices that are shown.
    question : str
        The last question, without what the preset puts around it.
    region : str
        Part of the body, for the instruction.
    history
        Earlier questions and answers, oldest first.

    Returns
    -------
    list of dict
        Turns of "user" and "assistant"; `content` is a list of {"type": "text", "text": ...} and
        {"type": "image", "index": i} with i the place among the shown slices, from 0.
    """
    asked = [*(earlier for earlier, _ in history), question]
    first = question_part(preset, asked[0])
    shown: list[Part] = []
    for index in range(count):
        label = preset.label.replace("{number}", str(index + 1))
        pair: list[Part] = [{"type": "image", "index": index}]
        if label:
            pair.insert(preset.label_position == "after", {"type": "text", "text": label})
        shown += pair
    parts = [*shown, first] if preset.question_position == "last" else [first, *shown]
    if preset.instruction:
        instruction = preset.instruction.replace("{region}", region)
        parts.insert(0, {"type": "text", "text": instruction})
    turns: list[Turn] = [{"role": "user", "content": parts}]
    for (_, answer), later in zip(history, asked[1:], strict=True):
        turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        turns.append({"role": "user", "content": [{"type": "text", "text": later}]})
    return turns


def question_part(preset: SlicePreset, question: str) -> Part:
    """Return a first question with what the preset puts around it."""
    return {"type": "text", "text": preset.question.replace("{question}", question)}
