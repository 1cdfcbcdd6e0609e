"""The state behind the volume: read in pieces, copied, stopped, and never changed."""

from __future__ import annotations

import threading

import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.backends.nv_reason_ct import attribution, generation, snapshot
from napari_ct_assistant.backends.nv_reason_ct.network.positions import prompt_positions
from napari_ct_assistant.backends.protocol import EncodingStopped
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint

QUESTION = "Is there a mass?"


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    folder = save_tiny_checkpoint(tmp_path_factory.mktemp("nv") / "tiny-nv")
    return load_assistant(folder, device="cpu", dtype="float32")


def whole_logits(assistant: Assistant, volume: CTVolume, question: str) -> torch.Tensor:
    """Without any cache: one pass over everything."""
    made = assistant.processor(question, volume, enable_thinking=False)
    with torch.no_grad():
        logits: torch.Tensor = assistant.model(made["input_ids"], made["pixel_values"]).logits
    return logits[0]


@pytest.mark.parametrize("chunk", [5, 16, 1024])
def test_pieces_of_the_prompt_give_what_the_whole_gives(
    assistant: Assistant,
    small_volume: CTVolume,
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    """The linear layers go on from their state; older transformers began anew with each piece."""
    monkeypatch.setattr(snapshot, "CHUNK", chunk)
    monkeypatch.setattr(generation, "CHUNK", chunk)
    reading = assistant.read(small_volume)
    ids = reading.context.prompt(QUESTION, thinking=False).ids
    kept = reading.context.snapshot
    with torch.no_grad():
        found = generation.forward(assistant.model, kept, kept.copies(), ids, 0)[0]
    expected = whole_logits(assistant, small_volume, QUESTION)[-len(ids) :]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_rows_of_a_batch_are_as_alone(assistant: Assistant, small_volume: CTVolume) -> None:
    reading = assistant.read(small_volume)
    questions = ["Is there a mass?", "Is there a much longer question about the left lung?", "X?"]
    together = reading.context.yes_probabilities(questions)
    alone = [reading.context.yes_probabilities([question])[0] for question in questions]
    assert together == pytest.approx(alone, abs=1e-6)
    special = assistant.processor.special
    logits = whole_logits(assistant, small_volume, questions[1])[-1, [special.yes, special.no]]
    assert together[1] == pytest.approx(float(logits.softmax(0)[0]), abs=1e-5)


def test_stopping_while_the_image_tokens_are_read(
    assistant: Assistant, small_volume: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "CHUNK", 8)
    cancel = threading.Event()
    said: list[str] = []

    def tell(text: str) -> None:
        said.append(text)
        if text.startswith("Reading the image tokens: 16"):
            cancel.set()

    with pytest.raises(EncodingStopped, match="image tokens"):
        assistant.read(small_volume, progress=tell, cancel=cancel)
    assert said[-1] == "Reading the image tokens: 16 of 72"
    assert "Encoding the scan: layer 2 of 2" in said


def test_the_heat_is_the_slope_of_the_likelihood(
    assistant: Assistant, small_volume: CTVolume
) -> None:
    """Against finite differences of plain passes, in double precision."""
    reading = assistant.read(small_volume)
    model, processor = assistant.model, assistant.processor
    blind = assistant.backend.blind().image_tokens
    prompt = processor.prefix_ids() + reading.context.prompt(QUESTION).ids
    answer = processor.text_ids("No.")
    spans = [(0, len(answer))]
    (values,) = attribution.merger_gradient(
        model, prompt, answer, spans, reading.image_tokens, blind
    )
    assert values is not None
    ids = torch.tensor([prompt + answer])
    positions, _ = prompt_positions(ids[0], model.image_token_id, model.sizes.grid)

    def likelihood(image: torch.Tensor) -> float:
        with torch.no_grad():
            embeddings = model.embed(ids, image)
            logits = model(inputs_embeds=embeddings, position_ids=positions[:, None]).logits[0]
        scores = logits[len(prompt) - 1 : -1].double().log_softmax(-1)
        return float(scores.gather(1, torch.tensor(answer)[:, None]).sum())

    step = 2e-3
    towards = (blind - reading.image_tokens) * step
    ahead, behind = (likelihood(reading.image_tokens + s * towards) for s in (1, -1))
    slope = (behind - ahead) / (2 * step)
    assert float(values.sum()) == pytest.approx(slope, rel=0.05, abs=2e-3)
    assert all(not parameter.requires_grad for parameter in model.parameters())
