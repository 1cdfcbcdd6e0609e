"""Read CT volumes in napari beside a 3D vision-language model.

The names a script needs are here; they are imported when first used, so that
importing the package (as napari does at start-up) costs nothing and never
imports torch.

>>> from napari_ct_assistant import open_ct, load_assistant
>>> reading = load_assistant("demo").read(open_ct("scan.nii.gz"))  # doctest: +SKIP
>>> print(reading.draft_report())  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Assistant, Reading, ReportDraft, load_assistant
    from napari_ct_assistant.support.errors import CTAssistantError
    from napari_ct_assistant.volume import CTReadError, CTVolume, list_series, open_ct

__version__ = "0.1.0"

__all__ = [
    "Assistant",
    "CTAssistantError",
    "CTReadError",
    "CTVolume",
    "Reading",
    "ReportDraft",
    "__version__",
    "list_series",
    "load_assistant",
    "open_ct",
]

_HOME = {
    "Assistant": "assistant",
    "Reading": "assistant",
    "ReportDraft": "assistant",
    "load_assistant": "assistant",
    "CTAssistantError": "support.errors",
    "CTReadError": "volume",
    "CTVolume": "volume",
    "list_series": "volume",
    "open_ct": "volume",
}


def __getattr__(name: str) -> Any:
    """Import `name` from its floor on first use (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
