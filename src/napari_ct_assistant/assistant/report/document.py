"""The edited report: drafted sentences, what the reader did with each, and the signature.

The panel's editor, the command line, the journal and every export share this type; it depends
on neither Qt nor torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from napari_ct_assistant.assistant.reading.results import ReportDraft, Sentence
from napari_ct_assistant.assistant.report.measurement import Measurement
from napari_ct_assistant.assistant.report.parts import (
    FROM_TEMPLATE,
    DraftInfo,
    Line,
    Section,
    Signature,
    Source,
    State,
)
from napari_ct_assistant.assistant.report.provenance import local_time, provenance_rows
from napari_ct_assistant.assistant.report.saved_parts import check_references, read_parts
from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import said, together
from napari_ct_assistant.support.typed import check_types

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.report.template import ReportTemplate
    from napari_ct_assistant.volume import CTVolume

FORMAT = 1


@dataclass(frozen=True)
class ReportDocument:
    """An edited report. `str(report)` is its text with its notice.

    Attributes
    ----------
    sections : tuple of Section
    sources : tuple of Source
        Every sentence that was drafted, also those that the reader deleted.
    drafts : tuple of DraftInfo
        Where the drafts come from.
    signature : Signature or None
    template : str
        Name of the template.
    measurements : tuple of Measurement
        What the reader measured and put into words, also where the sentence was deleted.
    """

    sections: tuple[Section, ...] = ()
    sources: tuple[Source, ...] = ()
    drafts: tuple[DraftInfo, ...] = ()
    signature: Signature | None = None
    template: str = ""
    measurements: tuple[Measurement, ...] = ()

    # -- content

    def state(self, line: Line) -> State:
        """Return the state of a line, such as accepted, edited or the reader's own."""
        if line.mark == "rejected":
            return "rejected"
        if line.source is None:
            return "own"
        source = self.sources[line.source]
        if line.text.split() != source.sentence.text.split():
            return "edited"
        if source.draft == FROM_TEMPLATE:
            return "template"
        return "accepted" if line.mark == "accepted" else "draft"

    def lines(self) -> Iterator[tuple[Section, Line]]:
        """Yield each line that is not blank, with its section."""
        for section in self.sections:
            for line in section.lines:
                if line.text.strip():
                    yield section, line

    @property
    def unreviewed(self) -> int:
        """Number of drafted sentences that the reader has not accepted, edited or rejected."""
        return sum(self.state(line) == "draft" for _, line in self.lines())

    @property
    def touched(self) -> bool:
        """Whether the reader has changed anything that a new draft must not overwrite."""
        if any(self.state(line) not in ("draft", "template") for _, line in self.lines()):
            return True
        kept = {line.source for _, line in self.lines()}
        if any(source is not None and self._is_summary(self.sources[source]) for source in kept):
            return True
        newest = max(
            (n for n, draft in enumerate(self.drafts) if draft.kind == "report"), default=-1
        )
        return newest >= 0 and any(
            source.draft == newest and index not in kept
            for index, source in enumerate(self.sources)
        )

    def _is_summary(self, source: Source) -> bool:
        return source.draft >= 0 and self.drafts[source.draft].kind == "impression"

    def measured(self) -> Iterator[tuple[Line, Measurement]]:
        """Yield the lines of `body` that state a measurement, each with it."""
        for section in self.body():
            for line in section.lines:
                if line.measurement is not None:
                    yield line, self.measurements[line.measurement]

    def body(self) -> list[Section]:
        """Return the sections with text, without rejected and blank lines.

        A heading without text is kept if a sub-heading below it has text.
        """
        kept: list[Section] = []
        for section in reversed(self.sections):
            lines = tuple(
                replace(line, text=" ".join(line.text.split()))
                for line in section.lines
                if line.text.strip() and line.mark != "rejected"
            )
            below = kept[-1].level if kept else 0
            if lines or below > section.level:
                kept.append(replace(section, lines=lines))
        return kept[::-1]

    @property
    def text(self) -> str:
        """The report as plain text, with a blank line between sections."""
        return self.text_with(lambda _: "")

    def text_with(self, note: Callable[[Line], str]) -> str:
        """Return the text with a note in parentheses after each line that has one."""
        blocks = []
        for section in self.body():
            head = section.heading.upper() if section.level == 1 else section.heading
            notes = [note(line) for line in section.lines]
            body = "\n".join(
                f"{line.text} ({n})" if n else line.text
                for line, n in zip(section.lines, notes, strict=True)
            )
            blocks.append(f"{head}\n{body}" if head and body else head or body)
        return "\n\n".join(blocks)

    def __str__(self) -> str:
        text = f"{self.text}\n\n[{self.notice}]"
        return f"[{self.incomplete}]\n\n{text}" if self.incomplete else text

    # -- signature and provenance

    @property
    def content(self) -> str:
        """SHA-256 of the report's text, in hexadecimal."""
        text = [(s.key, s.heading, [line.text for line in s.lines]) for s in self.body()]
        return hashlib.sha256(json.dumps(text).encode()).hexdigest()

    @property
    def signed(self) -> Signature | None:
        """The signature, or None once the text differs from the signed one."""
        if self.signature is not None and self.signature.content == self.content:
            return self.signature
        return None

    @property
    def status(self) -> Literal["preliminary", "final"]:
        """Status in FHIR's terms: final once the report is signed."""
        return "final" if self.signed else "preliminary"

    def sign(self, name: str, organization: str = "") -> ReportDocument:
        """Return the report signed by `name`; any later change of the text voids the signature.

        Raises
        ------
        ValueError
            If the name or the report is empty.
        """
        name, organization = " ".join(name.split()), " ".join(organization.split())
        if not name:
            raise ValueError(said("the name is empty; type the name that signs the report"))
        if not self.text.strip():
            raise ValueError(said("the report is empty; there is nothing to sign"))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return replace(self, signature=Signature(name, organization, now, self.content))

    @property
    def used_drafts(self) -> list[DraftInfo]:
        """The drafts that the text has sentences from; all drafts if it has none."""
        numbers = {
            self.sources[line.source].draft
            for section in self.body()
            for line in section.lines
            if line.source is not None
        } - {FROM_TEMPLATE}
        return [self.drafts[number] for number in sorted(numbers)] or list(self.drafts)

    @property
    def incomplete(self) -> str:
        """The line to show before a report with a draft that is not whole; empty otherwise."""
        return next((draft.incomplete for draft in self.used_drafts if draft.incomplete), "")

    @property
    def notice(self) -> str:
        """The notice that accompanies the report in every form: warning, origin and signature."""
        outside = next((draft.outside for draft in self.used_drafts if draft.outside), "")
        return together(outside, self.origin)

    @property
    def origin(self) -> str:
        """Who wrote the report and who signed it, without the warning about the scan."""
        drafts = self.used_drafts
        models = list(dict.fromkeys(draft.who for draft in drafts))
        written = (
            said("machine-written, {models}", models=together(*models, between=" and "))
            if models
            else ""
        )
        signed = self.signed
        if signed is not None:
            where = f", {signed.organization}" if signed.organization else ""
            help_ = said("The draft was {written}.", written=written) if written else ""
            cut = said("The draft was not whole.") if self.incomplete else ""
            text = said(
                "Signed off by {name}, {when}.",
                name=f"{signed.name}{where}",
                when=local_time(signed.time),
            )
            return together(text, cut, self.incomplete, help_)
        own = list(dict.fromkeys(d.model.get("notice", "") for d in drafts))
        draft = said("Draft, {written}.", written=written) if written else said("Draft.")
        unsigned = said("Not signed off by a reader.")
        return together(self.incomplete, draft, *own, unsigned)

    def provenance(self) -> list[tuple[str, str]]:
        """Return the provenance of the report, as pairs of a name and a value."""
        counts = dict.fromkeys(get_args(State), 0)
        for _, line in self.lines():
            counts[self.state(line)] += 1
        return provenance_rows(self.status, self.signed, self.used_drafts, counts)

    # -- new drafts

    @classmethod
    def from_draft(
        cls,
        draft: ReportDraft,
        template: ReportTemplate,
        volume: CTVolume | None = None,
        *,
        weights_sha256: str | None = None,
    ) -> ReportDocument:
        """Return a draft laid out by a department's template."""
        blank = cls.blank(template, volume)
        return blank.with_draft(draft, template, weights_sha256=weights_sha256)

    @classmethod
    def blank(cls, template: ReportTemplate, volume: CTVolume | None = None) -> ReportDocument:
        """Return a report with the template's headings and its sentences about the scan."""
        sections: list[Section] = []
        sources: list[Source] = []
        for part in template.sections:
            lines = []
            text = part.filled(volume)
            if text:
                lines.append(Line(text, len(sources)))
                sources.append(Source(Sentence(text, part.heading), FROM_TEMPLATE))
            sections.append(Section(part.key, part.heading, part.level, tuple(lines)))
        return cls(tuple(sections), tuple(sources), template=template.name)

    def with_draft(
        self, draft: ReportDraft, template: ReportTemplate, *, weights_sha256: str | None = None
    ) -> ReportDocument:
        """Return the report with a draft's sentences added at the end of each section."""
        sections = list(self.sections)
        sources = list(self.sources)
        for sentence in draft.sentences:
            key, heading = template.place(sentence)
            at = next((i for i, section in enumerate(sections) if section.key == key), None)
            if at is None:
                at = _insertion_index(sections, key)
                sections.insert(at, Section(key, heading, 2 if "/" in key else 1))
            text = plain(sentence.text)
            written = replace(sentence, text=text)
            line = Line(text, len(sources))
            sources.append(Source(written, len(self.drafts)))
            sections[at] = replace(sections[at], lines=(*sections[at].lines, line))
        info = DraftInfo.of(draft, weights_sha256)
        return replace(
            self,
            sections=tuple(sections),
            sources=tuple(sources),
            drafts=(*self.drafts, info),
            template=self.template or template.name,
        )

    def replaced_by(
        self,
        draft: ReportDraft,
        template: ReportTemplate,
        volume: CTVolume | None = None,
        *,
        weights_sha256: str | None = None,
    ) -> ReportDocument:
        """Return a new report from `draft` that keeps this one's sentences and drafts on record.

        The editor's undo can then restore the old text with its evidence.
        """
        new = ReportDocument.from_draft(draft, template, volume, weights_sha256=weights_sha256)
        known, drafts = len(self.sources), len(self.drafts)
        sections = tuple(
            replace(
                section,
                lines=tuple(
                    line if line.source is None else replace(line, source=line.source + known)
                    for line in section.lines
                ),
            )
            for section in new.sections
        )
        sources = tuple(
            s if s.draft == FROM_TEMPLATE else replace(s, draft=s.draft + drafts)
            for s in new.sources
        )
        return replace(
            self,
            sections=sections,
            sources=(*self.sources, *sources),
            drafts=(*self.drafts, *new.drafts),
            template=template.name,
        )

    def with_weights(self, model: str, sha256: str) -> ReportDocument:
        """Return the report with the hash of a model's weights filled in where it is missing."""
        drafts = tuple(
            replace(d, model=d.model | {"weights_sha256": sha256})
            if d.model.get("name") == model and not d.model.get("weights_sha256")
            else d
            for d in self.drafts
        )
        return replace(self, drafts=drafts)

    # -- saving

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ReportDocument:
        """Return the report that `to_json` wrote.

        Raises
        ------
        ValueError
            If it is not a report, or has another format.
        """
        if data.get("format") != FORMAT:
            raise ValueError(
                said(
                    "a report of format {get}; this version reads format {format}",
                    get=repr(data.get("format")),
                    format=FORMAT,
                )
            )
        try:
            report = cls(**read_parts(data))
            check_types(report)
            check_references(report.sections, report.sources, report.drafts, report.measurements)
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(said("not a report: {error}", error=str(error)[:200])) from error
        return report


def _insertion_index(sections: Sequence[Section], key: str) -> int:
    """Return where to insert a missing section; an organ goes after its siblings."""
    parent = key.partition("/")[0]
    mine = [i for i, section in enumerate(sections) if section.key.partition("/")[0] == parent]
    if mine:
        return mine[-1] + 1
    before = [i for i, section in enumerate(sections) if section.key == "impression"]
    return before[0] if before and parent != "impression" else len(sections)
