"""A model's reasoning is set apart from its text, whichever family it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant.export import export_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.backends.reasoning_text import ReasoningSplitter
from napari_ct_assistant.backends.volume_language import generation
from napari_ct_assistant.volume import CTVolume


def split(*pieces: str) -> tuple[str, str, int]:
    parts = ReasoningSplitter()
    for piece in pieces:
        parts.feed(piece)
    parts.finish()
    return parts.text, parts.reasoning, parts.answer_start


@pytest.mark.parametrize(
    ("whole", "text", "reasoning"),
    [
        ("<think>Lungs first.</think>Clear lungs.", "Clear lungs.", "Lungs first."),
        ("<think>\nLungs.\n</think>\n\nClear lungs.", "Clear lungs.", "\nLungs.\n"),
        # The prompt opened it.
        ("Lungs first.</think> Clear lungs.", "Clear lungs.", "Lungs first."),
        # The answer never came.
        ("<think>Lungs, and then", "", "Lungs, and then"),
        ("Clear lungs. HU < 30 and <thin walls.", "Clear lungs. HU < 30 and <thin walls.", ""),
        ("", "", ""),
    ],
)
def test_every_way_of_cutting_the_stream_gives_the_same(
    whole: str, text: str, reasoning: str
) -> None:
    for size in range(1, len(whole) + 2):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        found, thought, start = split(*pieces)
        assert (found, thought) == (text, reasoning), pieces
        if reasoning:
            assert whole[start:] == text


def test_the_pieces_go_where_they_belong() -> None:
    said: list[str] = []
    thought: list[str] = []
    parts = ReasoningSplitter(said.append, thought.append)
    for letter in "<think>One.</think>Two.":
        parts.feed(letter)
    parts.finish()
    assert ("".join(said), "".join(thought)) == ("Two.", "One.")


@pytest.fixture
def thinking(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, small_volume: CTVolume
) -> Any:
    """Return a reading whose language model reasons before each text."""
    reading = load_assistant(str(tiny_model_folder)).read(small_volume)
    loaded = reading.context.loaded  # type: ignore[attr-defined]
    tokenizer = loaded.processor.tokenizer

    def generate(input_ids: Any, streamer: Any, **_: Any) -> Any:
        answer = "<think>SECRET thought.</think>The heart is enlarged."
        ids = [*tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        streamer.put(input_ids[0])
        for one in ids:
            streamer.put(torch.tensor([one]))
        streamer.end()
        return torch.cat([input_ids, torch.tensor([ids])], dim=1)

    monkeypatch.setattr(loaded.model, "generate", generate)
    monkeypatch.setattr(generation, "decodes", lambda _: False)
    return reading


def test_reasoning_reaches_neither_report_nor_answer_nor_export(
    thinking: Any, tmp_path: Path
) -> None:
    said: list[str] = []
    thought: list[str] = []
    draft = thinking.draft_report(on_text=said.append, on_reasoning=thought.append)
    answer = thinking.ask("Is the heart enlarged?")
    assert "The heart is enlarged." in draft.text
    assert answer.text == "The heart is enlarged."
    report = ReportDocument.from_draft(draft, find_template(), weights_sha256="")
    written = export_report(report, tmp_path / "a.txt").read_text(encoding="utf-8")
    for text in (draft.text, answer.text, "".join(said), str(report), written):
        assert "SECRET" not in text
        assert "think>" not in text
    assert "SECRET thought." in "".join(thought)
    assert "SECRET thought." in draft.reasoning
    assert answer.reasoning == "SECRET thought."
    # The evidence is that of the sentence, not of the reasoning before it.
    assert draft.sentences[0].text == "The heart is enlarged."
    assert draft.sentences[0].support is not None


def test_a_report_of_reasoning_alone_is_empty_not_reasoning(
    tiny_model_folder: Path, small_volume: CTVolume, thinking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = thinking.context.loaded
    tokenizer = loaded.processor.tokenizer

    def generate(input_ids: Any, streamer: Any, **_: Any) -> Any:
        ids = tokenizer("<think>SECRET and on", add_special_tokens=False).input_ids
        streamer.put(input_ids[0])
        for one in ids:
            streamer.put(torch.tensor([one]))
        streamer.end()
        return torch.cat([input_ids, torch.tensor([ids])], dim=1)

    monkeypatch.setattr(loaded.model, "generate", generate)
    answer = thinking.ask("Is the heart enlarged?")
    assert answer.text == ""
    assert answer.cut
    assert "SECRET and on" in answer.reasoning


def test_a_server_without_a_reasoning_parser_is_divided_here() -> None:
    from napari_ct_assistant.backends.server.streaming import Piece, answer

    pieces = [
        Piece(text="<thi"),
        Piece(text="nk>SECRET</think>Cle"),
        Piece(text="ar.", finish="stop"),
    ]
    said: list[str] = []
    made = answer(lambda: (iter(pieces), lambda: None), on_text=said.append)
    assert (made.text, made.reasoning, "".join(said)) == ("Clear.", "SECRET", "Clear.")
