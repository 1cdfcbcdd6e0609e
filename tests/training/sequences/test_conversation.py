"""Packed training sequences have the loss of as many separate ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ct_assistant.phantoms import draw_truth
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.sequences.conversation import (
    Collator,
    Turn,
    block_mask,
    choose_turns,
    decisive_ids,
    pack_sequence,
    report_turns,
)
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


def test_turns_do_not_see_each_other() -> None:
    segments = torch.tensor([[0, 0, 1, 1, 2, 2, -1]])
    visible = block_mask(segments)[0, 0] == 0
    assert visible[3].tolist() == [True, True, True, True, False, False, False]
    assert visible[5].tolist() == [True, True, False, False, True, True, False]
    assert visible[6, 6]  # a padded row is not empty


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
        weights = sequence["loss_weights"][sequence["segments"] == number].sum().item()
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


def test_turns_are_balanced() -> None:
    settings = ConversationSettings(questions=12, positives=0.5)
    yes = no = 0
    for seed in range(40):
        truth = draw_truth(seed)
        turns = choose_turns(truth.report, truth.questions, settings, np.random.default_rng(seed))
        assert turns[0].answer == truth.report
        assert len(turns) == 13
        yes += sum(t.answer.startswith("Yes") for t in turns)
        no += sum(t.answer.startswith("No") for t in turns)
    assert 0.3 < yes / (yes + no) < 0.6


def test_an_impression_is_that_of_the_findings_it_is_given() -> None:
    report = "Findings: A nodule. No effusion. Impression: Nodule."
    other = "Findings: An effusion. Impression: Effusion."
    two = ConversationSettings(impressions=1)
    assert report_turns(report, [other], two) == [
        Turn("Describe the findings of this chest CT.", "A nodule. No effusion."),
        Turn("Sum up these findings as an impression: An effusion.", "Effusion.", text_only=True),
    ]
    assert report_turns(report, [other], ConversationSettings()) == [
        Turn("Write the radiology report of this chest CT.", report)
    ]
    # Without an impression to learn, it stays one turn.
    assert [t.answer for t in report_turns("A nodule.", ["A nodule."], two)] == ["A nodule."]


def test_shuffled_findings_are_summed_up_as_the_same() -> None:
    other = "Findings: An effusion. A nodule, large. Scars. Impression: Effusion. Nodule, large."
    settings = ConversationSettings(impressions=8, shuffled=0.5)
    rng = np.random.default_rng(0)
    _, *turns = report_turns(other, [other] * 40, settings, rng)
    asked = "Sum up these findings as an impression: "
    given = [turn.question.removeprefix(asked) for turn in turns]
    in_order = "An effusion. A nodule, large. Scars."
    assert 8 < given.count(in_order) < 35
    assert len(set(given)) > 3
    for text in given:
        assert sorted(s.strip(".") for s in text.split(". ")) == [
            "A nodule, large",
            "An effusion",
            "Scars",
        ]
    assert {turn.answer for turn in turns} == {"Effusion. Nodule, large."}
    assert [t.question for t in report_turns(other, [other] * 9, settings)[1:]] == [
        asked + in_order
    ] * 9, "a data set's own reports are asked for as they stand"


@pytest.mark.parametrize("settings", [PACKED, SINGLE], ids=["packed", "single"])
def test_a_turn_that_stands_alone_is_text_alone(settings: ConversationSettings) -> None:
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
