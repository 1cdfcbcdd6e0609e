"""Split a text into sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from napari_ct_assistant.report_text.sections import HEADING

# A full stop, closing brackets and quotes, and white space.
_STOP = re.compile(r"[.!?;][)\]\"'\u201d]*(\s+)(?=\S)")
_OPENING = "([\"'\u201c"
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|approx|dr|vs|ca|cf|fig|max|min|resp|seg|sp|st)\.$", re.IGNORECASE
)
_NUMERO = re.compile(r"\bno\.$", re.IGNORECASE)  # "image no. 12", but not "Effusion: no."
_NUMBERING = re.compile(r"\(?\d{1,2}[.)]$")  # "1." in front of an item of a list
_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
_BULLET = re.compile(r"[-*\u2022\u2013]+\s+|[*\u2022]+|-(?=[A-Za-z])")


def sentence_spans(text: str, *, keep_headings: bool = False) -> list[tuple[int, int]]:
    """Return the character spans of a text's sentences, without bullets and section headings.

    A sentence ends at a full stop that is followed by a capital, a digit or an opening bracket,
    at a semicolon followed by a capital, and at a line break unless the next line continues in
    lower case. "1.5 cm", "e.g. a cyst" and the number of a list item ("1.") end no sentence.

    Parameters
    ----------
    text
        A report, a section or an answer.
    keep_headings
        Leave headings ("Findings:") in the sentence that follows them.
    """
    cuts = [] if keep_headings else [m.span() for m in HEADING.finditer(text)]
    cuts += [(m.start(1), m.end()) for m in _STOP.finditer(text) if _is_end(text, m)]
    cuts += [m.span() for m in _LINE_BREAK.finditer(text) if not _goes_on(text, m)]
    spans: list[tuple[int, int]] = []
    start = 0
    for begin, end in [*sorted(cuts), (len(text), len(text))]:
        first, last = _trim(text, start, begin)
        # "1." belongs to the list item that follows.
        if _NUMBERING.fullmatch(text[first:last]) and text[last:].strip():
            start = first
            continue
        if re.search(r"\w", text[first:last]):
            spans.append((first, last))
        start = max(start, end)
    return spans


def split_sentences(text: str, *, keep_headings: bool = False) -> list[str]:
    """Return the sentences of a text; see `sentence_spans`."""
    return [text[a:b] for a, b in sentence_spans(text, keep_headings=keep_headings)]


def sections_of(sentences: Sequence[str], sections: Mapping[str, str]) -> list[str]:
    """Return the name of the section that each sentence is in; both in the order of the text."""
    found, names = [], list(sections)
    at = 0
    for sentence in sentences:
        while at + 1 < len(names) and sentence not in " ".join(sections[names[at]].split()):
            at += 1
        found.append(names[at] if names else "")
    return found


def _is_end(text: str, stop: re.Match[str]) -> bool:
    following = text[stop.end()]
    if text[stop.start()] == ";":
        return following.isupper()
    if not (following.isupper() or following.isdigit() or following in _OPENING):
        return False
    around = text[max(stop.start() - 8, 0) : stop.start() + 1]
    number = following.isdigit() and _NUMERO.search(around)
    return not number and _ABBREVIATION.search(around) is None


def _goes_on(text: str, line_break: re.Match[str]) -> bool:
    """Say whether a sentence continues after a line break, as in text of a fixed width."""
    before, after = text[: line_break.start()], text[line_break.end() :]
    return (
        after[:1].islower()
        and before[-1:] not in ".!?;:"
        and len(re.findall(r"\r\n|\r|\n", line_break[0])) == 1
    )


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span without surrounding white space and without a leading bullet."""
    while start < end and text[end - 1].isspace():
        end -= 1
    while start < end and text[start].isspace():
        start += 1
    bullet = _BULLET.match(text, start, end)
    return (bullet.end() if bullet else start), end
