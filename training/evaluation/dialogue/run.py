"""Ask a model the questions of the list about each scan, and write the page of answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.data.leaks import guard_cases
from napari_ct_assistant.training.evaluation.answer_log import NO_IMAGE, AnswerLog
from napari_ct_assistant.training.evaluation.cases import CaseList, CaseQuestion
from napari_ct_assistant.training.evaluation.dialogue.page import (
    Answered,
    as_page,
    write_picture,
)
from napari_ct_assistant.training.evaluation.dialogue.questions import (
    FILE,
    DialogueQuestion,
    dialogue_questions,
    truth_about,
)
from napari_ct_assistant.training.evaluation.dialogue.verdicts import verdict
from napari_ct_assistant.training.evaluation.examiner import Examiner
from napari_ct_assistant.training.evaluation.metrics.baselines import BLIND, MODEL, SHUFFLED
from napari_ct_assistant.training.evaluation.run import identity


def hold_dialogue(
    assistant: Assistant,
    cases: CaseList,
    folder: Path,
    *,
    baselines: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Answered]:
    """Ask every question of the list about every scan; write `dialogue.md` and `dialogue.json`.

    Parameters
    ----------
    assistant : Assistant
    cases : CaseList
        Their labels decide what is right; without labels, a reader has to.
    folder
        Also receives a picture of each scan and the answers. After an interruption the same call
        continues where it stopped.
    baselines
        Also ask without the image, and about another patient's image.
    progress
        Called with (answers there, answers wanted).

    Raises
    ------
    RecipeError
        If the folder holds another dialogue, or the model was trained on one of the patients.
    CTReadError
        If a scan cannot be read.
    """
    if assistant.info.files:
        cases = guard_cases(assistant.info.files[0].parent, cases)
    asked = dialogue_questions()
    examined = _with_questions(cases, asked)
    log = AnswerLog(folder, identity(assistant, examined))
    examiner = Examiner(assistant, examined, ("vqa",), baselines=baselines)
    examiner.run(log, progress)
    found = [
        _answered(number, question, examiner, log)
        for number in range(1, len(cases.cases) + 1)
        for question in asked
    ]
    for number, case in enumerate(cases.cases, start=1):
        if not (picture := folder / f"scan-{number}.png").exists():
            write_picture(case.open(), picture)
    shown = [_shown(case.labels) for case in cases.cases]
    atomic.write_text(folder / "dialogue.md", as_page(assistant.info, cases.name, shown, found))
    rows = [one.to_json() for one in found]
    content = {"model": assistant.info.to_json(), "dataset": cases.name, "answers": rows}
    atomic.write_text(folder / "dialogue.json", json.dumps(content, indent=2) + "\n")
    return found


def _with_questions(cases: CaseList, asked: tuple[DialogueQuestion, ...]) -> CaseList:
    """Return the same scans with the questions of the list instead of their own."""
    questions = [CaseQuestion(one.ask, "", one.about) for one in asked]
    digest = hashlib.sha256(f"{cases.digest} {FILE.read_text(encoding='utf-8')}".encode())
    return CaseList(
        f"dialogue on {cases.name}",
        digest.hexdigest(),
        tuple(replace(case, reports={}, questions=questions) for case in cases.cases),
    )


def _answered(
    scan: int, question: DialogueQuestion, examiner: Examiner, log: AnswerLog
) -> Answered:
    case, partner = examiner.cases.cases[scan - 1], examiner.partners[scan - 1]
    keys = {MODEL: case.key}
    if examiner.baselines:
        keys[BLIND] = NO_IMAGE
        if partner is not None:
            keys[SHUFFLED] = examiner.cases.cases[partner].key
    answers = {source: log.answers[key, question.ask].text for source, key in keys.items()}
    truth = truth_about(question.right, case.labels)
    verdicts = {source: verdict(question.right, truth, text) for source, text in answers.items()}
    return Answered(scan, question, truth, answers, verdicts)


def _shown(labels: Mapping[str, int]) -> str:
    found = [name.lower() for name, value in labels.items() if value]
    return ", ".join(found) or ("none of the 18 findings" if labels else "no labels")
