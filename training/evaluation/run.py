"""One evaluation from start to end: ask, score, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.training.data.leaks import guard_cases
from napari_ct_assistant.training.evaluation.cases import CaseList, patients_of
from napari_ct_assistant.training.evaluation.diagnosis import diagnosis_figures, diagnosis_items
from napari_ct_assistant.training.evaluation.examiner import TASKS, AnswerLog, Examiner
from napari_ct_assistant.training.evaluation.metric_values import (
    Figure,
    choice_figures,
    question_items,
    report_items,
    text_figures,
)
from napari_ct_assistant.training.evaluation.metrics.text_metrics import TextMetric, text_metrics
from napari_ct_assistant.training.evaluation.plot import draw
from napari_ct_assistant.training.evaluation.tables import write_tables


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
    """Ask a model about every case and write what its answers are worth.

    Parameters
    ----------
    assistant : Assistant
    cases : CaseList
    folder
        Gets answers.jsonl, figures.csv, figures.json, figures.md and figures.png. Interrupted,
        the same call goes on where it was.
    tasks
        Some of `TASKS`.
    baselines
        Also ask without the image, and with another patient's.
    metrics
        For texts; BLEU-1, ROUGE-1 and METEOR when absent.
    skip_unreadable
        List a scan that cannot be read instead of raising.
    progress
        Called with (answers there, answers wanted).

    Returns
    -------
    dict
        What figures.json holds.

    Raises
    ------
    RecipeError
        If the folder holds another evaluation, nothing can be asked, or the model was trained on
        one of the patients or scans.
    CTReadError
        If a scan cannot be read.
    """
    if assistant.info.files:
        cases = guard_cases(assistant.info.files[0].parent, cases)
    log = AnswerLog(folder, _identity(assistant, cases))
    examiner = Examiner(assistant, cases, tuple(tasks), baselines=baselines)
    examiner.run(log, progress, skip_unreadable=skip_unreadable)
    figures = score(examiner, log, text_metrics() if metrics is None else metrics)
    about = {
        "model": assistant.info.to_json(),
        "dataset": cases.name,
        "scans": len(cases.cases) - len(log.unreadable),
        "patients": patients_of(cases.cases),
        "unreadable": log.unreadable,
        "settings": vars(assistant.settings).copy(),
        "versions": {
            name: version(name) for name in ("napari-ct-assistant", "torch", "transformers")
        },
    }
    write_tables(folder, figures, about)
    draw(figures, f"{assistant.info.name} on {cases.name}", folder / "figures.png")
    return {**about, "figures": [vars(figure) for figure in figures]}


def score(examiner: Examiner, log: AnswerLog, metrics: Sequence[TextMetric]) -> list[Figure]:
    """Turn what was said into figures."""
    tasks = examiner.tasks
    figures: list[Figure] = []
    if "report" in tasks:
        figures += text_figures("report", report_items(examiner, log), metrics)
    if "vqa" in tasks:
        figures += text_figures("vqa", question_items(examiner, log, choice=False), metrics)
    if "choice" in tasks:
        figures += choice_figures(question_items(examiner, log, choice=True))
    if "diagnosis" in tasks:
        figures += diagnosis_figures(diagnosis_items(examiner, log))
    return figures


def _identity(assistant: Assistant, cases: CaseList) -> dict[str, Any]:
    """Return what answers depend on. More scans of the same data set may follow."""
    return {
        "model": assistant.info.name,
        "weights_sha256": assistant.info.weights_sha256,
        "data_set": cases.name,
        "data_set_digest": cases.digest,
        "settings": vars(assistant.settings).copy(),
    }
