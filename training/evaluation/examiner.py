"""Asks a model every question about every scan, and logs the answers as they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from napari_ct_assistant.assistant import Assistant, Reading
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.evaluation.answer_log import (
    NO_IMAGE,
    AnswerKey,
    AnswerLog,
    ModelAnswer,
)
from napari_ct_assistant.training.evaluation.cases import CHOICE, Case, CaseList, CaseQuestion
from napari_ct_assistant.training.evaluation.metrics.baselines import shuffled_partners
from napari_ct_assistant.volume import CTReadError

DIAGNOSIS = "diagnosis"
TASKS = ("report", "vqa", "choice", DIAGNOSIS)
REPORT = ""  # stands for the question that asks for the report
_YES_NO_TOKENS = 16  # length limit of an answer of which only yes or no is read


class Examiner:
    """Asks a model everything that a list of cases needs.

    Parameters
    ----------
    assistant : Assistant
    cases : CaseList
    tasks
        Some of `TASKS`.
    baselines : bool
        Also ask without the image, and about another patient's image.

    Attributes
    ----------
    partners : list of int or None
        For each case the one whose image is shown for "shuffled".
    """

    def __init__(
        self, assistant: Assistant, cases: CaseList, tasks: tuple[str, ...], *, baselines: bool
    ):
        self.assistant = assistant
        self.cases = cases
        self._writes = assistant.backend.capabilities.text
        self.tasks = tasks if self._writes else tuple(t for t in tasks if t == DIAGNOSIS)
        self.baselines = baselines
        self.partners = shuffled_partners([case.patient for case in cases.cases])
        self._brief_settings = replace(assistant.settings, max_new_tokens=_YES_NO_TOKENS)
        names = dict.fromkeys([*FINDINGS, *(n for case in cases.cases for n in case.labels)])
        self._finding_questions = {self.finding_question(name) for name in names}
        known = assistant.backend.capabilities.labels
        everything = self._writes or assistant.backend.capabilities.free_findings
        # The findings that the model has a score for; None: all.
        self._screened = None if everything else {n for part in known.values() for n in part}
        # A finding's question that the data set also asks itself is answered at full length.
        asked_too = [one for case in cases.cases for one in case.questions if self._writes]
        own = {self.question_text(asked) for asked in asked_too}
        self._brief_questions = self._finding_questions - own if "diagnosis" in tasks else set()

    def question_text(self, asked: CaseQuestion) -> str:
        """Return a question in the form in which this model is asked it."""
        if asked.choices and not asked.choices_in_text:
            text = self.assistant.backend.choices_question(asked.question, asked.choices)
            return " ".join(text.split())
        return " ".join(asked.question.split())

    def finding_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return self.assistant.backend.finding_question(finding)

    def questions_of(self, case: Case) -> Iterator[str]:
        """Yield every question about a case, `REPORT` for its report."""
        if "report" in self.tasks and case.reports:
            yield REPORT
        for asked in case.questions:
            if ("choice" if asked.kind == CHOICE else "vqa") in self.tasks:
                yield self.question_text(asked)
        if "diagnosis" in self.tasks:
            names = [n for n in case.labels if self._screened is None or n in self._screened]
            yield from map(self.finding_question, names)

    def plan(self) -> dict[str, list[str]]:
        """Return {image: questions}; with baselines also its neighbour's, and `NO_IMAGE`."""
        plan: dict[str, dict[str, None]] = {case.key: {} for case in self.cases.cases}
        blind: dict[str, None] = {}
        for case, partner in zip(self.cases.cases, self.partners, strict=True):
            questions = dict.fromkeys(self.questions_of(case))
            plan[case.key].update(questions)
            if self.baselines:
                blind.update(questions)
                if partner is not None:
                    plan[self.cases.cases[partner].key].update(questions)
        return {**{key: list(asked) for key, asked in plan.items()}, NO_IMAGE: list(blind)}

    def run(
        self,
        log: AnswerLog,
        progress: Callable[[int, int], None] | None = None,
        *,
        skip_unreadable: bool = False,
    ) -> None:
        """Ask every question that the log has no answer to.

        Parameters
        ----------
        log : AnswerLog
        progress
            Called with (answers there, answers wanted).
        skip_unreadable
            List an unreadable scan in the log instead of raising.

        Raises
        ------
        CTReadError
            If a scan cannot be read and is not to be skipped.
        """
        plan = self.plan()
        total = sum(map(len, plan.values()))
        done = sum((key, q) in log.answers for key, asked in plan.items() for q in asked)
        tell = progress or (lambda _done, _total: None)
        tell(done, total)
        blind = [q for q in plan.pop(NO_IMAGE) if (NO_IMAGE, q) not in log.answers]
        for number, case in enumerate(self.cases.cases, start=1):
            missing = [q for q in plan[case.key] if (case.key, q) not in log.answers]
            if not missing and not blind:
                continue
            try:
                reading = self.assistant.read(case.open())
            except CTReadError:
                if not skip_unreadable:
                    raise
                log.unreadable.append(f"scan {number}")
                total -= len(missing)
                continue
            for key, answer in self._ask_all(reading, case.key, missing):
                log.add(key, answer)
                done += 1
                tell(done, total)
            if blind:  # the same for every scan: asked once
                for key, answer in self._ask_all(reading.without_image(), NO_IMAGE, blind):
                    log.add(key, answer)
                    done += 1
                    tell(done, total)
                blind = []

    def _ask_all(
        self, reading: Reading, image: str, questions: list[str]
    ) -> Iterator[tuple[AnswerKey, ModelAnswer]]:
        if not self._writes:
            for finding, answer in screened_answers(reading, questions):
                yield (image, finding), answer
            return
        probabilities = self._probabilities(reading, questions)
        for question in questions:
            if question == REPORT:
                draft = reading.draft_report(evidence=False)
                yield (image, question), ModelAnswer(draft.text, dict(draft.sections))
            else:
                settings = self._brief_settings if question in self._brief_questions else None
                text = reading.ask(question, evidence=False, settings=settings).text
                answer = ModelAnswer(text, probability=probabilities.get(question))
                yield (image, question), answer

    def _probabilities(self, reading: Reading, questions: list[str]) -> dict[str, float]:
        """Return {question: probability of "Yes"} for the findings of the screen."""
        asked = self._finding_questions.intersection(questions)
        if "diagnosis" not in self.tasks or not asked:
            return {}
        return {
            self.finding_question(row.name): row.probability
            for row in reading.screen()
            if row.probability is not None
        }


def screened_answers(reading: Reading, findings: list[str]) -> Iterator[tuple[str, ModelAnswer]]:
    """Yield what a model that writes no text says of findings.

    With a calibrated threshold it says yes or no. Without one it only orders scans.

    Raises
    ------
    RecipeError
        If it has no score for a finding.
    """
    free = reading.backend.capabilities.free_findings
    rows = {row.name: row for row in reading.screen(findings if free else ())}
    for name in findings:
        row = rows.get(name)
        if row is None or (row.probability is None and row.margin is None):
            raise RecipeError(
                f"{reading.info.name}: gives no score for {name!r}, so it cannot be measured; it "
                "offers places only"
            )
        if row.probability is None or row.threshold is None:
            yield name, ModelAnswer("", margin=row.score)
        else:
            said = "Yes." if row.reaches_threshold else "No."
            yield name, ModelAnswer(said, probability=row.probability)
