"""What is kept of the slices answers as the stock model does from the whole conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Assistant, GenerationSettings, Reading
from napari_ct_assistant.backends.slice_model import sizes, vision
from napari_ct_assistant.backends.slices import SliceRange, conversation, find_preset
from tests.backends.slice_model.tiny_models import save_tiny_model

KINDS = ("gemma3", "gemma4", "qwen2_5_vl", "qwen3_vl")
QUESTION = "Is there a pleural effusion?"
SHORT = GenerationSettings(max_new_tokens=8)


@pytest.fixture(scope="module", params=KINDS)
def assistant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Assistant:
    folder = save_tiny_model(tmp_path_factory.mktemp(request.param) / "tiny", request.param)
    return load_assistant(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def reading(assistant: Assistant, small_volume: CTVolume) -> Reading:
    return assistant.read(small_volume, slices=SliceRange(10, 30, 9))


def whole(reading: Reading, question: str, history: list[tuple[str, str]] | None = None) -> Any:
    """Return the stock model's input of a conversation, slices and all."""
    processor = reading.backend.processor
    images = reading.context.scan.pixel_values
    messages = conversation(
        processor.preset,
        len(images),
        question,
        region=reading.context.scan.region,
        history=history or [],
    )
    return processor(messages, images=images)


def anew(reading: Reading, feature: Any) -> list[int]:
    made = reading.backend.model.generate(**feature, max_new_tokens=8, do_sample=False)
    return made[0, feature["input_ids"].shape[1] :].tolist()


def test_an_answer_is_the_stock_models(reading: Reading) -> None:
    for history in ([], [(QUESTION, "No."), ("And a nodule?", "Yes, in SLICE 3.")]):
        prompt = reading.context.prompt("Where is it?", history=history)
        kept = reading.context.generate(prompt, settings=SHORT).ids
        stock = anew(reading, whole(reading, "Where is it?", history))
        ends = reading.backend.processor.special.end
        assert kept == [token for token in stock if token not in ends]
        assert prompt.history_turns == len(history)


def test_the_screen_is_the_stock_models(reading: Reading) -> None:
    special = reading.backend.processor.special
    for row, asked in zip(reading.screen()[:3], reading.context.screen_questions(), strict=False):
        with torch.no_grad():
            logits = reading.backend.model(**whole(reading, asked.question)).logits[0, -1]
        pair = [logits[list(ids)].logsumexp(0) for ids in (special.yes, special.no)]
        assert row.probability == pytest.approx(float(torch.stack(pair).softmax(0)[0]), abs=1e-5)


def test_support_is_the_stock_models(reading: Reading) -> None:
    answer = reading.context.answer_ids("Yes, on the left.")
    feature = whole(reading, QUESTION)
    begin = feature["input_ids"].shape[1] - 1
    rows = []
    for images in (None, 0):
        given = dict(feature)
        if images == 0:
            blank = [np.zeros_like(image) for image in reading.context.scan.pixel_values]
            given |= reading.backend.processor.pixels(blank)
        given["input_ids"] = torch.cat([feature["input_ids"], torch.tensor([answer])], 1)
        kind = reading.backend.processor.special.type_key
        given[kind] = torch.nn.functional.pad(feature[kind], (0, len(answer)))
        del given["attention_mask"]
        with torch.no_grad():
            scores = reading.backend.model(**given).logits[0].log_softmax(-1)
        target = torch.tensor(answer)[:, None]
        rows.append(float(scores[begin : begin + len(answer)].gather(1, target).sum()))
    support = reading.support([(QUESTION, "Yes, on the left.")])[0]
    assert support == pytest.approx(rows[0] - rows[1], abs=1e-3)


def test_slices_in_pieces_are_slices_at_once(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = reading.context.scan.pixel_values
    pieces = vision.encode_slices(reading.backend.model, reading.backend.processor, images)
    monkeypatch.setattr(vision, "CHUNK", len(images))
    once = vision.encode_slices(reading.backend.model, reading.backend.processor, images)
    for a, b in zip(pieces.pooled, once.pooled, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert [len(layer) for layer in pieces.deepstack] == [len(layer) for layer in once.deepstack]


def test_shares_belong_to_the_shown_slices(reading: Reading, small_volume: CTVolume) -> None:
    answers = ("No.", "Yes.", "Yes, in SLICE 4.")
    found = max((reading.evidence(QUESTION, one) for one in answers), key=lambda e: max(e.shares))
    shown = reading.context.scan.slices
    assert shown == reading.backend.processor.preset.choose(40, SliceRange(10, 30, 9))
    assert len(shown) == 9
    assert found.heat is not None
    assert found.heat.values.shape == (shown[-1] - shown[0] + 1, 1, 1)
    values = found.heat.values.ravel()
    lit = {int(i) + shown[0] for i in np.flatnonzero(values)}
    assert lit <= set(shown)
    assert found.slice in shown
    assert values[found.slice - shown[0]] == 1
    # The middle of the slice.
    row = small_volume.ras_to_index(found.ras)
    assert row[0] == pytest.approx(found.slice, abs=0.01)


def test_shares_add_up_to_the_support(reading: Reading) -> None:
    context = reading.context
    prompt = context.prompt(QUESTION)
    text = "Yes, in SLICE 4. No nodule."
    ids = context.answer_ids(text)
    found = context.attribute(prompt, ids, [(0, 16), (16, len(text)), (0, len(text)), (3, 3)])
    for one in found[:3]:
        assert len(one.shares) == len(context.scan.slices)
        assert one.support is not None
        assert sum(one.shares) == pytest.approx(one.support, rel=0.02, abs=0.02)
    assert found[3].support is None
    assert found[3].shares == ()


def test_slices_without_content_have_no_share(assistant: Assistant) -> None:
    """Four slices of air, then two of a body: all is read from these, and blind is air alone."""
    hu = np.full((6, 40, 40), -1024, np.int16)
    hu[4:, 8:32, 8:32] = np.random.default_rng(0).integers(-200, 300, (2, 24, 24))
    affine = np.diag([-5.0, -2.0, -2.0, 1.0])[[2, 1, 0, 3]]
    reading = assistant.read(CTVolume(hu, affine))
    assert [image.any() for image in reading.context.scan.pixel_values] == [False] * 4 + [True] * 2
    found = reading.evidence(QUESTION, "Yes, in SLICE 5.")
    np.testing.assert_allclose(found.shares[:4], 0, atol=1e-5)
    assert np.abs(found.shares[4:]).max() > 1e-3
    assert sum(found.shares) == pytest.approx(found.support, rel=0.02, abs=0.02)
    air = assistant.read(CTVolume(np.full_like(hu, -1024), affine))
    nothing = air.evidence(QUESTION, "Yes, in SLICE 5.")
    assert nothing.support == pytest.approx(0, abs=1e-4)
    assert nothing.slice is None


def test_tokens_before_loading_are_the_image_processors(assistant: Assistant) -> None:
    processor = assistant.processor
    config = assistant.model.config.to_dict()
    settings = processor.image_processor.to_dict()
    for rows, columns in ((512, 512), (60, 50), (40, 64), (300, 200)):
        made = processor.tokens_of(processor.pixels([np.zeros((rows, columns, 3), np.uint8)]))
        assert sizes.slice_tokens(config, settings, rows, columns) == made[0]


def test_what_was_looked_at_is_said(reading: Reading) -> None:
    first = min(reading.scan.slices) + 1
    assert f"It looked at 9 of 40 slices, images {first} to 30, " in reading.warnings[0]
    assert "sees no millimetres" in reading.warnings[0]
    assert "no size" in reading.info.notice
    answer = reading.ask(QUESTION, settings=SHORT, evidence=False)
    assert answer.slices == reading.scan.slices
    told = answer.to_json()["slices"]
    assert told[0] == {"label": 1, "slice": first - 1, "image_number": first}


def published() -> Iterator[tuple[str, dict[str, Any], int, int]]:
    """Yield tokens of one slice as the released models make them (run with their settings)."""
    qwen = {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12845056}
    for side, tokens in ((512, 324), (768, 729), (1024, 1369)):
        yield "qwen2_5_vl", qwen, side, tokens
    for side, tokens in ((512, 256), (1024, 1024)):
        yield "qwen3_vl", qwen | {"patch_size": 16}, side, tokens
    for budget, tokens in ((70, 64), (140, 121), (280, 256), (560, 529), (1120, 1089)):
        gemma = {"patch_size": 16, "pooling_kernel_size": 3, "max_soft_tokens": budget}
        yield "gemma4", gemma, 512, tokens
    yield "gemma3", {}, 512, 256


@pytest.mark.parametrize(("kind", "settings", "side", "tokens"), list(published()))
def test_tokens_of_the_released_models(
    kind: str, settings: dict[str, Any], side: int, tokens: int
) -> None:
    assert sizes.slice_tokens({"model_type": kind}, settings, side, side) == tokens


def test_medgemma_needs_room_for_85_slices() -> None:
    """MedGemma 1.5 4B: 256 tokens a slice; 5 of 34 layers keep all of them."""
    config = {
        "model_type": "gemma3",
        "mm_tokens_per_image": 256,
        "text_config": {
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 5
            + ["sliding_attention"] * 4,
            "sliding_window": 1024,
            "intermediate_size": 10_240,
            "max_position_embeddings": 131_072,
        },
    }
    tokens = sizes.longest_prompt(config, {}, find_preset("medgemma-1.5"))
    assert 85 * 256 < tokens < 26_000
    counts = sizes.model_counts({"x": (4_300_000_000,)}, config, tokens)
    need = counts.need(2, tokens=tokens)
    assert need.weights == 8_600_000_000
    cache = need.cache - counts.working
    assert 0.45e9 < cache / counts.copies < 0.65e9
    assert counts.working > 2 * tokens**2


@pytest.mark.parametrize("kind", ["gemma3", "qwen2_5_vl"])
def test_a_question_before_the_slices(kind: str, tmp_path: Path, small_volume: CTVolume) -> None:
    folder = save_tiny_model(tmp_path / "tiny", kind)
    text = (
        "name: first\nwindows: [[-160, 240]]\nslices: 3\nrule: even\nquestion_position: first\n"
        "label_position: before\nreport_question: Describe it.\n"
    )
    (folder / "slice_preset.yaml").write_text(text)
    assistant = load_assistant(folder, device="cpu", dtype="float32")
    assert assistant.processor.preset.name == "first"
    reading = assistant.read(small_volume)
    for question in (QUESTION, "A nodule?", QUESTION):
        prompt = reading.context.prompt(question)
        kept = reading.context.generate(prompt, settings=SHORT).ids
        ends = assistant.processor.special.end
        assert kept == [t for t in anew(reading, whole(reading, question)) if t not in ends]
    assert len(reading.screen()) == 18
