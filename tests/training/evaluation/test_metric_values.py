"""Intervals, diagnosis, choices and constant answers against references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from napari_ct_assistant.report_text.yes_no import chosen_letter, yes_or_no
from napari_ct_assistant.training.evaluation.diagnosis import (
    FROM_COUNTS,
    confusion,
    diagnosis_figures,
    rates,
)
from napari_ct_assistant.training.evaluation.metric_values import Item, choice_figures, text_figures
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    commonest_for_each,
    most_central,
)
from napari_ct_assistant.training.evaluation.metrics.bootstrap import (
    PatientBootstrap,
    weighted_auroc,
)


def test_a_draw_takes_whole_patients() -> None:
    bootstrap = PatientBootstrap(["a", "a", "b", "c", "a"], draws=200)
    assert bootstrap.count == 3
    assert (bootstrap.times.sum(axis=1) == 3).all()
    values = np.array([1.0, 2.0, 10.0, 100.0, 3.0])
    drawn = bootstrap.of_mean(values)
    a, b, c = bootstrap.times.T
    # By hand: patient a brings three items that sum to 6.
    assert drawn == pytest.approx((6 * a + 10 * b + 100 * c) / (3 * a + b + c))


def test_interval_is_the_t_interval_for_many_patients() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    bootstrap = PatientBootstrap(range(400), draws=4000)
    low, high = bootstrap.interval(bootstrap.of_mean(values))
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_items_of_one_patient_widen_the_interval() -> None:
    one = np.random.default_rng(1).normal(size=50)
    ten = np.repeat(one, 10)
    apart = PatientBootstrap(range(500))
    together = PatientBootstrap(np.repeat(range(50), 10).tolist())
    wide = np.ptp(together.interval(together.of_mean(ten)))
    narrow = np.ptp(apart.interval(apart.of_mean(ten)))
    assert wide / narrow == pytest.approx(10**0.5, rel=0.2)


def test_too_few_patients_have_no_interval() -> None:
    bootstrap = PatientBootstrap("aaabbbccc")
    assert all(map(math.isnan, bootstrap.interval(bootstrap.of_mean(np.arange(9.0)))))


def test_weighted_auroc_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 60).astype(float)
    score = rng.integers(0, 8, 60).astype(float)  # with ties
    weights = rng.integers(0, 4, (20, 60)).astype(float)
    found = weighted_auroc(truth, score, weights)
    for w, area in zip(weights, found, strict=True):
        assert area == pytest.approx(roc_auc_score(truth, score, sample_weight=w))
    assert math.isnan(weighted_auroc(np.ones(3), np.arange(3.0), np.ones((1, 3)))[0])


def test_rates_by_hand_and_from_counts() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1.0])
    yes = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0.0])
    # 2 of 4 found, 5 of 6 left alone, 2 of 3 yeses right.
    assert rates(truth, yes) == pytest.approx(
        {
            "BACC": 100 * (0.5 + 5 / 6) / 2,
            "precision": 200 / 3,
            "recall": 50.0,
            "F1": 100 * 4 / 7,
        }
    )
    references = {
        "BACC": balanced_accuracy_score,
        "precision": precision_score,
        "recall": recall_score,
        "F1": f1_score,
    }
    sums = confusion(truth, yes).sum(axis=0)[None]
    for name, reference in references.items():
        assert FROM_COUNTS[name](sums)[0] == pytest.approx(reference(truth, yes)), name
    assert rates(truth, np.zeros(10))["precision"] == 0
    assert FROM_COUNTS["precision"](confusion(truth, np.zeros(10)).sum(axis=0)[None])[0] == 0


def test_all_yes_is_the_papers_baseline() -> None:
    """E3D-GPT's Table 4 has 19.26 % of positives: all-yes then reaches an F1 of 32.3."""
    truth = np.array([1.0] * 1926 + [0.0] * 8074)
    found = rates(truth, np.ones(10000))
    assert found["F1"] == pytest.approx(32.3, abs=0.05)
    assert found["precision"] == pytest.approx(19.26)
    assert found["BACC"] == 50


def diagnosed(labels: list[int], answers: list[str], scores: list[float]) -> list[Item]:
    return [
        Item(
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
    figures = diagnosis_figures(diagnosed(labels, answers, scores))
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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes, there is a nodule.", True),
        ("no", False),
        ("**No**, there is none.", False),
        ("The image does not show signs of emphysema.", False),
        ("There is no evidence of a nodule.", False),
        ("There is a small nodule.", True),
        ("The scan shows emphysema.", True),
        ("Nodules", None),
        ("Notable is the heart.", None),
        ("", None),
    ],
)
def test_yes_or_no(answer: str, said: bool | None) -> None:
    assert yes_or_no(answer) is said


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B. left lung", "B"),
        ("B", "B"),
        ("(b) left lung", "B"),
        ("b) left lung", "B"),
        ("The answer is B.", "B"),
        ("Answer: B", "B"),
        ("It lies in the left lung", "B"),
        ("right lung or left lung", None),
        ("A nodule is seen", None),
        ("E. nothing", None),
        ("", None),
        ("Right lung (A).", "A"),
        ("The side of the heart (B)", "B"),
    ],
)
def test_chosen_letter(answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, ("right lung", "left lung", "right", "heart")[:2]) == letter


def test_choices_beside_chance_and_the_commonest() -> None:
    said = ["A. x", "A", "B.", "neither"]
    truth = ["A", "B", "B", "B"]
    items = [
        Item("multiple_choice", f"p{i}", f"q{i}", t, {"model": s}, ("x", "y"))
        for i, (s, t) in enumerate(zip(said, truth, strict=True))
    ]
    found = {(f.answers, f.metric): f.value for f in choice_figures(items)}
    assert found["model", "accuracy"] == 50
    assert found["most common", "accuracy"] == 75
    assert found["chance", "accuracy"] == 50
    assert found["model", "no choice named"] == 25


def test_the_commonest_answer_is_another_patients() -> None:
    def item(patient: str, question: str, truth: str) -> Item:
        return Item("free", patient, question, truth, {"model": "x"})

    items = [
        item("a", "side?", "left"),
        item("b", "side?", "left"),
        item("c", "side?", "right"),
        item("a", "only here?", "unique"),
    ]
    # Patient a is told b's and c's answers; a tie goes to the first.
    assert commonest_for_each(items) == ["left", "left", "left", "left"]
    assert commonest_for_each(items[:1]) == [""], "nobody else was asked"


def test_the_most_central_report_is_not_ones_own() -> None:
    reports = ["heart normal lungs clear", "heart normal lungs bad", "heart large", "zebra"]
    found = most_central(reports, ["a", "b", "c", "d"])
    assert found[1:] == [reports[0]] * 3
    assert found[0] == reports[1]


def test_identical_answers_are_counted_by_question() -> None:
    items = [
        Item("free", f"p{i}", "what?", truth, {"model": "Nothing."})
        for i, truth in enumerate(["a", "b", "b", "c"])
    ]
    found = {
        f.answers: f.value
        for f in text_figures("vqa", items, [])
        if f.metric == "identical answers"
    }
    assert found == {"model": 100, "truth": 50}


def test_groups_stand_beside_the_whole() -> None:
    items = [
        Item(kind, f"p{i}", "q", "No.", {"model": "No, none."})
        for i, kind in enumerate(["yes_no", "yes_no", "short"])
    ]
    figures = text_figures("vqa", items, [])
    assert {f.group for f in figures} >= {"all", "yes_no"} - {"all"}
    assert [f.value for f in figures if f.metric == "accuracy" and f.answers == "model"] == [100]
