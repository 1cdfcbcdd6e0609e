"""A drafted report for tests, as the demonstration model writes them."""

from __future__ import annotations

from typing import Any

from napari_ct_assistant.assistant import ModelInfo, ReportDraft, Sentence

INFO = ModelInfo("demo", "synthetic chest phantoms", "Not for clinical use.")
SENTENCES = (
    Sentence("Trachea and both main bronchi are open.", "Findings", -0.3, 9, (49.4, -188.6, 20.0)),
    Sentence("Heart size is increased, mild cardiomegaly.", "Findings", 8.2, 12, (1.4, -9.0, 0.0)),
    Sentence(
        "There is a nodule of 1.5 cm in the right lung.", "Findings", 0.6, 3, (40.0, 1.0, 9.0)
    ),
    Sentence("Severe cardiomegaly.", "Impression", 1.4, 12, (1.4, -9.0, 0.0)),
)


def sample_draft(*sentences: Sentence, **changes: Any) -> ReportDraft:
    """Return a draft of the given sentences, or of four usual ones."""
    settings: dict[str, Any] = {
        "sections": {},
        "sentences": sentences or SENTENCES,
        "model": INFO,
        "seconds": {"total": 1.25},
        "tokens": 40,
        "stopped": False,
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"napari-ct-assistant": "0.1.0"},
        "settings": {"temperature": 0.0},
        "warnings": ("The model sees the middle of this scan only.",),
    }
    return ReportDraft(**(settings | changes))
