"""What a model is examined on: scans with reports, questions and labels, from any source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.files import read_rows
from napari_ct_assistant.training.data.datasets.preparing import read_scan
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    Question,
    ScanRecord,
    one_line,
    patient_hash,
)
from napari_ct_assistant.volume import CTVolume

CHOICE = "multiple_choice"
YES_NO = "yes_no"
_LISTED = re.compile(r"(?:^|(?<=\s))\(?([A-Ha-h])[.)]\s+")


@dataclass(frozen=True)
class Asked:
    """A question with its true answer.

    kind groups questions in the tables. `listed` says that the question's own text lists the
    choices; else the model's processor writes them behind it.
    """

    question: str
    answer: str
    kind: str = "free"
    choices: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True)
class Case:
    """One scan and what is true of it.

    Parameters
    ----------
    key, patient
        Digits that tell it from the others and give nothing away.
    open
        Reads the scan in HU.
    reports
        {"report": text} or one text a region.
    labels
        {finding: 0 or 1}.
    patient_hash
        As in `training_data.json`, to find whom a model was trained on; never written.
    """

    key: str
    patient: str
    open: Callable[[], CTVolume]
    reports: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    questions: Sequence[Asked] = ()
    patient_hash: str = ""

    @property
    def report(self) -> str:
        """The whole report; regions one after the other."""
        return "\n\n".join(self.reports.values())


@dataclass(frozen=True)
class CaseList:
    """The cases of one data set.

    name: what the tables call it; digest: tells its content from any other's.
    """

    name: str
    digest: str
    cases: tuple[Case, ...]

    def partner(self, index: int) -> int | None:
        """Return the next case of another patient: whose image is shown for case `index`."""
        count = len(self.cases)
        for step in range(1, count):
            other = (index + step) % count
            if self.cases[other].patient != self.cases[index].patient:
                return other
        return None


def phantom_cases(first: int, end: int) -> CaseList:
    """Return phantoms of seeds `first` to `end` - 1; training uses seeds from 1,000,000 on.

    Their yes/no questions are left out: each finding is asked for by its template.
    """
    from napari_ct_assistant.phantoms import draw_truth, make_phantom

    def read(seed: int) -> CTVolume:
        return make_phantom(seed).volume

    name = f"phantoms:{first}:{end}"
    cases = []
    for seed in range(first, end):
        truth = draw_truth(seed)
        questions = [
            Asked(q.question, q.answer, q.kind, listed_choices(q.question), q.kind == CHOICE)
            for q in truth.questions
            if q.kind != YES_NO
        ]
        cases.append(
            Case(
                key=f"phantom-{seed}",
                patient=f"phantom-{seed}",
                open=partial(read, seed),
                reports={WHOLE: truth.report},
                labels=truth.labels,
                questions=questions,
            )
        )
    return CaseList(name, hashlib.sha256(name.encode()).hexdigest(), tuple(cases))


def record_cases(name: str, records: Sequence[ScanRecord]) -> CaseList:
    """Return the cases of records as the data sets' readers make them.

    Names and patients become digits that only somebody who has the data set itself can make
    again: its whole content goes into them.
    """
    content = hashlib.sha256()
    for r in records:
        told = (r.name, r.patient, dict(r.reports), dict(r.labels), [*r.questions], r.stored)
        content.update(repr(told).encode())
    digest = content.hexdigest()

    def hidden(text: str) -> str:
        return hashlib.sha256(f"{digest} {text}".encode()).hexdigest()[:12]

    return CaseList(
        name,
        digest,
        tuple(
            Case(
                key=hidden(f"{r.dataset} {r.name}"),
                patient=hidden(r.patient),
                open=partial(read_scan, r.image, r.stored),
                reports=r.reports,
                labels=r.labels,
                questions=[_asked(question) for question in r.questions],
                patient_hash=r.patient,
            )
            for r in records
        ),
    )


def table_cases(table: Path) -> CaseList:
    """Return the cases of a CSV.

    Columns: `image` (paths relative to the CSV), and any of `report`, `question` with `answer`,
    `kind` and `choices` (parted by "|"), `patient`, and the 18 findings with 0 or 1. A scan with
    several questions has several rows; rows of one image belong together.

    Raises
    ------
    RecipeError
        If the table is absent, or a row says something else than another of the same image.
    """
    reports: dict[str, str] = {}
    patients: dict[str, str] = {}
    labels: dict[str, dict[str, int]] = {}
    questions: dict[str, list[Question]] = {}
    for line, row in read_rows(table, ("image",)):
        where = f"{table} row {line}"
        image = row["image"].strip()
        if not image:
            raise RecipeError(f"{where}: image is empty")
        patient = row.get("patient", "").strip()
        report = one_line(row.get("report"))
        for known, value, what in ((patients, patient, "patient"), (reports, report, "report")):
            if value and known.setdefault(image, value) != value:
                raise RecipeError(f"{where}: another row gives this image another {what}")
        found = labels.setdefault(image, {})
        for name in FINDINGS:
            value = row.get(name, "").strip()
            if value and (
                value not in ("0", "1") or found.setdefault(name, int(value)) != int(value)
            ):
                raise RecipeError(
                    f"{where}: {name} is {value!r}, not 0 or 1, or not always the same"
                )
        question = _row_question(row, where)
        if question is not None:
            questions.setdefault(image, []).append(question)
    if not labels:
        raise RecipeError(f"{table}: no rows")
    folder = table.parent.resolve()
    return record_cases(
        table.name,
        [
            ScanRecord(
                dataset="table",
                name=image,
                image=folder / image,
                patient=patient_hash("table", patients.get(image) or image),
                reports={WHOLE: reports[image]} if image in reports else {},
                labels=found,
                questions=tuple(questions.get(image, ())),
            )
            for image, found in labels.items()
        ],
    )


def _row_question(row: dict[str, str], where: str) -> Question | None:
    question, answer = one_line(row.get("question")), (row.get("answer") or "").strip()
    if not question:
        return None
    if not answer:
        raise RecipeError(f"{where}: the question has no answer")
    choices = tuple(part.strip() for part in row.get("choices", "").split("|") if part.strip())
    if choices and len(answer) == 1 and "A" <= answer.upper() < chr(ord("A") + len(choices)):
        answer = choices[ord(answer.upper()) - ord("A")]
    kind = row.get("kind", "").strip() or (CHOICE if choices else "free")
    try:
        return Question(question, answer, kind, choices=choices)  # type: ignore[arg-type]
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from None


def _asked(question: Question) -> Asked:
    return Asked(question.question, question.answer, question.kind, tuple(question.choices))


def listed_choices(question: str) -> tuple[str, ...]:
    """Return the choices that a question's own text lists: "... A. left. B. right."."""
    found = list(_LISTED.finditer(question))
    letters = [match[1].upper() for match in found]
    if len(found) < 2 or letters != [chr(ord("A") + i) for i in range(len(found))]:
        return ()
    ends = [match.start() for match in found[1:]] + [len(question)]
    return tuple(
        question[match.end() : end].strip().rstrip(".")
        for match, end in zip(found, ends, strict=True)
    )


def patients_of(cases: Iterable[Case]) -> int:
    """Count patients."""
    return len({case.patient for case in cases})
