"""Each question about each case, with its true answer and the answers of every source."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ct_assistant.report_text.yes_no import chosen_letter
from napari_ct_assistant.training.evaluation.answer_log import NO_IMAGE, AnswerKey, AnswerLog
from napari_ct_assistant.training.evaluation.cases import CHOICE, CaseQuestion
from napari_ct_assistant.training.evaluation.examiner import REPORT, Examiner
from napari_ct_assistant.training.evaluation.metrics.baselines import BLIND, MODEL, SHUFFLED

ALL = "all"


@dataclass(frozen=True)
class AnswerSet:
    """One question about one case.

    Parameters
    ----------
    group
        Kind of question, region of a report, or finding.
    patient, question
    truth
        The true answer; the letter of a choice; "1" or "0" for a finding.
    texts
        {source: answer}, with the sources "model", "blind" and "shuffled" as far as asked.
    choices
        Of a multiple-choice question.
    probability
        {source: probability of "Yes"} of a finding's question.
    margin
        {source: margin} of a finding that the model only orders scans by; None otherwise.
    """

    group: str
    patient: str
    question: str
    truth: str
    texts: dict[str, str]
    choices: tuple[str, ...] = ()
    probability: dict[str, float] | None = None
    margin: dict[str, float] | None = None


def _sources(examiner: Examiner, log: AnswerLog, index: int, question: str) -> dict[str, AnswerKey]:
    """Return {source: key in the log} of the answers to a case's question, as far as logged."""
    cases = examiner.cases.cases
    keys = {MODEL: (cases[index].key, question)}
    if examiner.baselines:
        keys[BLIND] = (NO_IMAGE, question)
        partner = examiner.partners[index]
        if partner is not None:
            keys[SHUFFLED] = (cases[partner].key, question)
    return {source: key for source, key in keys.items() if key in log.answers}


def report_answers(examiner: Examiner, log: AnswerLog) -> list[AnswerSet]:
    """Return the reports, and each region's part where both model and data set have regions."""
    sets = []
    for index, case in enumerate(examiner.cases.cases):
        keys = _sources(examiner, log, index, REPORT)
        if not case.reports or MODEL not in keys:
            continue
        answers = {source: log.answers[key] for source, key in keys.items()}
        texts = {source: answer.text for source, answer in answers.items()}
        sets.append(AnswerSet(ALL, case.patient, REPORT, case.report, texts))
        sections = answers[MODEL].sections or {}
        by_region = len(case.reports) > 1 or next(iter(case.reports)) in sections
        for region in (name for name in case.reports if by_region and name in sections):
            texts = {
                source: (answer.sections or {}).get(region, "")
                for source, answer in answers.items()
            }
            sets.append(AnswerSet(region, case.patient, region, case.reports[region], texts))
    return sets


def question_answers(examiner: Examiner, log: AnswerLog, *, choice: bool) -> list[AnswerSet]:
    """Return the multiple-choice questions, or all others."""
    sets = []
    for index, case in enumerate(examiner.cases.cases):
        for asked in case.questions:
            question = examiner.question_text(asked)
            keys = _sources(examiner, log, index, question)
            if (asked.kind == CHOICE) == choice and MODEL in keys:
                sets.append(
                    AnswerSet(
                        asked.kind,
                        case.patient,
                        question,
                        _true_letter(asked) if choice else asked.answer,
                        {source: log.answers[key].text for source, key in keys.items()},
                        asked.choices,
                    )
                )
    return sets


def _true_letter(asked: CaseQuestion) -> str:
    if asked.answer in asked.choices:
        return chr(ord("A") + asked.choices.index(asked.answer))
    return chosen_letter(asked.answer, asked.choices) or asked.answer


def finding_answers(examiner: Examiner, log: AnswerLog) -> list[AnswerSet]:
    """Return every labelled (case, finding) pair; the group is the finding."""
    sets = []
    for index, case in enumerate(examiner.cases.cases):
        for finding, label in case.labels.items():
            question = examiner.finding_question(finding)
            keys = _sources(examiner, log, index, question)
            if MODEL not in keys:
                continue
            answers = {source: log.answers[key] for source, key in keys.items()}
            sets.append(
                AnswerSet(
                    finding,
                    case.patient,
                    question,
                    str(label),
                    {source: answer.text for source, answer in answers.items()},
                    probability={
                        source: answer.probability
                        for source, answer in answers.items()
                        if answer.probability is not None
                    },
                    margin={
                        source: answer.margin
                        for source, answer in answers.items()
                        if answer.margin is not None
                    }
                    or None,
                )
            )
    return sets
