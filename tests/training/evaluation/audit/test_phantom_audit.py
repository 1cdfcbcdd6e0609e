"""What an audit sets beside the model's answers."""

from __future__ import annotations

import pytest

from napari_ct_assistant.phantoms import draw_truth
from napari_ct_assistant.training.evaluation.audit.phantom_audit import (
    _about,
    _accuracy,
    _usual_answers,
)


def test_answers_beside_the_commonest_here_and_the_usual_elsewhere() -> None:
    items = [("Emphysema", "Mild.", "mild."), ("Emphysema", "Severe.", "Mild.")]
    items += [("Lung nodule", "Large.", "Large."), ("Hernia", "Small.", "Large.")]
    assert _accuracy(items, {"Emphysema": "Severe.", "Lung nodule": "Small."}) == {
        "right": 0.5,
        "majority": 0.75,  # one answer of each topic is right, though both were seen once
        "usual": 0.25,  # a topic never seen elsewhere has no usual answer
        "count": 4,
    }


def test_few_phantoms_flatter_their_own_commonest_answer() -> None:
    usual = _usual_answers()
    shares = []
    for count in (30, 300):
        items = []
        for seed in range(count):
            sizes = [q for q in draw_truth(seed).questions if q.kind == "how_large"]
            items += [(_about(q), q.answer, "") for q in sizes]
        figures = _accuracy(items, usual["how_large"])
        shares.append(figures["majority"] - figures["usual"])
    assert shares[0] > shares[1] > -0.01
    assert shares[1] == pytest.approx(0, abs=0.08), "with many phantoms, one baseline"
