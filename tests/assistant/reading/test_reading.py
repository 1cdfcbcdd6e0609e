"""One scan read by the tiny model: streaming, cancel, cache, evidence, screen."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import GenerationSettings, ModelLoadError, Reading
from napari_ct_assistant.assistant.reading.results import CUT_NOTE
from napari_ct_assistant.backends.protocol import GeneratedText
from napari_ct_assistant.backends.volume_language import generation
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.questions import REPORT_QUESTION
from napari_ct_assistant.volume.dicom.instance_numbers import ArchiveNumber, InstanceNumbers
from tests.tiny_model import NOTICE, REPORT

QUESTION = "Does this image show signs of lung nodule?"


@pytest.fixture(scope="module")
def reading(tiny_model_folder: Path, small_volume: CTVolume) -> Reading:
    return load_assistant(tiny_model_folder, device="cpu").read(small_volume)


def test_streamed_pieces_make_the_report(reading: Reading) -> None:
    pieces: list[str] = []
    draft = reading.draft_report(on_text=pieces.append)
    joined = "".join(pieces)
    assert len(pieces) > 5
    assert joined == REPORT
    assert draft.sections == {
        "Findings": "The heart is enlarged. There is no pleural effusion.",
        "Impression": "Cardiomegaly.",
    }
    assert [(s.section, s.text) for s in draft.sentences] == [
        ("Findings", "The heart is enlarged."),
        ("Findings", "There is no pleural effusion."),
        ("Impression", "Cardiomegaly."),
    ]
    assert str(draft).endswith(f"[{NOTICE}]")
    assert not draft.stopped


def test_the_prefix_cache_changes_nothing(reading: Reading) -> None:
    model, processor = reading.backend.model, reading.backend.processor
    pixel_values, _ = processor.prepare_volume(reading.volume)
    ids = torch.tensor([processor.prefix_ids() + processor.question_ids(QUESTION)])
    plain = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=pixel_values,
        do_sample=False,
        max_new_tokens=processor.max_new_tokens,
    )
    expected = processor.tokenizer.decode(plain[0, ids.shape[1] :], skip_special_tokens=True)
    first = reading.ask(QUESTION)
    assert first.text == expected.strip()
    # The cache is as before: the second answer is the first.
    assert reading.ask(QUESTION).text == first.text


def test_a_folder_that_asks_for_no_cache_is_read_with_one(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training leaves such settings; words were then read against a cache that kept growing."""
    model = reading.backend.model
    monkeypatch.setattr(model.generation_config, "use_cache", False)
    monkeypatch.setattr(generation, "decodes", lambda _: False)  # it keeps a cache anyway
    lengths: list[int] = []

    def note(_: object, __: object, inputs: dict[str, torch.Tensor]) -> None:
        lengths.append(inputs["input_ids"].shape[1])

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        said = reading.ask(QUESTION, evidence=False).text
    finally:
        handle.remove()
    assert said == "Yes, in the right upper lobe."
    assert set(lengths[1:]) == {1}, "one new token at a time"


def test_cancel_keeps_what_was_written(reading: Reading) -> None:
    cancel = threading.Event()
    written: list[str] = []

    def on_text(piece: str) -> None:
        written.append(piece)
        cancel.set()

    draft = reading.draft_report(on_text=on_text, cancel=cancel)
    assert draft.stopped
    assert 0 < draft.tokens < reading.draft_report().tokens
    assert draft.text.strip() != ""


def test_screen_is_the_models_own_yes_against_no(reading: Reading) -> None:
    rows = reading.screen()
    assert tuple(row.name for row in rows) == FINDINGS
    model, processor = reading.backend.model, reading.backend.processor
    pixel_values, _ = processor.prepare_volume(reading.volume)
    yes, no = processor.answer_ids("Yes")[0], processor.answer_ids("No")[0]
    for name in (FINDINGS[0], FINDINGS[-1]):
        question = processor.finding_question.format(finding=name.lower())
        ids = torch.tensor([processor.prefix_ids() + processor.question_ids(question)])
        with torch.no_grad():
            logits = model(input_ids=ids, pixel_values=pixel_values).logits[0, -1, [yes, no]]
        expected = float(logits.softmax(0)[0])
        assert {r.name: r.probability for r in rows}[name] == pytest.approx(expected, abs=1e-5)


def test_a_cancelled_screen_stops(reading: Reading) -> None:
    cancel = threading.Event()
    cancel.set()
    assert reading.screen(cancel=cancel) == []


def test_the_scan_changes_the_answer(reading: Reading, small_volume: CTVolume) -> None:
    flipped = CTVolume(hu=small_volume.hu[:, :, ::-1].copy(), affine=small_volume.affine, series="")
    other = Reading(reading.backend, flipped)
    a = np.array([row.probability for row in reading.screen()])
    b = np.array([row.probability for row in other.screen()])
    assert np.abs(a - b).max() > 1e-4


def test_evidence_lies_in_the_scan(reading: Reading) -> None:
    answer = reading.ask(QUESTION)
    assert answer.support is not None
    assert answer.slice is not None
    assert answer.ras is not None
    assert 0 <= answer.slice < reading.volume.shape[0]
    row = reading.volume.ras_to_index(np.array(answer.ras))[0]
    assert answer.slice == int(np.clip(np.rint(row), 0, reading.volume.shape[0] - 1))


def test_a_refusal_has_no_place_in_the_scan(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated = GeneratedText("I can't tell that from this scan.", [5, 6, 7], 0.1, stopped=False)
    monkeypatch.setattr(reading, "_generate", lambda *_, **__: generated)
    answer = reading.ask(QUESTION)
    assert (answer.slice, answer.ras, answer.heat, answer.support) == (None, None, None, None)


def test_json_has_what_is_promised(reading: Reading) -> None:
    draft = json.loads(json.dumps(reading.draft_report().to_json()))
    assert {"report", "sections", "sentences", "model", "seconds"} <= draft.keys()
    assert {"name", "weights_sha256", "trained_on"} <= draft["model"].keys()
    assert len(draft["model"]["weights_sha256"]) == 64
    for sentence in draft["sentences"]:
        assert {"text", "support", "slice", "ras"} <= sentence.keys()
    answer = json.loads(json.dumps(reading.ask(QUESTION).to_json()))
    assert {"first_token", "total"} <= answer["seconds"].keys()


def test_a_scan_larger_than_the_box_is_said(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    large = CTVolume(
        hu=np.full((70, 20, 20), -1000, np.int16), affine=small_volume.affine, series=""
    )
    warnings = load_assistant(tiny_model_folder, device="cpu").read(large).warnings
    assert any(
        "sees only the middle of this scan: 320 of 560 mm head to feet" in warning
        for warning in warnings
    )


def test_a_closed_assistant_says_so(tiny_model_folder: Path, small_volume: CTVolume) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    reading = assistant.read(small_volume)
    assistant.close()
    for call in (lambda: reading.ask(QUESTION), lambda: assistant.read(small_volume)):
        with pytest.raises(ModelLoadError, match="was closed; load it again"):
            call()


def test_closing_frees_the_model_though_its_readings_are_kept(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    reading = assistant.read(small_volume)
    network, cache = weakref.ref(assistant.model), weakref.ref(reading.context.prefix_cache.cache)
    assistant.close()
    gc.collect()
    assert network() is None
    assert cache() is None
    assert reading.volume is small_volume


def test_what_the_model_cannot_judge_is_said(tmp_path: Path, small_volume: CTVolume) -> None:
    from tests.tiny_model import save_tiny_model

    folder = save_tiny_model(tmp_path / "m", unreliable_findings=["Lung nodule"])
    reading = load_assistant(folder, device="cpu").read(small_volume)
    assert [row.name for row in reading.screen() if not row.assessable] == ["Lung nodule"]
    assert any(
        "cannot reliably detect lung nodules; disregard" in w
        for w in reading.ask(QUESTION).warnings
    )
    assert not reading.ask("Is there emphysema?").warnings


def test_an_impression_is_asked_for_with_the_findings_that_were_written(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    reading = assistant.read(small_volume)
    whole, impression = REPORT_QUESTION, "Sum up: {findings}"
    assistant.processor.report_questions = {"Findings": whole, "Impression": impression}
    pieces: list[str] = []
    draft = reading.draft_report(on_text=pieces.append)
    findings = draft.sections["Findings"]
    assert findings == REPORT
    asked = f"Sum up: {findings}"
    assert assistant.processor.report_question("Impression", draft.sections) == asked
    alone = reading.ask(asked, text_only=True)
    assert draft.sections["Impression"] == alone.text
    assert alone.heat is None
    assert alone.support is None
    assert "".join(pieces) == f"Findings: {findings}\n\nImpression: {draft.sections['Impression']}"
    # Its evidence is that of the findings it repeats.
    traced = [s.support for s in draft.sentences if s.section == "Findings"]
    drawn = [s.support for s in draft.sentences if s.section == "Impression"]
    assert drawn
    assert set(drawn) <= {None, *traced}
    assert len(draft.heat) == len(draft.sentences)


def test_choices_may_be_answered_without_their_letter(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    reading = assistant.read(small_volume)
    processor = assistant.processor
    assert processor.choice_beginnings(["left", "both sides"]) == ["A", "B"]
    processor.choice_answer = "{choice}."
    assert processor.choice_beginnings(["left", "both sides"]) == ["Left", "Both sides"]
    weighed = reading.ask("Which?", choices=("left", "both sides")).choices
    asked = processor.choices_question("Which?", ("left", "both sides"))
    left, both = (
        sum(reading_log_likelihood(reading, asked, text)) for text in ("Left", "Both sides")
    )
    assert [choice for choice, _ in weighed] == ["left", "both sides"]
    assert weighed[0][1] == pytest.approx(1 / (1 + np.exp(both - left)), abs=1e-4)


def reading_log_likelihood(reading: Reading, question: str, answer: str) -> list[float]:
    """Return each token's log-likelihood from a pass without any cache."""
    model, processor = reading.backend.model, reading.backend.processor
    said = processor.answer_ids(answer)[:-1]
    ids = processor.prefix_ids() + processor.question_ids(question)
    pixel_values, _ = processor.prepare_volume(reading.volume)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids + said]), pixel_values=pixel_values).logits
    log_probabilities = logits[0, len(ids) - 1 : -1].log_softmax(-1)
    return [float(row[i]) for row, i in zip(log_probabilities, said, strict=True)]


def test_a_draft_cut_at_the_limit_says_so_and_has_no_impression(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    questions = {"Findings": REPORT_QUESTION, "Impression": "Sum up: {findings}"}
    assistant.processor.report_questions = questions
    reading = assistant.read(small_volume)
    draft = reading.draft_report(settings=GenerationSettings(max_new_tokens=5))
    assert draft.cut
    assert not draft.stopped
    assert set(draft.sections) == {"Findings"}
    assert str(draft).startswith(f"[{CUT_NOTE}]")
    assert next(iter(draft.to_json().items())) == ("complete", False)
    answer = reading.ask(QUESTION, settings=GenerationSettings(max_new_tokens=2))
    assert answer.cut
    assert str(answer).startswith(f"[{CUT_NOTE}]")
    assert not reading.ask(QUESTION).cut


def test_generation_settings_of_a_folder_do_not_shorten_a_report(
    tiny_model_folder: Path, tmp_path: Path, small_volume: CTVolume
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text())
    settings |= {"max_time": 1e-6, "stop_strings": ["heart"], "prompt_lookup_num_tokens": 3}
    file.write_text(json.dumps(settings | {"max_length": 9, "suppress_tokens": [5, 6, 7]}))
    draft = load_assistant(folder, device="cpu").read(small_volume).draft_report()
    assert draft.text.endswith("Cardiomegaly.")
    assert not draft.incomplete


def test_sentences_and_answers_name_the_dicom_image(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    count = small_volume.shape[0]
    numbers = InstanceNumbers(0, tuple(ArchiveNumber(900 - k) for k in range(count)))
    volume = replace(small_volume, instance_numbers=numbers)
    reading = load_assistant(tiny_model_folder, device="cpu").read(volume)
    texts = [s.to_json() for s in reading.draft_report().sentences]
    texts.append(reading.ask(QUESTION).to_json())
    assert any(text["slice"] is not None for text in texts)
    for text in texts:
        index = text["slice"]
        assert text["instance_number"] == (None if index is None else 900 - index)
        assert text["frame_number"] is None
