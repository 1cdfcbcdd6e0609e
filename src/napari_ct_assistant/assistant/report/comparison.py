"""Compare the draft with the edited report, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import State

Op = Literal["same", "removed", "added"]
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Change:
    """One sentence: its section, its state, and its words as runs of (operation, text).

    `part` is the heading of the part of the report that the section belongs to, such as
    "Findings" for an organ; it is `heading` itself where the sentence is directly below it.
    """

    heading: str
    state: State
    parts: tuple[tuple[Op, str], ...]
    part: str = ""


def compare_with_draft(report: ReportDocument) -> list[Change]:
    """Compare each drafted sentence with the text that has replaced it.

    The order is that of the report; a deleted sentence follows the one it was drafted after.
    Deleted sentences of earlier drafts are left out.
    """
    changes: list[Change] = []
    after: dict[int, int] = {}  # drafted sentence -> index in `changes` after its own change
    headings = {s.key.partition("/")[0]: s.heading for s in report.sections if s.level == 1}
    for section, line in report.lines():
        state = report.state(line)
        old = "" if line.source is None else report.sources[line.source].sentence.text
        new = "" if state == "rejected" else " ".join(line.text.split())
        if line.source is None and state == "rejected":
            continue
        part = headings.get(section.key.partition("/")[0], section.heading)
        changes.append(Change(section.heading, state, word_changes(old, new), part))
        if line.source is not None:
            after[line.source] = len(changes)
    reports = {n for n, draft in enumerate(report.drafts) if draft.kind == "report"}
    # The newest draft with sentences in the report: a later one may have been undone.
    newest = max(
        (number for index in after if (number := report.sources[index].draft) in reports),
        default=max(reports, default=-1),
    )
    inserted: list[tuple[int, Change]] = []
    place = 0
    for index, source in enumerate(report.sources):
        if index in after:
            place = after[index]
        elif source.draft == newest:
            words = word_changes(source.sentence.text, "")
            drafted = source.sentence.section
            part = headings.get(drafted.lower(), drafted)
            before = changes[place - 1] if place else None
            heading = before.heading if before is not None and before.part == part else part
            inserted.append((place, Change(heading, "rejected", words, part)))
    for place, change in reversed(inserted):
        changes.insert(place, change)
    return changes


def word_changes(old: str, new: str) -> tuple[tuple[Op, str], ...]:
    """Return how `old` became `new`: runs of words that stayed, were removed or were added."""
    before, now = _WORDS.findall(old), _WORDS.findall(new)
    parts: list[tuple[Op, str]] = []
    matcher = SequenceMatcher(None, before, now, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            parts.append(("same", "".join(before[a:b])))
            continue
        if b > a:
            parts.append(("removed", "".join(before[a:b])))
        if d > c:
            parts.append(("added", "".join(now[c:d])))
    return tuple(parts)
