"""Contradictions in a report, for the reader to look at before signing; none blocks anything.

The findings are compared with the impression, lines with each other, and the text with the
findings table and the measurements. The rules read English reports with the lexicon, the negation
and the sections of `report_text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from napari_ct_assistant.assistant.reading.results import FindingProbability, ReportDraft
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.matching import (
    Difference,
    best_match,
    candidates,
    differences,
    joined,
)
from napari_ct_assistant.assistant.report.statements import (
    CheckedLine,
    Statement,
    drafted_lines,
    lines_of,
    statements_in,
)
from napari_ct_assistant.report_text.attributes import attributes_of, lengths_in
from napari_ct_assistant.report_text.patterns import any_case, one_of
from napari_ct_assistant.support.translation import N_, said

Kind = Literal[
    "side", "lobe", "level", "degree", "size", "number", "negation", "certainty",
    "not in the findings", "not summed up", "table", "not reviewed", "measurement",
]  # fmt: skip

_ADVICE: Final = any_case(
    one_of(r"recommend\w*|follow-?\s?up|suggest\w*|advis\w*|correlat\w*|consider|clinical\w*|see"),
    one_of("unchanged|stable|otherwise|compared|comparison"),
    # "No acute abnormality" may stand beside old changes.
    r"^no\s+(?:\w+\s+){0,3}(?:abnormalit(?:y|ies)|findings?|patholog\w+|disease|process\w*)\b",
)
_NORMAL: Final = any_case(
    r"^(?:normal|unremarkable|inconspicuous)\b(?!.*\b(?:heart|lungs?|liver|size)\b)",
    r"^(?:the\s+)?(?:chest|thorax|scan|study|examination|ct)\b[^.]*\bis\s+(?:normal|unremarkable)",
    r"^no\s+(?:pathological\s+|abnormal\s+)?(?:findings?|abnormalit(?:y|ies))\b",
)


# Values of the texts below that the panel translates.
_WORDS: Final = (
    N_("affirmed"), N_("denied"), N_("uncertain"), N_("historical"),
    N_("left"), N_("right"), N_("more on the left"), N_("more on the right"),
    N_("upper"), N_("middle"), N_("lower"), N_("lingula"),
    N_("small or mild"), N_("moderate"), N_("large or severe"), N_("one"), N_("several"),
)  # fmt: skip
# What `differences` tells apart and readers call by one name.
_KINDS: Final[dict[Difference, Kind]] = {
    "side": "side", "lobe": "lobe", "level": "level", "degree": "degree", "size": "size",
    "number": "number", "larger": "side", "amount": "number",
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """Something to look at in a report.

    Attributes
    ----------
    kind : str
        What differs ("side", "negation") or is missing ("not summed up").
    text : str
        One line for the reader.
    line : int or None
        The line or sentence it is about, counted from 0; None if it is about none.
    other : int or None
        The line it is compared with.
    """

    kind: Kind
    text: str
    line: int | None = None
    other: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the check as plain values."""
        return asdict(self)


def check_report(
    report: ReportDocument,
    table: Sequence[FindingProbability] = (),
    measurements: Sequence[str] = (),
) -> list[Check]:
    """Return what to look at in an edited report; `line` counts `report.lines()`.

    Parameters
    ----------
    table
        The findings table of the same scan.
    measurements
        What was measured in the scan, one text each, such as "14 x 11 mm".
    """
    lines = lines_of(report)
    found = [*check_lines(lines, table, measurements), *_stated_checks(report)]
    return sorted(found, key=lambda check: len(lines) if check.line is None else check.line)


def check_draft(draft: ReportDraft, table: Sequence[FindingProbability] = ()) -> list[Check]:
    """Return what to look at in a draft; `line` counts `draft.sentences`.

    That no reader has reviewed the sentences goes without saying.
    """
    found = check_lines(drafted_lines(draft), table)
    return [check for check in found if check.kind != "not reviewed"]


def check_lines(
    lines: Sequence[CheckedLine],
    table: Sequence[FindingProbability] = (),
    measurements: Sequence[str] = (),
) -> list[Check]:
    """Return what to look at in the lines of a report, ordered by line; see `check_report`."""
    findings, impression = (statements_in(lines, part) for part in ("findings", "impression"))
    summary = list(_summary_checks(impression, findings))
    compared = {check.other for check in summary}
    found = [
        *_contradictions(findings),
        *_contradictions(impression),
        *summary,
        *(one for one in _not_summed_up(impression, findings) if one.line not in compared),
        *_table_checks([*findings, *impression], table),
        *_measurement_checks(lines, measurements),
    ]
    found += [
        Check(
            "not reviewed",
            said("No reader has accepted, edited or rejected this sentence."),
            number,
        )
        for number, line in enumerate(lines)
        if line.state == "draft"
    ]
    once = dict.fromkeys(found)
    return sorted(once, key=lambda check: len(lines) if check.line is None else check.line)


def _contradictions(statements: Sequence[Statement]) -> Iterator[Check]:
    """Yield the lines of one part of which one affirms what the other denies."""
    for number, one in enumerate(statements):
        for other in statements[number + 1 :]:
            if one.finding and one.finding == other.finding and _contradict(one, other):
                yield Check(
                    "negation",
                    said(
                        "{finding}: {here} here, {there} in another line.",
                        finding=one.finding,
                        here=one.status,
                        there=other.status,
                    ),
                    one.line,
                    other.line,
                )


def _contradict(one: Statement, other: Statement) -> bool:
    """Say whether one statement affirms and the other denies the same thing in the same place."""
    if {one.status, other.status} != {"affirmed", "denied"}:
        return False
    yes, no = (one, other) if one.status == "affirmed" else (other, one)
    if no.denies_a_kind:
        return False
    for field in ("sides", "lobes", "levels"):
        there, denied = getattr(yes.attributes, field), getattr(no.attributes, field)
        # Denied on one side only, it may be on the other.
        if denied and not there & denied:
            return False
    return True


def _summary_checks(
    impression: Sequence[Statement], findings: Sequence[Statement]
) -> Iterator[Check]:
    """Compare each statement of the impression with the finding that it sums up."""
    for statement in impression:
        if _NORMAL.search(statement.text):
            stated = [one for one in findings if one.finding and one.status == "affirmed"]
            for one in stated:
                text = said(
                    "{finding}: affirmed in the findings, but the impression says normal.",
                    finding=one.finding,
                )
                yield Check("negation", text, statement.line, one.line)
            continue
        match = best_match(statement, findings)
        if match is None:
            if statement.finding and statement.present:
                text = said("{finding}: the findings do not mention it.", finding=statement.finding)
                yield Check("not in the findings", text, statement.line)
            elif not statement.finding and findings and not _ADVICE.search(statement.text):
                text = said("No sentence of the findings matches this one.")
                yield Check("not in the findings", text, statement.line)
            continue
        yield from _compare(statement, match, candidates(statement, findings))


def _compare(statement: Statement, match: Statement, alike: Sequence[Statement]) -> Iterator[Check]:
    name = statement.finding or f'"{statement.text}"'
    here, there = statement.line, match.line
    if not statement.present:
        affirmed = next((one for one in alike if _contradict(one, statement)), None)
        if affirmed is not None:
            text = said(
                "{finding}: affirmed in the findings, denied in the impression.", finding=name
            )
            yield Check("negation", text, here, affirmed.line)
        return
    if not match.present:
        if not match.denies_a_kind:
            text = said(
                "{finding}: denied in the findings, {status} in the impression.",
                finding=name,
                status=statement.status,
            )
            yield Check("negation", text, here, there)
        return
    if statement.status == "affirmed" and match.status == "uncertain":
        text = said(
            "{finding}: only suspected in the findings, certain in the impression.", finding=name
        )
        yield Check("certainty", text, here, there)
    present = [one for one in alike if one.present]
    for difference, (mine, theirs) in differences(statement, match).items():
        # "Nodules in both lungs" sums up one nodule of each side.
        if _together(difference, statement, present):
            continue
        text = said(
            "{finding}: {theirs} in the findings, {mine} in the impression.",
            finding=name,
            theirs=theirs,
            mine=mine,
        )
        yield Check(_KINDS[difference], text, here, there)


def _together(kind: Difference, statement: Statement, alike: Sequence[Statement]) -> bool:
    """Say whether several findings of one kind together have what the impression says."""
    if kind == "amount":
        return len(alike) > 1 and "several" in statement.attributes.amounts
    field = {"side": "sides", "lobe": "lobes", "level": "levels", "degree": "degrees"}.get(kind)
    mine = getattr(statement.attributes, field) if field else frozenset()
    union = frozenset[str]().union(*(getattr(one.attributes, field or "") for one in alike if mine))
    return len(mine) > 1 and mine <= union


def _not_summed_up(
    impression: Sequence[Statement], findings: Sequence[Statement]
) -> Iterator[Check]:
    """Yield the findings that the impression leaves out, if there is an impression."""
    if not impression:
        return
    for statement in findings:
        if not statement.finding or statement.status != "affirmed":
            continue
        if not any(
            one.finding == statement.finding and _same_side(one, statement) for one in impression
        ):
            text = said(
                "{finding}: affirmed here, not summed up in the impression.",
                finding=statement.finding,
            )
            yield Check("not summed up", text, statement.line)


def _same_side(one: Statement, other: Statement) -> bool:
    mine, theirs = one.attributes.sides, other.attributes.sides
    return not mine or not theirs or bool(mine & theirs)


def _table_checks(
    statements: Sequence[Statement], table: Sequence[FindingProbability]
) -> Iterator[Check]:
    """Compare the text with the table of findings that the model screened for."""
    for row in table:
        if not row.assessable or row.probability is None or row.threshold is None:
            continue
        about = [one for one in statements if one.finding == row.name]
        values = {
            "finding": row.name,
            "probability": f"{row.probability:.0%}",
            "threshold": f"{row.threshold:.0%}",
        }
        if row.positive and not any(one.present for one in about):
            denied = next((one.line for one in about), None)
            text = (
                said(
                    "{finding}: {probability} in the findings table, above its threshold of "
                    "{threshold}, but not mentioned in the report.",
                    **values,
                )
                if denied is None
                else said(
                    "{finding}: {probability} in the findings table, above its threshold of "
                    "{threshold}, but denied here.",
                    **values,
                )
            )
            yield Check("table", text, denied)
        elif not row.positive:
            for one in about:
                if one.status == "affirmed":
                    text = said(
                        "{finding}: {probability} in the findings table, below its threshold of "
                        "{threshold}, but affirmed here.",
                        **values,
                    )
                    yield Check("table", text, one.line)


def _measurement_checks(
    lines: Sequence[CheckedLine], measurements: Sequence[str]
) -> Iterator[Check]:
    """Yield the measurements of which the report gives no length."""
    whole = "\n".join(line.text for line in lines if line.state != "rejected")
    written = lengths_in(whole)
    for measurement in measurements:
        lengths = lengths_in(measurement)
        volume = re.search(r"(\d+(?:\.\d+)?)\s*ml\b", measurement)
        if lengths:
            known = all(any(round_.agrees(length) for round_ in written) for length in lengths)
        else:
            known = volume is None or volume[1] in whole
        if not known:
            text = said("Measured, but not in the text: {measurement}.", measurement=measurement)
            yield Check("measurement", text)


def _stated_checks(report: ReportDocument) -> Iterator[Check]:
    """Compare each sentence that states a measurement with the measurement itself."""
    for number, (_, line) in enumerate(report.lines()):
        if line.measurement is None or line.mark == "rejected":
            continue
        measured, words = report.measurements[line.measurement], attributes_of(line.text)
        if measured.side != "midline" and words.sides and measured.side not in words.sides:
            text = said(
                "{here} in the text, but measured: {there}.",
                here=joined(words.sides),
                there=measured.side,
            )
            yield Check("side", text, number)
        axes = [mm for mm in (measured.long_mm, measured.short_mm, measured.max_mm) if mm]
        if not words.sizes or not axes:
            continue
        # A tenth of a millimetre: the text may be rounded either way.
        wrong = [
            size
            for size in words.sizes
            if not any(abs(size.mm - mm) <= size.half_digit_mm + 0.05 for mm in axes)
        ]
        if wrong:
            text = said(
                "{here} in the text, but measured: {there}.",
                here=joined(map(str, wrong)),
                there=measured.figures,
            )
            yield Check("measurement", text, number)
