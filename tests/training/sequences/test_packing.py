"""Packed training sequences have the loss of separate ones."""

from __future__ import annotations

import pytest
import torch

from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.sequences import packing
from napari_ct_assistant.training.sequences.collator import Collator
from napari_ct_assistant.training.sequences.packing import block_mask, decisive_ids, pack_sequence
from napari_ct_assistant.training.sequences.turns import Turn
from napari_ct_assistant.training.stages.trainer import weighted_cross_entropy
from tests.tiny_model import TURNS, tiny_model

PACKED = ConversationSettings(packed=True, max_length=2000)
SINGLE = ConversationSettings(packed=False, max_length=2000)


def test_packed_equals_separate() -> None:
    model, processor = tiny_model()
    turns = [Turn(q, a) for q, a in TURNS.items()]
    prefix = processor.prefix_ids()
    pixel_values = torch.rand(1, 1, *model.config.vision_config.image_size)
    packed = Collator(0, packed=True)([pack_sequence(prefix, turns, processor, PACKED)])
    packed.pop("loss_weights")
    total, count = 0.0, 0
    for turn in turns:
        one = Collator(0, packed=False)([pack_sequence(prefix, [turn], processor, SINGLE)])
        one.pop("loss_weights")
        tokens = int((one["labels"] != -100).sum())
        with torch.no_grad():
            total += float(model(pixel_values=pixel_values, **one).loss) * tokens
        count += tokens
    with torch.no_grad():
        loss = float(model(pixel_values=pixel_values, **packed).loss)
    assert loss == pytest.approx(total / count, abs=1e-5)


def test_the_mask_is_the_one_drawn_in_the_docstring() -> None:
    example = str(packing.__doc__).partition("(.)::")[2].splitlines()
    numbers = {line.split()[0]: line.split()[1:] for line in example if line.strip()}
    segment_ids = torch.tensor([[int(n) for n in numbers["segment_id"]]])
    first = next(n for n, line in enumerate(example) if line.startswith("      p  x"))
    drawn = [line[9:].ljust(30)[::3] for line in example[first : first + 10]]
    visible = block_mask(segment_ids)[0, 0] == 0
    assert ["".join("x" if v else " " for v in row) for row in visible.tolist()] == drawn


def test_positions_and_segments_are_the_drawn_ones() -> None:
    _, processor = tiny_model()
    turns = [Turn("Q?", "A."), Turn("Q?", "B.", text_only=True), Turn("Q?", "C.")]
    sequence = pack_sequence([7, 8, 9], turns, processor, PACKED)
    segments, positions = sequence["segment_ids"], sequence["position_ids"]
    assert torch.unique_consecutive(segments).tolist() == [0, 1, -3, 3]
    for segment, first in {0: 0, 1: 3, -3: 0, 3: 3}.items():
        own = positions[segments == segment].tolist()
        assert own == list(range(first, first + len(own)))


def test_only_answers_are_learned() -> None:
    _, processor = tiny_model()
    turn = Turn("What is there?", "A nodule.")
    sequence = pack_sequence(processor.prefix_ids(), [turn], processor, PACKED)
    learned = sequence["input_ids"][sequence["labels"] != -100].tolist()
    assert learned == processor.answer_ids("A nodule.")
    assert learned[-1] == processor.tokenizer.eos_token_id


def test_an_answer_counts_as_the_root_of_its_length() -> None:
    _, processor = tiny_model()
    settings = ConversationSettings(packed=True, max_length=2000, weighting="answer")
    turns = [Turn("Q?", "No."), Turn("Q?", "A much longer answer about many things.")]
    sequence = pack_sequence(processor.prefix_ids(), turns, processor, settings)
    for number, turn in enumerate(turns, start=1):
        weights = sequence["loss_weights"][sequence["segment_ids"] == number].sum().item()
        assert weights == pytest.approx(len(processor.answer_ids(turn.answer)) ** 0.5, abs=1e-4)


def test_the_words_that_an_answer_turns_on_count_more() -> None:
    _, processor = tiny_model()
    settings = ConversationSettings(packed=True, max_length=2000, detail_weight=4.0)
    decisive = decisive_ids(processor, {"small", "left"})
    turn = Turn("Where?", "Yes, left (small) nodule, small.")
    sequence = pack_sequence(processor.prefix_ids(), [turn], processor, settings, decisive)
    learned = sequence["labels"] != -100
    pieces = [processor.tokenizer.decode([i]) for i in sequence["labels"][learned].tolist()]
    heavy = [p for p, w in zip(pieces, sequence["loss_weights"][learned], strict=True) if w == 4]
    assert set(sequence["loss_weights"][learned].tolist()) == {1.0, 4.0}
    joined = "|".join(heavy)
    for word in ("Y", "l", "s"):
        assert any(piece.strip().startswith(word) for piece in heavy), (word, joined)
    assert all(piece.strip() for piece in heavy), "no blank of its own"
    assert not any("nod" in piece for piece in heavy), joined


@pytest.mark.parametrize("settings", [PACKED, SINGLE], ids=["packed", "single"])
def test_a_text_only_turn_equals_text_without_an_image(settings: ConversationSettings) -> None:
    model, processor = tiny_model()
    image_id = processor.image_token_id
    opening = [i for i in processor.prefix_ids() if i != image_id]
    alone = Turn("Sum up: a nodule.", "Nodule.", text_only=True)
    turns = [Turn("What is there?", "A nodule."), alone] if settings.packed else [alone]
    sequence = pack_sequence(processor.prefix_ids(), turns, processor, settings)
    batch = Collator(0, packed=settings.packed)([sequence])
    batch.pop("loss_weights")
    batch.pop("labels")
    pixel_values = torch.rand(1, 1, *model.config.vision_config.image_size)
    text = opening + processor.question_ids(alone.question) + processor.answer_ids(alone.answer)
    with torch.no_grad():
        packed = model(pixel_values=pixel_values, **batch).logits[0, -len(text) :]
        plain = model(input_ids=torch.tensor([text])).logits[0]
    assert torch.allclose(packed, plain, atol=1e-5)


def test_weighted_loss_with_equal_weights_is_the_plain_one() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 6, 11), torch.randint(0, 11, (2, 6))
    labels[0, :3] = -100
    plain = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, 11), labels[:, 1:].reshape(-1)
    )
    weights = torch.full((2, 5), 0.3)
    loss = weighted_cross_entropy(logits[:, :-1], labels[:, 1:], weights)
    assert loss.item() == pytest.approx(plain.item(), abs=1e-6)
