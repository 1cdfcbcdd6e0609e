"""Split a report into sections at its headings."""

from __future__ import annotations

import re
from typing import Final

_NAMES = (
    "clinical information",
    "clinical history",
    "indication",
    "technique",
    "comparison",
    "findings",
    "impression",
    "conclusion",
)
_ANY_CASE = "|".join(_NAMES)
_CAPITALS = "|".join(form for name in _NAMES for form in (name.capitalize(), name.title()))
# Generated reports often form a single line, so a capitalised heading may follow any blank. In
# lower case ("in comparison: unchanged") only the beginning of a line makes a heading.
HEADING: Final = re.compile(
    rf"(?:^[ \t]*(?i:({_ANY_CASE}))|(?<=[\s.])({_CAPITALS}|{_ANY_CASE.upper()}))[ \t]*:\s*",
    re.MULTILINE,
)
# These sections describe the reason for the scan, the technique and earlier scans.
BACKGROUND: Final = frozenset(
    {"Clinical information", "Clinical history", "Indication", "Technique", "Comparison"}
)
CONCLUSIONS: Final = frozenset({"Impression", "Conclusion"})


def split_sections(text: str, default: str = "Report") -> dict[str, str]:
    """Return the sections of a report in order, named by their headings ("Findings").

    Text before the first heading, or without a heading, is the section `default`. Sections with
    the same heading are joined.
    """
    sections: dict[str, str] = {}
    name, start = default, 0
    cuts = [(m.start(), m.end(), (m[1] or m[2]).capitalize()) for m in HEADING.finditer(text)]
    for begin, end, following in [*cuts, (len(text), len(text), "")]:
        body = text[start:begin].strip()
        if start or body:
            sections[name] = f"{sections[name]} {body}".strip() if name in sections else body
        name, start = following, end
    return sections or {default: ""}


def described(text: str) -> str:
    """Return what a report says of the scan, without its background and its conclusions."""
    sections = split_sections(text)
    return "\n".join(sections[name] for name in sections if name not in BACKGROUND | CONCLUSIONS)
