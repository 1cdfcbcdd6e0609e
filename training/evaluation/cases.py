"""What a model is evaluated on: scans with reports, questions and labels, from any source."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.files import Skips
from napari_ct_assistant.training.data.datasets.preparing import read_scan
from napari_ct_assistant.training.data.datasets.record import (
    WHOLE,
    Question,
    ScanRecord,
)
from napari_ct_assistant.training.data.datasets.specs import HELD_OUT
from napari_ct_assistant.training.data.datasets.splits import keep_split
from napari_ct_assistant.training.data.datasets.table import table_records
from napari_ct_assistant.volume import CTReadError, CTVolume

CHOICE = "multiple_choice"
YES_NO = "yes_no"
_LISTED_CHOICE = re.compile(r"(?:^|(?<=\s))\(?([A-Ha-h])[.)]\s+")


@dataclass(frozen=True)
class CaseQuestion:
    """A question about one scan, with its true answer.

    Parameters
    ----------
    question, answer
    kind
        Groups questions in the tables.
    choices
        Of a multiple-choice question.
    choices_in_text
        Whether the question's own text lists the choices. Otherwise the model's processor
        adds them.
    """

    question: str
    answer: str
    kind: str = "free"
    choices: tuple[str, ...] = ()
    choices_in_text: bool = False


@dataclass(frozen=True)
class Case:
    """One scan and what is true of it.

    Parameters
    ----------
    key, patient
        Pseudonymous ids, unique in the data set.
    open
        Reads the scan in HU.
    reports
        {"report": text}, or one text per region.
    labels
        {finding: 0 or 1}.
    questions
    patient_hash
        As in `training_data.json`, to recognise patients that a model was trained on. It is
        never written.
    image
        The file or folder, if it is one; never written.
    """

    key: str
    patient: str
    open: Callable[[], CTVolume]
    reports: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    questions: Sequence[CaseQuestion] = ()
    patient_hash: str = ""
    image: Path | None = None

    @property
    def report(self) -> str:
        """The whole report, with a blank line between regions."""
        return "\n\n".join(self.reports.values())


@dataclass(frozen=True)
class CaseList:
    """The cases of one data set.

    Parameters
    ----------
    name
        As the tables show it.
    digest
        Differs between data sets of different content.
    cases : tuple of Case
    notes
        Lines about what was read in a way that the user may not expect.
    """

    name: str
    digest: str
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()

    @property
    def patient_count(self) -> int:
        """Number of different patients."""
        return len({case.patient for case in self.cases})


def phantom_cases(first: int, end: int) -> CaseList:
    """Return the phantoms of seeds `first` to `end` - 1; training uses seeds from 1,000,000 on.

    Their yes/no questions are left out, since the task "diagnosis" asks about each finding.
    """
    from napari_ct_assistant.phantoms import draw_truth, make_phantom

    def read(seed: int) -> CTVolume:
        return make_phantom(seed).volume

    name = f"phantoms:{first}:{end}"
    cases = []
    for seed in range(first, end):
        truth = draw_truth(seed)
        questions = [
            CaseQuestion(q.question, q.answer, q.kind, listed_choices(q.question), q.kind == CHOICE)
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
    """Return the cases of records that the data sets' readers give.

    Names and patients become pseudonyms. The data set's whole content is hashed into them, so
    nobody without the data set can reproduce them.
    """
    content = hashlib.sha256()
    for r in records:
        hashed = (r.name, r.patient, dict(r.reports), dict(r.labels), [*r.questions], r.stored)
        content.update(repr(hashed).encode())
    digest = content.hexdigest()

    def pseudonym(text: str) -> str:
        return hashlib.sha256(f"{digest} {text}".encode()).hexdigest()[:12]

    return CaseList(
        name,
        digest,
        tuple(
            Case(
                key=pseudonym(f"{r.dataset} {r.name}"),
                patient=pseudonym(r.patient),
                open=partial(read_scan, r.image, r.stored),
                reports=r.reports,
                labels=r.labels,
                questions=[_case_question(question) for question in r.questions],
                patient_hash=r.patient,
                image=r.image,
            )
            for r in records
        ),
    )


def table_cases(table: Path, split: str | None = None) -> CaseList:
    """Return the cases of a CSV file.

    `training.data.datasets.table` says what its columns are. `split` selects the scans of a split
    as training does: by the column `split`, or 10 % of the patients as "test". Without it, a table
    with such a column gives its test scans, another one all scans.

    Raises
    ------
    RecipeError
        If the table is absent or damaged, rows contradict each other, or no scan is in the split.
    """
    skips = Skips()
    records = table_records(table, skips)
    wanted = split or ("test" if any(r.split for r in records) else "all")
    name = table.name if wanted == "all" else f"{table.name} {wanted}"
    cases = record_cases(name, keep_split(records, wanted, HELD_OUT))
    return replace(cases, notes=tuple(skips.notes))


def _case_question(question: Question) -> CaseQuestion:
    return CaseQuestion(question.question, question.answer, question.kind, tuple(question.choices))


def listed_choices(question: str) -> tuple[str, ...]:
    """Return the choices that a question's own text lists, as in "... A. left. B. right."."""
    found = list(_LISTED_CHOICE.finditer(question))
    letters = [match[1].upper() for match in found]
    if len(found) < 2 or letters != [chr(ord("A") + i) for i in range(len(found))]:
        return ()
    ends = [match.start() for match in found[1:]] + [len(question)]
    return tuple(
        question[match.end() : end].strip().rstrip(".")
        for match, end in zip(found, ends, strict=True)
    )


def refuse_empty_tasks(
    cases: CaseList,
    tasks: Sequence[str],
    among: Sequence[str] = ("report", "vqa", "choice", "diagnosis"),
) -> None:
    """Refuse tasks that no case has anything for, before a model is loaded or trained.

    Parameters
    ----------
    cases : CaseList
    tasks
        The tasks that the user named; if none, one of `among` is enough.
    among
        All tasks.

    Raises
    ------
    RecipeError
    """
    kinds = {asked.kind for case in cases.cases for asked in case.questions}
    there = {
        "report": any(case.reports for case in cases.cases),
        "vqa": bool(kinds - {CHOICE}),
        "choice": CHOICE in kinds,
        "diagnosis": any(case.labels for case in cases.cases),
    }
    missing = [task for task in tasks if not there[task]]
    if not tasks and not any(there[task] for task in among):
        missing = list(among)
    if missing:
        what = {"report": "reports", "diagnosis": "labels of findings"}
        shown = " and no ".join(dict.fromkeys(what.get(task, "questions") for task in missing))
        raise RecipeError(
            f"{cases.name}: no {shown} for {' or '.join(missing)}; name a recipe whose "
            "data.questions has questions of these scans, or another --task"
        )


def refuse_absent_scans(cases: CaseList) -> None:
    """Name all scans that do not exist in one error, before hours are spent on the others.

    Raises
    ------
    CTReadError
    """
    images = [case.image for case in cases.cases if case.image is not None]
    absent = [image for image in images if not image.exists()]
    if len(absent) > 1:
        raise CTReadError(
            absent[0],
            f"does not exist, nor do {len(absent) - 1} more of {len(images)} scans; check the "
            "paths, or skip them with --skip-unreadable",
        )
