"""Cut a report into its sections and sentences."""

from __future__ import annotations

import re
from typing import Any

_HEADINGS = (
    "clinical information",
    "technique",
    "comparison",
    "findings",
    "impression",
    "conclusion",
)
_HEADING = re.compile(rf"(?:^|(?<=[\s.]))({'|'.join(_HEADINGS)})\s*:\s*", re.IGNORECASE)
# A full stop ends a sentence when white space and a capital, digit or line end follow; "1.5" and
# "approx. 3" do not.
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])")


def split_sections(text: str, default: str = "Report") -> dict[str, str]:
    """Return the sections of a report in their order, by the headings it writes itself.

    Text before any heading, or without headings, is the section `default`.
    """
    parts = _HEADING.split(text)
    sections: dict[str, str] = {}
    if parts[0].strip():
        sections[default] = parts[0].strip()
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        key = name.capitalize()
        sections[key] = f"{sections[key]} {body.strip()}" if key in sections else body.strip()
    return sections or {default: ""}


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the character spans of a text's sentences, headings left out."""
    spans = []
    start = 0
    cuts = [(m.start(), m.end()) for m in _HEADING.finditer(text)]
    cuts += [(m.start(), m.end()) for m in _END.finditer(text)]
    for begin, end in sorted(cuts):
        if text[start:begin].strip():
            spans.append((start, begin))
        start = max(start, end)
    if text[start:].strip():
        spans.append((start, len(text.rstrip())))
    return spans


def owners(texts: list[str], sections: dict[str, str]) -> list[str]:
    """Return the section that each sentence stands in, in the order of the text."""
    found, names = [], list(sections)
    at = 0
    for text in texts:
        while at + 1 < len(names) and text not in " ".join(sections[names[at]].split()):
            at += 1
        found.append(names[at] if names else "")
    return found


def token_spans(
    tokenizer: Any, ids: list[int], spans: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Turn character spans of the decoded text into token spans."""
    ends = [len(tokenizer.decode(ids[: i + 1], skip_special_tokens=True)) for i in range(len(ids))]
    result = []
    for begin, end in spans:
        inside = [i for i, e in enumerate(ends) if begin < e <= end]
        result.append((inside[0], inside[-1] + 1) if inside else (0, 0))
    return result
