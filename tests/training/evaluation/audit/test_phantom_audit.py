"""The audit on phantoms: its figures on made-up observations, and its threshold rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.phantoms import ParsedReport, draw_truth
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.evaluation.audit.observation import (
    AskedQuestion,
    PhantomObservation,
    topic_of,
)
from napari_ct_assistant.training.evaluation.audit.phantom_figures import (
    figures,
    question_accuracy,
    screen_table,
    usual_answers,
)


def asked(topic: str, truth: str, text: str) -> AskedQuestion:
    return AskedQuestion("how_large", topic, truth, text, 1.0)


def observed(seed: int, present: set[str], probability: float) -> PhantomObservation:
    """Return an observation of a model that gives every finding the same probability."""
    rows = tuple(FindingProbability(n, probability, baseline=0.2, threshold=0.5) for n in FINDINGS)
    report = ParsedReport(frozenset(present), frozenset(), {}, {}, {}, frozenset(), ())
    return PhantomObservation(
        seed=seed,
        present=frozenset(present),
        screen=rows,
        patch_scores=(float("nan"),) * len(FINDINGS),
        report=report,
        attributes={"side": [("left", "right")], "lobe": [], "size": [("small", "moderate")]},
        questions=(),
        declined=(True, False),
        pair_right=True,
        pair_differs=False,
        evidence_inside=(),
        seconds_encode=1.0,
        seconds_report=2.0,
    )


def test_a_score_equal_to_the_threshold_counts_as_in_the_product() -> None:
    name = FINDINGS[0]
    found = figures([observed(0, {name}, 0.5), observed(1, set(), np.nextafter(0.5, 0))])
    row = found["screen"][0]
    assert FindingProbability(name, 0.5, threshold=0.5).positive
    assert row["sensitivity"] == 1, "the probability of the phantom that has it is the threshold"
    assert row["specificity"] == 1
    assert row["bacc"] == 1


def test_a_finding_that_is_not_assessable_is_audited_all_the_same() -> None:
    name = FINDINGS[0]
    ill, well = observed(0, {name}, 0.9), observed(1, set(), 0.1)
    unreliable = [
        replace(o, screen=tuple(replace(row, assessable=False) for row in o.screen))
        for o in (ill, well)
    ]
    assert figures(unreliable)["screen"][0]["bacc"] == 1


def test_figures_of_known_observations() -> None:
    a, b = FINDINGS[:2]
    found = figures([observed(4, {a}, 0.9), observed(5, {b}, 0.9), observed(6, {a}, 0.9)])
    assert found["seeds"] == [4, 7]
    assert found["mean_auroc"] == 0.5, "the same probability for every phantom"
    assert found["mean_auroc_shuffled"] == 0.5
    assert np.isnan(found["mean_patch_auroc"])
    assert np.isnan(found["evidence_inside"])
    assert found["blind_probabilities"] == [0.2] * len(FINDINGS)
    assert found["report_f1"] == 1
    # Each phantom's findings beside the next one's report: one of three pairs agrees.
    assert found["report_f1_shuffled"] == pytest.approx(1 / 3)
    assert found["identical_sets"] == pytest.approx(2 / 3)
    assert found["declined_untaught"] == 0.5
    assert found["places"] == {
        "side": {"right": 0, "within_one_class": 0, "majority": 1, "count": 3},
        "size": {"right": 0, "within_one_class": 1, "majority": 1, "count": 3},
    }
    assert found["seconds"]["report"] == 2


def test_a_constant_screen_is_at_chance() -> None:
    truth = np.zeros((3, len(FINDINGS)))
    truth[:, 0], truth[:, 1] = [0, 1, 1], [1, 0, 1]
    high = np.full_like(truth, 0.9)
    said = (high >= [0.5, *[0.95] * (len(FINDINGS) - 1)]).astype(float)
    rows = screen_table(truth, high, said, high, [0.5] * len(FINDINGS))
    assert [row["auroc"] for row in rows[:2]] == [0.5, 0.5]
    assert [row["bacc"] for row in rows[:2]] == [0.5, 0.5]
    assert [row["positives"] for row in rows] == [2, 2, *[0] * (len(FINDINGS) - 2)]


def test_answers_beside_the_commonest_here_and_the_usual_elsewhere() -> None:
    items = [asked("Emphysema", "Mild.", "mild."), asked("Emphysema", "Severe.", "Mild.")]
    items += [asked("Lung nodule", "Large.", "Large."), asked("Hernia", "Small.", "Large.")]
    assert question_accuracy(items, {"Emphysema": "Severe.", "Lung nodule": "Small."}) == {
        "right": 0.5,
        "majority": 0.75,  # one answer of each topic is right, though both were seen once
        "usual": 0.25,  # a topic never seen elsewhere has no usual answer
        "count": 4,
    }


def test_few_phantoms_flatter_their_own_commonest_answer() -> None:
    usual = usual_answers()["how_large"]
    shares = []
    for count in (30, 300):
        items = []
        for seed in range(count):
            sizes = [q for q in draw_truth(seed).questions if q.kind == "how_large"]
            items += [asked(topic_of(q), q.answer, "") for q in sizes]
        found = question_accuracy(items, usual)
        shares.append(found["majority"] - found["usual"])
    assert shares[0] > shares[1] > -0.01
    assert shares[1] == pytest.approx(0, abs=0.08), "with many phantoms, one baseline"
