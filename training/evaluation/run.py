"""One evaluation from start to end: ask, score, write the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.leaks import guard_cases
from napari_ct_assistant.training.evaluation.answer_log import AnswerLog
from napari_ct_assistant.training.evaluation.answer_sets import (
    finding_answers,
    question_answers,
    report_answers,
)
from napari_ct_assistant.training.evaluation.cases import (
    CaseList,
    refuse_absent_scans,
    refuse_empty_tasks,
)
from napari_ct_assistant.training.evaluation.diagnosis import diagnosis_values
from napari_ct_assistant.training.evaluation.examiner import DIAGNOSIS, TASKS, Examiner
from napari_ct_assistant.training.evaluation.metric_values import (
    MetricValue,
    choice_values,
    text_values,
)
from napari_ct_assistant.training.evaluation.metrics.text_metrics import TextMetric, text_metrics
from napari_ct_assistant.training.evaluation.plot import draw
from napari_ct_assistant.training.evaluation.tables import overview, write_tables
from napari_ct_assistant.training.release.measured import add_figures


def evaluate(
    assistant: Assistant,
    cases: CaseList,
    folder: Path,
    *,
    tasks: Sequence[str] = TASKS,
    baselines: bool = True,
    metrics: Sequence[TextMetric] | None = None,
    skip_unreadable: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Ask a model about every case, score its answers and write the tables.

    Parameters
    ----------
    assistant : Assistant
    cases : CaseList
    folder
        Receives answers.jsonl, figures.csv, figures.json, figures.md and figures.png. After an
        interruption the same call continues where it stopped.
    tasks
        Some of `TASKS`.
    baselines
        Also ask without the image, and about another patient's image.
    metrics
        Of texts; BLEU-1, ROUGE-1 and METEOR by default.
    skip_unreadable
        Skip unreadable scans and list them instead of raising.
    progress
        Called with (answers there, answers wanted).

    Returns
    -------
    dict
        The content of figures.json.

    Raises
    ------
    RecipeError
        If the folder holds another evaluation, the model was trained on one of the patients or
        scans, or there is nothing to ask.
    CTReadError
        If a scan cannot be read.
    """
    if not assistant.backend.capabilities.text:
        refuse_texts(assistant.info.name, tasks)
        tasks = (DIAGNOSIS,)
    refuse_empty_tasks(cases, (), among=tasks)
    if not skip_unreadable:
        refuse_absent_scans(cases)
    if assistant.info.files:
        cases = guard_cases(assistant.info.files[0].parent, cases)
    log = AnswerLog(folder, identity(assistant, cases))
    examiner = Examiner(assistant, cases, tuple(tasks), baselines=baselines)
    if not any(examiner.plan().values()):
        raise RecipeError(
            f"{cases.name}: {assistant.info.name} screens for none of the findings that the data "
            "have labels of"
        )
    examiner.run(log, progress, skip_unreadable=skip_unreadable)
    values = score(examiner, log, text_metrics() if metrics is None else metrics)
    if not values:
        raise RecipeError(f"{cases.name}: no scan could be read, so nothing was asked")
    about = {
        "model": assistant.info.to_json(),
        "dataset": cases.name,
        "scans": len(cases.cases) - len(log.unreadable),
        "patients": cases.patient_count,
        "unreadable": log.unreadable,
        "settings": vars(assistant.settings).copy(),
        "versions": {
            name: version(name) for name in ("napari-ct-assistant", "torch", "transformers")
        },
    }
    write_tables(folder, values, about)
    if assistant.info.files:
        add_figures(assistant.info.files[0].parent, cases.name, overview(values, about))
    draw(values, f"{assistant.info.name} on {cases.name}", folder / "figures.png")
    return {**about, "figures": [vars(value) for value in values]}


def refuse_texts(name: str, tasks: Sequence[str]) -> None:
    """Refuse tasks that a model which writes no text was named for; of all, it has one.

    Raises
    ------
    RecipeError
    """
    wrong = [task for task in tasks if task != DIAGNOSIS]
    if wrong and set(tasks) != set(TASKS):
        raise RecipeError(
            f"{name}: writes no text, so {wrong[0]} cannot be evaluated; give --task {DIAGNOSIS}"
        )


def score(examiner: Examiner, log: AnswerLog, metrics: Sequence[TextMetric]) -> list[MetricValue]:
    """Score the logged answers of every task."""
    tasks = examiner.tasks
    values: list[MetricValue] = []
    if "report" in tasks:
        values += text_values("report", report_answers(examiner, log), metrics)
    if "vqa" in tasks:
        values += text_values("vqa", question_answers(examiner, log, choice=False), metrics)
    if "choice" in tasks:
        values += choice_values(question_answers(examiner, log, choice=True))
    if "diagnosis" in tasks:
        values += diagnosis_values(finding_answers(examiner, log))
    return values


def identity(assistant: Assistant, cases: CaseList) -> dict[str, Any]:
    """Return what the answers depend on."""
    return {
        "model": assistant.info.name,
        "weights_sha256": assistant.info.weights_sha256,
        "data_set": cases.name,
        "data_set_digest": cases.digest,
        "settings": vars(assistant.settings).copy(),
    }
