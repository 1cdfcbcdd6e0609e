"""An impression's sentences have the evidence of the findings that they repeat."""

from __future__ import annotations

import numpy as np

from napari_ct_assistant.assistant.evidence.impression import closest, impression_evidence
from napari_ct_assistant.assistant.reading.results import Sentence
from napari_ct_assistant.backends.heat_map import HeatMap
from napari_ct_assistant.phantoms import draw_truth, parse_report
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import split_sentences

FINDINGS = (
    "Calcification is seen in the walls of the coronary arteries, severe.",
    "There is a consolidation in the right upper lobe, large in extent.",
    "A nodule is seen in the right upper lobe, small.",
    "No pleural effusion is seen.",
)


def test_the_closest_says_most_of_it() -> None:
    assert closest("Coronary artery calcification, severe.", FINDINGS) == 0
    assert closest("Small nodule, right upper lobe.", FINDINGS) == 2
    assert closest("Consolidation of the right upper lobe.", FINDINGS) == 1
    assert closest("Normal chest CT.", FINDINGS) is None
    assert closest("", FINDINGS) is None
    assert closest("Nodule.", ()) is None


def test_evidence_comes_along() -> None:
    map_ = HeatMap(np.ones((1, 1, 1), np.float32), np.eye(4))
    sources = [
        Sentence(text, section="Findings", support=float(n), slice=n, ras=(0.0, 0.0, float(n)))
        for n, text in enumerate(FINDINGS)
    ]
    made = impression_evidence(
        "Nodule of the right upper lobe. Something else entirely.",
        "Impression",
        sources,
        [None, None, map_, None],
    )
    (nodule, heat), (other, none) = made
    assert (nodule.text, nodule.section) == ("Nodule of the right upper lobe.", "Impression")
    assert (nodule.support, nodule.slice, nodule.ras) == (2.0, 2, (0.0, 0.0, 2.0))
    assert heat is map_
    assert other == Sentence("Something else entirely.", section="Impression")
    assert none is None


def test_phantom_reports_find_their_own_findings() -> None:
    right = total = 0
    for seed in range(100):
        sections = split_sections(draw_truth(seed).report)
        findings = sections["Findings"]
        sentences = split_sentences(findings)
        for said in split_sentences(sections["Impression"]):
            about = parse_report(f"Findings: {said}").present
            at = closest(said, sentences)
            if about:
                total += 1
                right += (
                    at is not None and about <= parse_report(f"Findings: {sentences[at]}").present
                )
    assert total > 300
    assert right / total > 0.95
