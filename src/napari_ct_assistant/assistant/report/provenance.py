"""The provenance of a report in words: who signed it, which models wrote what, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from napari_ct_assistant.assistant.report.parts import DraftInfo, Signature, State
from napari_ct_assistant.support.translation import N_, Day, said, together

_COUNTED: Final[dict[State, str]] = {
    "draft": N_("not reviewed"),
    "own": N_("written by the reader"),
    "template": N_("from the template"),
    "accepted": N_("accepted"),
    "edited": N_("edited"),
    "rejected": N_("rejected"),
}
_STEPS: Final = {
    "prepare": N_("preparing the scan"),
    "encode": N_("encoding"),
    "prefix": N_("reading the image"),
    "first_token": N_("first word"),
    "generate": N_("writing"),
    "evidence": N_("evidence"),
    "total": N_("in all"),
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
    return said(
        "{date} {time} (UTC{offset})",
        date=Day(f"{when:%Y-%m-%d}"),
        time=f"{when:%H:%M}",
        offset=f"{offset[:3]}:{offset[3:5]}",
    )


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """Return how the words were chosen, without what was left to the model."""
    temperature = settings.get("temperature")
    parts: list[str] = []
    if temperature is not None:
        if temperature:
            value = f"{temperature:g}"
            parts.append(said("words drawn at random, temperature {value}", value=value))
        else:
            parts.append(said("the likeliest words"))
        if temperature and settings.get("top_p", 1) != 1:
            parts.append(said("from the likeliest {share}", share=f"{settings['top_p']:.0%}"))
    if settings.get("repetition_penalty", 1) != 1:
        value = f"{settings['repetition_penalty']:g}"
        parts.append(said("repetition penalty {value}", value=value))
    if settings.get("max_new_tokens"):
        parts.append(said("at most {count} tokens", count=settings["max_new_tokens"]))
    if settings.get("thinking") is not None:
        thinking = settings["thinking"]
        parts.append(said("with reasoning") if thinking else said("without reasoning"))
    known = ("temperature", "top_p", "repetition_penalty", "max_new_tokens", "thinking")
    others = {k: v for k, v in settings.items() if k not in known and v is not None}
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in others.items()]
    return together(*parts, between=", ")


def provenance_rows(
    status: str,
    signed: Signature | None,
    drafts: Sequence[DraftInfo],
    counts: Mapping[State, int],
) -> list[tuple[str, str]]:
    """Return the provenance of a report as pairs of a name and a value; warnings come first.

    Both are English; `shown` translates them where a reader sees them.

    Parameters
    ----------
    counts
        How many sentences are in each state.
    """
    rows: list[tuple[str, str]] = []
    for draft in drafts:
        rows += [
            (N_("Draft"), draft.incomplete),
            *((N_("Warning"), text) for text in draft.warnings),
        ]
    rows = list(dict.fromkeys(rows))
    rows.append((N_("Status"), status))
    if signed is not None:
        rows += [
            (N_("Signed off by"), signed.name),
            (N_("Signed at"), local_time(signed.time)),
            (N_("Organisation"), signed.organization),
        ]
    for number, draft in enumerate(drafts, 1):
        name = N_("Model")
        if len(drafts) > 1:
            name = said("Model (draft {number})", number=number)
        model = draft.model
        rows += [
            (name, model.get("name", "")),
            (N_("Server"), model.get("server", "")),
            (N_("Model on the server"), model.get("served_model", "")),
            (N_("Revision on the server"), model.get("revision", "")),
            (N_("Server's engine"), model.get("engine", "")),
            (N_("Wrote"), N_("the impression") if draft.kind == "impression" else ""),
            (N_("Trained on"), model.get("trained_on", "")),
            (N_("Weights SHA-256"), model.get("weights_sha256", "")),
            (N_("Settings SHA-256"), model.get("settings_sha256", "")),
            (N_("Model's notice"), model.get("notice", "")),
            (N_("Drafted at"), local_time(draft.created)),
            (N_("Versions"), ", ".join(f"{k} {v}" for k, v in draft.versions.items())),
            (N_("Settings"), settings_in_words(draft.settings)),
            (N_("Times"), _times(draft.seconds)),
        ]
    counted = [
        said("{n} {state}", n=n, state=_COUNTED.get(state, state))
        for state, n in counts.items()
        if n
    ]
    rows.append((N_("Sentences"), together(*counted, between=", ")))
    return [(name, value) for name, value in rows if value]


def _times(seconds: Mapping[str, float]) -> str:
    return together(
        *(
            said(
                "{step} {seconds} s",
                step=_STEPS.get(step, step.replace("_", " ")),
                seconds=f"{value:.1f}",
            )
            for step, value in seconds.items()
        ),
        between=", ",
    )
