"""What a reader is told before trusting an output: findings and scans a model cannot assess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Reading
from napari_ct_assistant.assistant.reading.safety_notes import finding_notes
from napari_ct_assistant.backends.ood import OutOfDistributionDetector
from napari_ct_assistant.backends.scan_notes import OUTSIDE, outside_note
from napari_ct_assistant.report_text.findings import FINDINGS, in_a_sentence
from tests.assistant.report.report_samples import INFO
from tests.report_text.phrases import PHRASES, QUESTIONS

NODULE_ONLY = replace(INFO, unreliable_findings=("Lung nodule",))
EVERYTHING = replace(INFO, unreliable_findings=FINDINGS)


@pytest.mark.parametrize(("question", "findings"), QUESTIONS)
def test_a_question_about_an_unreliable_finding_is_noted(
    question: str, findings: tuple[str, ...]
) -> None:
    assert bool(finding_notes(NODULE_ONLY, question)) == ("Lung nodule" in findings)
    notes = finding_notes(EVERYTHING, question)
    assert len(notes) == len(findings)
    for name in findings:
        assert any(in_a_sentence(name) in note for note in notes)


def test_an_answer_that_names_an_unreliable_finding_is_noted() -> None:
    for phrase in PHRASES:
        notes = finding_notes(EVERYTHING, "What is there?", phrase.text)
        for name in (*phrase.affirmed, *phrase.denied, *phrase.open):
            assert any(in_a_sentence(name) in note for note in notes), (phrase.text, name)


def test_nothing_is_noted_of_a_model_that_assesses_everything() -> None:
    assert finding_notes(INFO, "Is there a lung nodule?", "Yes, a nodule.") == ()


def test_a_scan_outside_the_training_distribution_is_said(
    tiny_model_folder: Path, small_volume: CTVolume
) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    summaries = torch.randn(50, 2 * assistant.read(small_volume).vision_tokens.shape[-1])
    detector = OutOfDistributionDetector.fit(summaries * 1e-3 + 100)
    loaded = replace(assistant.backend, ood=detector)
    reading = Reading(loaded, small_volume)
    distance = detector.distance(reading.vision_tokens[0])
    assert distance > 1
    assert reading.warnings == (
        "This scan is outside the model's training distribution, nothing "
        f"({distance:.1f}x the threshold); treat the output as unreliable.",
    )


def test_a_chest_model_says_that_it_reads_an_abdomen(
    small_volume: CTVolume, tiny_model_folder: Path
) -> None:
    assistant = load_assistant(str(tiny_model_folder))
    abdomen = replace(small_volume, body_part="ABDOMEN")
    assert outside_note(assistant.read(abdomen).warnings) == (
        f"{OUTSIDE}: it shows the abdomen (body part ABDOMEN), and the model was trained on chest "
        "scans; treat the output as unreliable."
    )
    chest = replace(small_volume, body_part="CHEST")
    assert outside_note(assistant.read(chest).warnings) == ""
