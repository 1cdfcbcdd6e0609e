"""The model card of known figures, compared word for word."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from napari_ct_assistant.training.release.model_card import card_facts, write_card

NAN = float("nan")
FACTS: dict[str, Any] = {
    "parameters": 3.3,
    "width": 192,
    "seed": 0,
    "data": "phantoms 1000000:1001900",
    "cores": 2,
    "minutes": 137.4,
    "note": "",
    "unreliable_findings": ["Lung nodule"],
    "selection": "500000:500120",
}


def row(name: str, value: float, interval: tuple[float, float]) -> dict[str, Any]:
    return {
        "name": name,
        "positives": 7,
        "auroc": value,
        "auroc_95": interval,
        "bacc": value,
        "bacc_95": interval,
        "sensitivity": 0.5,
        "specificity": 1.0,
        "patch_auroc": NAN,
    }


FIGURES: dict[str, Any] = {
    "seeds": [0, 20],
    "screen": [row("Lung nodule", 0.875, (0.75, 1.0)), row("Emphysema", NAN, (NAN, NAN))],
    "mean_auroc": 0.875,
    "mean_bacc": 0.75,
    "mean_patch_auroc": NAN,
    "mean_auroc_shuffled": 0.4321,
    "mean_auroc_blind": 0.5,
    "report_f1": 0.96,
    "report_f1_constant": 0.46,
    "report_f1_shuffled": 0.22,
    "identical_sets": 0.05,
    "identical_sets_truth": 0.1,
    "contradictions": 0.0,
    "places": {
        "side": {"right": 1.0, "within_one_class": 1.0, "majority": 0.8, "count": 6},
        "size": {"right": 0.5, "within_one_class": 0.75, "majority": 0.5, "count": 8},
    },
    "pairs_right": 1.0,
    "pairs_differ": 0.95,
    "questions": {"where": {"right": 0.8, "majority": 0.6, "usual": 0.4, "count": 5}},
    "declined_untaught": 1.0,
    "declined_taught": 0.0,
    "evidence_inside": NAN,
    "seconds": {"encode": 0.56, "report": 0.21, "answer": NAN},
    "torch_threads": 2,
}


def test_the_card_word_for_word() -> None:
    expected = (Path(__file__).parent / "card_of_known_figures.md").read_text(encoding="utf-8")
    assert write_card(FIGURES, FACTS) == expected


def test_without_unreliable_findings_nothing_is_said_about_them() -> None:
    card = write_card(FIGURES, FACTS | {"unreliable_findings": []})
    assert "assessable" not in card


def test_a_note_stands_before_the_figures() -> None:
    card = write_card(FIGURES, FACTS | {"note": "Trained twice.\n\n"})
    assert "Trained twice.\n\n## Measured performance" in card


def test_the_facts_come_from_the_model_s_folder(tmp_path: Path) -> None:
    config = {"text_config": {"hidden_size": 24}, "unreliable_findings": ["Lung nodule"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    training = {"seed": 3, "data": "phantoms 1:2", "seconds": {"1-mae": 90, "2-ground": 30}}
    (tmp_path / "training.json").write_text(json.dumps(training | {"cpu_cores": 16}))
    save_file({"a": np.zeros((300, 10)), "b": np.zeros(7)}, tmp_path / "model.safetensors")
    facts = card_facts(tmp_path)
    assert math.isclose(facts["parameters"], 3007e-6)
    assert (facts["width"], facts["seed"], facts["minutes"], facts["cores"]) == (24, 3, 2, 16)
    assert facts["note"] == ""
    assert facts["unreliable_findings"] == ["Lung nodule"]
