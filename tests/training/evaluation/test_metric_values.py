"""Diagnosis, choices, texts and constant answers on made-up answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from napari_ct_assistant.training.evaluation.answer_sets import AnswerSet
from napari_ct_assistant.training.evaluation.diagnosis import MACRO, diagnosis_values
from napari_ct_assistant.training.evaluation.metric_values import (
    REGIONS,
    choice_values,
    text_values,
)
from napari_ct_assistant.training.evaluation.metrics.text_metrics import Array, TextMetric


def diagnosed(labels: list[int], answers: list[str], scores: list[float]) -> list[AnswerSet]:
    return [
        AnswerSet(
            finding,
            f"patient {i}",
            f"{finding}?",
            str(label),
            {"model": answer, "blind": "Yes.", "shuffled": answers[i - 1]},
            probability={"model": score, "blind": 0.7, "shuffled": scores[i - 1]},
        )
        for finding in ("Nodule", "Hernia")
        for i, (label, answer, score) in enumerate(zip(labels, answers, scores, strict=True))
    ]


def test_diagnosis_pooled_and_by_finding() -> None:
    labels = [1, 0, 0, 1, 0, 0]
    answers = ["Yes, a big one.", "No.", "No", "Yes.", "I cannot say.", "No evidence of it."]
    scores = [0.9, 0.2, 0.1, 0.8, 0.4, 0.3]
    figures = diagnosis_values(diagnosed(labels, answers, scores))
    found = {(f.group, f.answers, f.metric): f for f in figures}
    for group in ("pooled", "Nodule", "Hernia"):
        assert found[group, "model", "BACC"].value == 100
        assert found[group, "model", "AUROC"].value == 100
        assert found[group, "blind", "BACC"].value == 50
        assert found[group, "blind", "AUROC"].value == 50
        assert found[group, "all yes", "F1"].value == pytest.approx(50)  # 1/3 positives
        assert found[group, "most common", "recall"].value == 0
        assert found[group, "model", "neither yes nor no"].value == pytest.approx(100 / 6)
        assert found[group, "truth", "present"].value == pytest.approx(100 / 3)
    # The neighbour's answers: yes for patients 1 and 4, none of whom has it.
    assert found["Nodule", "shuffled", "BACC"].value == pytest.approx(25)
    assert found["Nodule", "model - shuffled", "BACC"].value == pytest.approx(75)
    assert found["pooled", "model", "BACC"].items == 12
    assert found["pooled", "model", "BACC"].patients == 6
    gain = found["pooled", "model - shuffled", "BACC"]
    assert gain.low <= gain.value <= gain.high


def test_choices_beside_chance_and_the_commonest() -> None:
    said = ["A. x", "A", "B.", "neither"]
    truth = ["A", "B", "B", "B"]
    items = [
        AnswerSet("multiple_choice", f"p{i}", f"q{i}", t, {"model": s}, ("x", "y"))
        for i, (s, t) in enumerate(zip(said, truth, strict=True))
    ]
    found = {(f.answers, f.metric): f.value for f in choice_values(items)}
    assert found["model", "accuracy"] == 50
    assert found["most common", "accuracy"] == 75
    assert found["chance", "accuracy"] == 50
    assert found["model", "no choice named"] == 25


def test_identical_answers_are_counted_by_question() -> None:
    items = [
        AnswerSet("free", f"p{i}", "what?", truth, {"model": "Nothing."})
        for i, truth in enumerate(["a", "b", "b", "c"])
    ]
    found = {
        f.answers: f.value for f in text_values("vqa", items, []) if f.metric == "identical answers"
    }
    assert found == {"model": 100, "truth": 50}


def test_groups_stand_beside_the_whole() -> None:
    items = [
        AnswerSet(kind, f"p{i}", "q", "No.", {"model": "No, none."})
        for i, kind in enumerate(["yes_no", "yes_no", "short"])
    ]
    figures = text_values("vqa", items, [])
    assert {f.group for f in figures} >= {"all", "yes_no"} - {"all"}
    assert [f.value for f in figures if f.metric == "accuracy" and f.answers == "model"] == [100]


def test_macro_figures_are_the_mean_of_the_findings() -> None:
    easy = diagnosed([1, 0, 0, 1, 0, 0], ["Yes.", "No.", "No.", "Yes.", "No.", "No."], [0.9] * 6)
    hard = diagnosed([1, 1, 0, 0, 0, 0], ["No.", "Yes.", "Yes.", "No.", "No.", "No."], [0.1] * 6)
    sets = [*easy[:6], *hard[6:]]  # Nodule all right; Hernia 1 TP, 1 FP, 1 FN, 3 TN
    found = {(f.group, f.answers, f.metric): f for f in diagnosis_values(sets)}
    macro = {m: found[MACRO, "model", m] for m in ("F1", "precision", "recall", "accuracy", "BACC")}
    assert macro["F1"].value == pytest.approx((100 + 50) / 2)
    assert macro["recall"].value == pytest.approx((100 + 50) / 2)
    assert macro["accuracy"].value == pytest.approx((100 + 400 / 6) / 2)
    # Pooled is the micro average: 3 TP, 1 FP, 1 FN, 7 TN.
    assert found["pooled", "model", "F1"].value == pytest.approx(75)
    assert found["pooled", "model", "accuracy"].value == pytest.approx(1000 / 12)
    assert macro["F1"].low < macro["F1"].value <= macro["F1"].high
    assert macro["F1"].items == 12
    # The paper's Table 4 calls the plain accuracy of RadFM its BACC; here they are two columns.
    assert found["pooled", "all yes", "BACC"].value == 50
    assert found["pooled", "all yes", "accuracy"].value == pytest.approx(400 / 12)


def test_the_mean_over_regions_counts_each_region_once() -> None:
    def lengths(answers: Sequence[str], _references: Sequence[str]) -> Array:
        return np.array([float(len(text)) for text in answers])

    patients = [f"p{i}" for i in range(6)]
    sets = [AnswerSet("all", p, "", "x", {"model": "-" * 40}) for p in patients]
    sets += [AnswerSet("chest", p, "chest", "x", {"model": "-" * 10}) for p in patients]
    sets += [AnswerSet("pelvis", p, "pelvis", "x", {"model": "-" * 30}) for p in patients[:2]]
    found = {
        (f.group, f.metric): f
        for f in text_values("report", sets, [TextMetric("length", "test", lengths)])
        if f.answers == "model"
    }
    assert found[REGIONS, "length"].value == 20
    assert found["all", "length"].value == 40
    assert found[REGIONS, "length"].low == pytest.approx(20)
