"""The findings' names, and how they read in a sentence."""

from __future__ import annotations

from napari_ct_assistant.report_text import findings
from napari_ct_assistant.report_text.findings import FINDINGS, in_a_sentence


def test_names_read_well_after_a_verb() -> None:
    assert in_a_sentence("Lung nodule") == "lung nodules"
    assert in_a_sentence("Pleural effusion") == "a pleural effusion"
    assert in_a_sentence("Emphysema") == "emphysema"


def test_only_findings_have_a_wording() -> None:
    assert set(findings._IN_A_SENTENCE) <= set(FINDINGS)
