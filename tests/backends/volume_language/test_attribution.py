"""Evidence and context against what plain forward passes of the tiny model give."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Reading
from napari_ct_assistant.backends.heat_map import HeatMap
from tests.tiny_model import REPORT

QUESTION = "Does this image show signs of lung nodule?"
SAID = "Yes, in the right upper lobe."


@pytest.fixture(scope="module")
def reading(tiny_model_folder: Path, small_volume: CTVolume) -> Reading:
    return load_assistant(tiny_model_folder, device="cpu").read(small_volume)


def log_likelihood(reading: Reading, question: str, said: str, image: torch.Tensor) -> float:
    """Without any cache: one forward pass over everything."""
    model, processor = reading.backend.model, reading.backend.processor
    answer = processor.answer_ids(said)[:-1]
    ids = torch.tensor([processor.prefix_ids() + processor.question_ids(question) + answer])
    with torch.no_grad():
        logits = model(inputs_embeds=model.embed(ids, image)).logits[0, -len(answer) - 1 : -1]
    target = torch.tensor(answer)[:, None]
    return float(logits.log_softmax(-1).gather(1, target).sum())


def test_support_is_the_likelihood_with_the_image_minus_without(reading: Reading) -> None:
    seen = log_likelihood(reading, QUESTION, SAID, reading.image_tokens)
    blind = log_likelihood(reading, QUESTION, SAID, torch.zeros_like(reading.image_tokens))
    assert abs(seen - blind) > 1e-3
    assert reading.evidence(QUESTION, SAID).support == pytest.approx(seen - blind, abs=1e-3)
    # In one batch with a longer statement: the padding changes nothing.
    batch = reading.support([(QUESTION, SAID), ("Write the report.", REPORT)])
    assert batch[0] == pytest.approx(seen - blind, abs=1e-3)


def test_the_heat_is_the_slope_towards_the_blind_image(reading: Reading) -> None:
    """A small step towards the blind keys and values lowers the likelihood by the attributions."""
    context, processor = reading.context.prefix_cache, reading.backend.processor
    question, answer = processor.question_ids(QUESTION), processor.answer_ids(SAID)[:-1]
    (found,) = reading.context.attributor.gradients(question, answer, [(0, len(answer))])
    assert found is not None
    assert found.attributions is not None
    step = 1e-2
    likelihood = []
    for sign in (1, -1):
        cache = copy.deepcopy(reading.context.prefix_cache.cache)
        for layer, blind in zip(cache.layers, context.blind_cache().layers, strict=True):
            where = context.is_image
            for tensor, without in ((layer.keys, blind.keys), (layer.values, blind.values)):
                tensor[:, :, where] += sign * step * (without - tensor)[:, :, where]
        with torch.no_grad():
            (row,) = context.log_likelihoods([(question, answer)], cache)
        likelihood.append(float(row.sum()))
    slope = (likelihood[1] - likelihood[0]) / (2 * step)
    assert float(found.attributions.sum()) == pytest.approx(slope, rel=0.02, abs=1e-3)


def test_tracing_leaves_the_model_and_the_cache_as_they_were(reading: Reading) -> None:
    model = reading.backend.model
    before = [layer.keys.clone() for layer in reading.context.prefix_cache.cache.layers]
    assert all(parameter.requires_grad for parameter in model.parameters())
    reading.evidence(QUESTION, SAID)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    for layer, keys in zip(reading.context.prefix_cache.cache.layers, before, strict=True):
        assert torch.equal(layer.keys, keys)
        assert not layer.keys.requires_grad


def test_without_memory_for_the_heat_the_support_stays(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reading.evidence(QUESTION, SAID)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(reading.context.attributor, "gradients", full)
    found = reading.evidence(QUESTION, SAID)
    assert found.support == pytest.approx(expected.support)
    assert found.heat is None
    assert found.slice is None


def test_a_report_brings_a_heat_map_for_each_sentence(reading: Reading) -> None:
    draft = reading.draft_report()
    assert len(draft.heat) == len(draft.sentences) == 3
    for sentence, heat in zip(draft.sentences, draft.heat, strict=True):
        if heat is not None:
            assert heat.values.shape == (2, 2, 2)
            assert heat.values.max() == 1
            assert sentence.ras == heat.hottest


def test_the_heat_map_lies_where_the_models_box_lies(reading: Reading) -> None:
    values = np.zeros((2, 2, 2), np.float32)
    values[1, 0, 1] = 3.0
    affine = reading.context.attributor.token_affine
    heat = HeatMap.from_attributions(values, affine)
    assert heat is not None
    # Two image tokens along each axis: their centres lie a quarter of the box off its middle.
    middle = reading.volume.index_to_ras((np.array(reading.volume.shape) - 1) / 2)
    mm = np.array(reading.grid.shape) * reading.grid.spacing / 4  # I, P, L
    expected = middle + np.array([-mm[2], mm[1], -mm[0]])
    np.testing.assert_allclose(heat.hottest, expected, atol=0.06)
    assert heat.value_at(expected + 5) == 1
    assert heat.value_at(middle + np.array([mm[2], 0, 0])) == 0
    assert heat.value_at(middle + 1000) == 0
    assert HeatMap.from_attributions(-values, affine) is None
    assert HeatMap.from_attributions(values * np.nan, affine) is None


def test_the_baseline_is_what_is_said_of_no_scan(reading: Reading, small_volume: CTVolume) -> None:
    flipped = CTVolume(hu=small_volume.hu[:, :, ::-1].copy(), affine=small_volume.affine, series="")
    rows, others = reading.screen(), Reading(reading.backend, flipped).screen()
    assert [r.baseline for r in rows] == pytest.approx([r.baseline for r in others], abs=1e-6)
    blind = reading.without_image()
    assert [r.baseline for r in rows] == pytest.approx(
        [r.probability for r in blind.screen()], abs=1e-6
    )
    assert {r.threshold for r in rows} == {0.5}


def test_follow_ups_carry_what_was_said_as_far_as_it_fits(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    reading = load_assistant(tiny_model_folder, device="cpu").read(small_volume)
    processor = reading.backend.processor
    turns = [("Is there a nodule?", "Yes."), ("Where?", "On the right.")]
    alone = reading.ask("How large?", history=turns)
    assert alone.history_turns == 0  # the tiny model takes single questions
    with pytest.raises(ValueError, match="single questions only"):
        processor.dialogue_ids(turns, "How large?")

    processor.follow_up = "{question}\n"
    ids = processor.dialogue_ids(turns, "How large?")
    text = processor.tokenizer.decode(ids)
    places = [text.index(part) for part in ("nodule", "Yes", "Where", "right", "How large")]
    assert places == sorted(places)
    assert ids.count(processor.tokenizer.eos_token_id) == 2
    assert reading.ask("How large?", history=turns).history_turns == 2
    # The oldest turn goes when the context window (512 tokens) is full.
    long = [("word " * 300, "Yes."), *turns]
    assert reading.ask("How large?", history=long).history_turns == 2


def test_choices_are_weighed_by_their_letters(reading: Reading) -> None:
    answer = reading.ask("On which side?", choices=("left", "right", "both"))
    assert [choice for choice, _ in answer.choices] == ["left", "right", "both"]
    assert sum(p for _, p in answer.choices) == pytest.approx(1)
    assert answer.to_json()["choices"][1]["choice"] == "right"


def test_a_region_reaches_only_a_model_that_was_taught_regions(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    reading = load_assistant(tiny_model_folder, device="cpu").read(small_volume)
    plain = reading.ask(QUESTION)
    assert not reading.ask(QUESTION, region="mean 40 HU").region_used
    assert reading.ask(QUESTION, region="mean 40 HU").text == plain.text
    reading.backend.processor.region_form = "{question} Region: {region}."
    told = reading.ask(QUESTION, region="mean 40 HU")
    assert told.region_used
    assert told.question == QUESTION
