"""The headings of NV-Reason-CT's structured reports."""

from __future__ import annotations

import re
from typing import Final

from napari_ct_assistant.report_text.sentences import sentence_spans

CHEST_HEADINGS: Final = (
    "Medical devices", "Lungs and airways", "Pleura", "Mediastinum and hila",
    "Heart and pericardium", "Great vessels", "Esophagus", "Chest wall and breast", "Bones",
)  # fmt: skip
ABDOMEN_HEADINGS: Final = (
    "Medical devices", "Liver and biliary system", "Spleen", "Pancreas", "Adrenal glands",
    "Kidneys and urinary tract", "Bowel and appendix", "Peritoneum and omentum", "Lymph nodes",
    "Vessels", "Abdominal wall and soft tissues", "Bones",
)  # fmt: skip
# Headings above the organs' own; they hold no text themselves.
GROUPS: Final = ("Findings", "Chest", "Abdomen")
WHOLE: Final = ("Technique", "Impression", *GROUPS)

_NAMES: Final = {name.lower(): name for name in (*WHOLE, *CHEST_HEADINGS, *ABDOMEN_HEADINGS)}
_LINE: Final = re.compile(
    r"^[ \t]*(?:[-*#]+[ \t]*)?\**(" + "|".join(sorted(map(re.escape, _NAMES), key=len)[::-1])
    + r")\**[ \t]*(?::\**|$)[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)  # fmt: skip


def split_structured_report(text: str, default: str = "Report") -> dict[str, str]:
    """Return the sections of a report by the headings of its lines, in order.

    A heading stands at the beginning of a line, alone or with a colon. "Findings", "Chest" and
    "Abdomen" are sections only where text follows them directly. Text before the first heading,
    or without one, is the section `default`.
    """
    sections: dict[str, str] = {}
    name, start = default, 0
    cuts = [(m.start(), m.end(), _NAMES[m[1].lower()]) for m in _LINE.finditer(text)]
    for begin, end, following in [*cuts, (len(text), len(text), "")]:
        body = text[start:begin].strip()
        if body or (start and name not in GROUPS):
            sections[name] = f"{sections[name]}\n{body}".strip() if name in sections else body
        name, start = following, end
    return sections or {default: ""}


def structured_sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the character spans of a report's sentences, without its headings."""
    cuts = [match.span() for match in _LINE.finditer(text)]
    spans: list[tuple[int, int]] = []
    start = 0
    for begin, end in [*cuts, (len(text), len(text))]:
        spans += [(start + a, start + b) for a, b in sentence_spans(text[start:begin])]
        start = end
    return spans
