"""What a reader should know about a model before trusting its output."""

from __future__ import annotations

from napari_ct_assistant.backends.model_info import UNTAUGHT_WORDS, ModelInfo
from napari_ct_assistant.report_text.finding_mentions import named_findings
from napari_ct_assistant.report_text.findings import in_a_sentence


def finding_notes(info: ModelInfo, *texts: str) -> tuple[str, ...]:
    """Return a note for each finding in the texts that the model cannot reliably detect.

    Any usual word for a finding counts (`report_text.finding_terms`), affirmed or denied.
    """
    named = {name for text in texts for name in named_findings(text)}
    return tuple(
        f"This model cannot reliably detect {in_a_sentence(name)}; "
        "disregard what it says about this finding."
        for name in info.unreliable_findings
        if name in named
    )


def untaught_notes(info: ModelInfo, kind: str) -> tuple[str, ...]:
    """Return a note if the model was not taught a kind of question (`ModelInfo.untaught`)."""
    if kind not in info.untaught:
        return ()
    return (f"This model was not taught {UNTAUGHT_WORDS[kind]}; disregard what it says here.",)
