"""One scan read by one model: reports, answers, findings and their evidence.

Importing this package takes no time; torch and transformers are imported by `load_assistant`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.assistant.reading.results import (
    Answer,
    FindingProbability,
    ReportDraft,
    Sentence,
)
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.errors import ModelLoadError

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.assistant import Assistant
    from napari_ct_assistant.assistant.models.loading import load_assistant
    from napari_ct_assistant.assistant.reading.reading import Reading

_HOME = {
    "Assistant": "assistant",
    "load_assistant": "models.loading",
    "Reading": "reading.reading",
}

__all__ = [
    "Answer",
    "Assistant",
    "FindingProbability",
    "GenerationSettings",
    "ModelInfo",
    "ModelLoadError",
    "Reading",
    "ReportDraft",
    "Sentence",
    "load_assistant",
]


def __getattr__(name: str) -> Any:
    """Import `name` (and torch) on first use (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
