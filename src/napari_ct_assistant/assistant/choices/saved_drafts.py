"""Drafts that `ct-assistant report --json` wrote, read back to be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.assistant.choices.table import ChoicesError
from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import said

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.reading.results import ReportDraft

MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class SavedDraft:
    """A draft as it is compared: its sections, and which model wrote it about which scan."""

    sections: tuple[tuple[str, str], ...]
    model: str
    weights: str
    scan: str
    incomplete: str = ""

    @classmethod
    def of(cls, draft: ReportDraft, scan: str) -> SavedDraft:
        """Return a draft that a model wrote just now; hashing its weights may take a while."""
        return cls(
            tuple((name, plain(text)) for name, text in draft.sections.items()),
            draft.model.name,
            draft.model.weights_sha256,
            scan,
            draft.incomplete,
        )


def read_saved_draft(path: str | Path) -> SavedDraft:
    """Read the JSON of `ct-assistant report --json`.

    Raises
    ------
    ChoicesError
        If the file is not such a draft, or does not say of which scan it is.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise ChoicesError(said("{name}: larger than a report; it is not read", name=path.name))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        model = data["model"]
        made = SavedDraft(
            tuple((_text(name), _text(text)) for name, text in data["sections"].items()),
            _text(model["name"]),
            _text(model.get("weights_sha256") or ""),
            _text(data.get("scan") or ""),
            _text(data.get("incomplete") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ChoicesError(
            said(
                "{name}: no draft; write one with `ct-assistant report SCAN --json`", name=path.name
            )
        ) from None
    if not made.scan:
        raise ChoicesError(
            said(
                "{name}: does not say of which scan it is; write it again with this version",
                name=path.name,
            )
        )
    return made


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return plain(value)
