"""The provenance of a report in words: who signed it, which models wrote what, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from napari_ct_assistant.assistant.report.parts import DraftInfo, Signature, State

_COUNTED: Final[dict[State, str]] = {
    "draft": "not reviewed",
    "own": "written by the reader",
    "template": "from the template",
}
_STEPS: Final = {
    "prepare": "preparing the scan",
    "encode": "encoding",
    "prefix": "reading the image",
    "first_token": "first word",
    "generate": "writing",
    "evidence": "evidence",
    "total": "in all",
}


def local_time(iso: str) -> str:
    """Return an ISO time as the reader's clock shows it: "2026-01-02 04:04 (UTC+01:00)".

    A text that is no time is returned as it is.
    """
    try:
        when = datetime.fromisoformat(iso).astimezone()
    except ValueError:
        return iso
    offset = f"{when:%z}"
    return f"{when:%Y-%m-%d %H:%M} (UTC{offset[:3]}:{offset[3:5]})"


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """Return how the words were chosen, without what was left to the model."""
    temperature = settings.get("temperature")
    parts = []
    if temperature is not None:
        sampled = f"words drawn at random, temperature {temperature:g}"
        if temperature and settings.get("top_p", 1) != 1:
            sampled += f", from the likeliest {settings['top_p']:.0%}"
        parts.append(sampled if temperature else "the likeliest words")
    if settings.get("repetition_penalty", 1) != 1:
        parts.append(f"repetition penalty {settings['repetition_penalty']:g}")
    if settings.get("max_new_tokens"):
        parts.append(f"at most {settings['max_new_tokens']} tokens")
    if settings.get("thinking") is not None:
        parts.append("with reasoning" if settings["thinking"] else "without reasoning")
    known = ("temperature", "top_p", "repetition_penalty", "max_new_tokens", "thinking")
    others = {k: v for k, v in settings.items() if k not in known and v is not None}
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in others.items()]
    return ", ".join(parts)


def provenance_rows(
    status: str,
    signed: Signature | None,
    drafts: Sequence[DraftInfo],
    counts: Mapping[State, int],
) -> list[tuple[str, str]]:
    """Return the provenance of a report as pairs of a name and a value; warnings come first.

    Parameters
    ----------
    counts
        How many sentences are in each state.
    """
    rows: list[tuple[str, str]] = []
    for draft in drafts:
        rows += [("Draft", draft.incomplete), *(("Warning", text) for text in draft.warnings)]
    rows = list(dict.fromkeys(rows))
    rows.append(("Status", status))
    if signed is not None:
        rows += [
            ("Signed off by", signed.name),
            ("Signed at", local_time(signed.time)),
            ("Organisation", signed.organization),
        ]
    for number, draft in enumerate(drafts, 1):
        which = f" (draft {number})" if len(drafts) > 1 else ""
        model = draft.model
        rows += [
            (f"Model{which}", model.get("name", "")),
            ("Server", model.get("server", "")),
            ("Model on the server", model.get("served_model", "")),
            ("Revision on the server", model.get("revision", "")),
            ("Server's engine", model.get("engine", "")),
            ("Wrote", "the impression" if draft.kind == "impression" else ""),
            ("Trained on", model.get("trained_on", "")),
            ("Weights SHA-256", model.get("weights_sha256", "")),
            ("Settings SHA-256", model.get("settings_sha256", "")),
            ("Model's notice", model.get("notice", "")),
            ("Drafted at", local_time(draft.created)),
            ("Versions", ", ".join(f"{k} {v}" for k, v in draft.versions.items())),
            ("Settings", settings_in_words(draft.settings)),
            ("Times", _times(draft.seconds)),
        ]
    shown = [f"{n} {_COUNTED.get(state, state)}" for state, n in counts.items() if n]
    rows.append(("Sentences", ", ".join(shown)))
    return [(name, value) for name, value in rows if value]


def _times(seconds: Mapping[str, float]) -> str:
    return ", ".join(
        f"{_STEPS.get(step, step.replace('_', ' '))} {value:.1f} s"
        for step, value in seconds.items()
    )
