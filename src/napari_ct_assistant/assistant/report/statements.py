"""A report as single statements: what each says about one finding, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from napari_ct_assistant.assistant.reading.results import ReportDraft
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import State
from napari_ct_assistant.report_text.attributes import Attributes, attributes_of
from napari_ct_assistant.report_text.finding_mentions import FindingMention, finding_mentions
from napari_ct_assistant.report_text.negation import Status, find_mentions, has_negation
from napari_ct_assistant.report_text.other_abnormalities import OTHER_ABNORMALITIES
from napari_ct_assistant.report_text.patterns import any_case, one_of
from napari_ct_assistant.report_text.sections import BACKGROUND, CONCLUSIONS
from napari_ct_assistant.report_text.sentences import split_sentences

Part = Literal["findings", "impression", "background"]

_SEPARATOR: Final = any_case("[,;:]", one_of("and|or|with|but|as well as"))
# "No suspicious nodule" beside "calcified nodule" denies another kind, not the nodule.
_QUALIFIED: Final = any_case(
    one_of(
        "suspicious|significant|large|acute|solid|cavitary|cavitating|loculated|gross|definite|"
        "measurable|relevant|malignant|central|pathologic(?:al|ally)?|focal|obvious"
    )
)


@dataclass(frozen=True)
class CheckedLine:
    """A line of a report: its text, the part of the report it stands in, what the reader did."""

    text: str
    part: Part = "findings"
    state: State = "own"


@dataclass(frozen=True)
class Statement:
    """What one line says about one finding.

    Attributes
    ----------
    line : int
        The number of the line, counted from 0.
    text : str
        The part of the sentence that is about the finding.
    finding : str
        One of the 18 findings, another known abnormality, or "" where no known word stands.
    status : {"affirmed", "denied", "uncertain", "historical"}
    attributes : Attributes
    """

    line: int
    text: str
    finding: str
    status: Status
    attributes: Attributes

    @property
    def present(self) -> bool:
        """Whether the statement says that the finding is, was or may be there."""
        return self.status != "denied"

    @property
    def denies_a_kind(self) -> bool:
        """Whether it denies only one kind of the finding, such as a suspicious nodule."""
        return self.status == "denied" and _QUALIFIED.search(self.text) is not None


def lines_of(report: ReportDocument) -> list[CheckedLine]:
    """Return the lines of a report that are not blank, in order; rejected ones keep their place."""
    return [
        CheckedLine(line.text, part_of(section.key), report.state(line))
        for section, line in report.lines()
    ]


def drafted_lines(draft: ReportDraft) -> list[CheckedLine]:
    """Return the sentences of a draft as lines."""
    return [CheckedLine(s.text, part_of(s.section), "draft") for s in draft.sentences]


def part_of(section: str) -> Part:
    """Return the part of the report that a section, by its key or heading, belongs to."""
    name = section.partition("/")[0].strip().capitalize()
    if name in CONCLUSIONS:
        return "impression"
    return "background" if name in BACKGROUND else "findings"


def statements_in(lines: Sequence[CheckedLine], part: Part) -> list[Statement]:
    """Return the statements of one part of a report, without rejected lines."""
    return [
        statement
        for number, line in enumerate(lines)
        if line.part == part and line.state not in ("rejected", "template")
        for sentence in split_sentences(line.text)
        for statement in _statements(number, sentence)
    ]


def _statements(line: int, sentence: str) -> Iterator[Statement]:
    mentions = _mentions(sentence)
    if not mentions:
        status: Status = "denied" if has_negation(sentence) else "affirmed"
        yield Statement(line, sentence, "", status, attributes_of(sentence))
        return
    made: list[Statement] = []
    for mention, text in zip(mentions, _shares(sentence, mentions), strict=True):
        new = Statement(line, text, mention.finding, mention.status, attributes_of(text))
        for number, old in enumerate(made):
            same = (old.finding, old.status) == (new.finding, new.status)
            if same and not (_is_placed(old) and _is_placed(new)):
                # "Heart size is increased, mild cardiomegaly" is one statement.
                text = old.text if old.text == text else f"{old.text}, {text}"
                made[number] = replace(old, text=text, attributes=attributes_of(text))
                break
        else:
            made.append(new)
    yield from made


def _is_placed(statement: Statement) -> bool:
    """Say whether a statement tells its finding from others of the same kind."""
    said = statement.attributes
    return bool(said.sides or said.lobes or said.levels or said.sizes)


def _mentions(sentence: str) -> list[FindingMention]:
    """Return the mentions of the 18 findings and of other abnormalities, in order."""
    found = finding_mentions(sentence)
    known = [(m.start, m.end) for m in found]
    for name, term in OTHER_ABNORMALITIES.items():
        for m in find_mentions(sentence, term):
            # The mass in "nodular mass" is said already.
            if not any(start < m.end and m.start < end for start, end in known):
                found.append(FindingMention(m.start, m.end, m.status, name))
    return sorted(found, key=lambda m: m.start)


def _shares(sentence: str, mentions: Iterable[FindingMention]) -> list[str]:
    """Return the part of a sentence that is about each mention.

    Between two mentions the last comma, "and" or "with" divides. Without one, as in "pleural or
    pericardial effusion", both have the same part.
    """
    groups: list[list[FindingMention]] = []
    cuts: list[int] = []
    end = 0
    for mention in mentions:
        between = list(_SEPARATOR.finditer(sentence, end, mention.start)) if groups else []
        if groups and not between:
            groups[-1].append(mention)
        else:
            groups.append([mention])
            if len(groups) > 1:
                cuts.append(between[-1].start())
        end = max(end, mention.end)
    bounds = [0, *cuts, len(sentence)]
    parts: list[str] = []
    for group, first, last in zip(groups, bounds[:-1], bounds[1:], strict=True):
        parts += [sentence[first:last].strip(" ,;:")] * len(group)
    return parts
