"""Cut a report into sections by the headings it carries."""

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
# Generated text often runs on in one line: a heading in capitals may follow any blank. In lower
# case ("in comparison: unchanged") the word is a heading only at the beginning of a line.
HEADING: Final = re.compile(
    rf"(?:^[ \t]*(?i:({_ANY_CASE}))|(?<=[\s.])({_CAPITALS}|{_ANY_CASE.upper()}))[ \t]*:\s*",
    re.MULTILINE,
)
# What these sections say is not seen on the scan: why it was made, how, and earlier scans.
BACKGROUND: Final = frozenset(
    {"Clinical information", "Clinical history", "Indication", "Technique", "Comparison"}
)
CONCLUSIONS: Final = frozenset({"Impression", "Conclusion"})


def split_sections(text: str, default: str = "Report") -> dict[str, str]:
    """Return the sections of a report in order, named by their headings ("Findings").

    Text before the first heading, or without any, is the section `default`. A section that is
    headed twice holds both parts.
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
