"""Match each statement of an impression with the one of the findings that it sums up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from napari_ct_assistant.assistant.evidence.impression import closest
from napari_ct_assistant.assistant.report.statements import CheckedLine, Statement, statements_in
from napari_ct_assistant.support.translation import said

Difference = Literal["side", "lobe", "level", "degree", "size", "number", "larger", "amount"]
# What tells two findings of one kind apart comes first.
_FIELDS: Final[dict[Difference, str]] = {
    "side": "sides",
    "lobe": "lobes",
    "level": "levels",
    "size": "sizes",
    "degree": "degrees",
    "number": "numbers",
    "larger": "larger",
    "amount": "amounts",
}


def differences(one: Statement, other: Statement) -> dict[Difference, tuple[str, str]]:
    """Return what two statements say differently: {kind: (what `one` says, what `other` says)}.

    What only one of them says is no difference.
    """
    found: dict[Difference, tuple[str, str]] = {}
    for kind, field in _FIELDS.items():
        mine, theirs = getattr(one.attributes, field), getattr(other.attributes, field)
        if not mine or not theirs:
            continue
        if kind == "size":
            agree = all(any(a.agrees(b) for b in theirs) for a in mine)
        elif kind == "side":
            agree = mine == theirs
        elif kind == "number":
            agree = mine <= theirs
        elif kind == "degree":
            agree = bool(mine & theirs)
        else:
            # One may name fewer places than the other, but none besides.
            agree = mine <= theirs or theirs <= mine
        if not agree:
            found[kind] = (_named(kind, mine), _named(kind, theirs))
    return found


def candidates(statement: Statement, findings: Sequence[Statement]) -> list[Statement]:
    """Return the statements of the findings about the same finding.

    Without a known word, this is the one that shares most words, if any shares half of them.
    """
    if statement.finding:
        return [one for one in findings if one.finding == statement.finding]
    others = [one for one in findings if not one.finding]
    at = closest(statement.text, [one.text for one in others])
    return [] if at is None else [others[at]]


def best_match(statement: Statement, findings: Sequence[Statement]) -> Statement | None:
    """Return the statement of the findings that a statement sums up, None without any.

    Of several about the same finding it is the one that agrees in most attributes, then the one
    that leaves fewest of them open, then the one that shares most words.
    """
    possible = candidates(statement, findings)
    if not possible:
        return None
    at = closest(statement.text, [one.text for one in possible])

    def gap(number: int) -> tuple[bool, int, int, bool]:
        one = possible[number]
        both = [kind for kind in _FIELDS if _says(statement, kind) and _says(one, kind)]
        agreed = len(both) - len(differences(statement, one))
        stated = sum(_says(statement, kind) for kind in _FIELDS)
        return one.present != statement.present, -agreed, stated - len(both), number != at

    return possible[min(range(len(possible)), key=gap)]


def impression_of(lines: Sequence[CheckedLine], line: int) -> list[int]:
    """Return the lines of the impression that sum up this line of the findings, and no other.

    The line counts as if it were not rejected.
    """
    whole = [
        CheckedLine(one.text, one.part) if number == line else one
        for number, one in enumerate(lines)
    ]
    findings = statements_in(whole, "findings")
    wanted = []
    for statement in statements_in(whole, "impression"):
        match = best_match(statement, findings)
        if match is not None and match.line == line and statement.line not in wanted:
            wanted.append(statement.line)
    others = {
        statement.line
        for statement in statements_in(whole, "impression")
        if (match := best_match(statement, findings)) is not None and match.line != line
    }
    return [number for number in wanted if number not in others]


def _says(statement: Statement, kind: Difference) -> bool:
    return bool(getattr(statement.attributes, _FIELDS[kind]))


def joined(values: Iterable[str]) -> str:
    """Return words as a list of words, which the panel translates: "left and right"."""
    first, *rest = sorted(values)
    for other in rest:
        first = said("{some} and {another}", some=first, another=other)
    return first


def _named(kind: Difference, values: Iterable[object]) -> str:
    words = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return joined([f"more on the {word}" for word in words] if kind == "larger" else words)
