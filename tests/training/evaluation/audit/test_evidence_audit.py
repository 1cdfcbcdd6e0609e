"""The figures of evidence: on made-up observations, and once over phantoms."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from napari_ct_assistant.assistant import load_assistant
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.evaluation.audit.evidence_audit import audit_evidence
from napari_ct_assistant.training.evaluation.audit.evidence_figures import (
    HottestPlace,
    Statement,
    figures,
)
from napari_ct_assistant.training.evaluation.audit.sentences import (
    distance_mm,
    findings_named_present,
)

BOX = ((0.0, 0.0, 0.0), (10.0, 20.0, 30.0))


def test_distance_to_a_box() -> None:
    assert distance_mm((5, 5, 5), BOX) == 0
    assert distance_mm((-4, 25, 5), BOX) == 5
    assert distance_mm((5, 5, 54), BOX) == 24


def test_the_findings_of_a_sentence() -> None:
    assert findings_named_present("There is a small left pleural effusion.") == {"Pleural effusion"}
    assert findings_named_present("There is no pleural effusion.") == set()


def test_figures_of_known_observations() -> None:
    names = FINDINGS[:2]
    statements = [
        Statement(phantom, name, true, True, 2.0 + phantom if true else -1.0)
        for phantom in range(4)
        for name in names
        for true in (True, False)
    ]
    # One true statement that the image does not support.
    statements.append(Statement(9, names[0], True, True, -3.0))
    places = [
        HottestPlace(0, "keys and values", names[0], True, (5, 5, 5), BOX),
        HottestPlace(1, "keys and values", names[0], True, (5, 5, 50), BOX),
        HottestPlace(2, "keys and values", names[0], True, (500, 5, 5), BOX),
        HottestPlace(3, "keys and values", names[0], False, None, BOX),
    ]
    found = figures(statements, places, {"report": [1.0, 3.0, 2.0]}, 0, 4)
    ours, assessable = found["place"][:2]
    assert (ours["statements"], ours["inside"], ours["within_24_mm"]) == (4, 0.25, 0.5)
    assert assessable["method"] == "keys and values, assessable"
    assert (assessable["statements"], assessable["inside"]) == (3, pytest.approx(1 / 3))
    assert all(map(math.isnan, ours["inside_95"])), "four phantoms have no interval"
    usual = next(row for row in found["place"] if row["method"] == "finding's usual place")
    assert usual["inside"] == 1
    stated = found["support"][0]
    assert stated["auroc"] == pytest.approx(64 / 72)
    assert stated["auroc_95"][0] <= stated["auroc"] <= stated["auroc_95"][1]
    assert stated["true_marked"] == pytest.approx(1 / 9)
    assert stated["wrong_marked"] == 1
    assert math.isnan(found["support"][2]["auroc"])
    assert found["seconds"]["report"] == 2


def test_the_usual_place_of_a_finding_seen_once_is_unknown() -> None:
    places = [HottestPlace(0, "keys and values", FINDINGS[0], True, (5, 5, 5), BOX)]
    usual = figures([], places, {}, 0, 1)["place"][2]
    assert (usual["method"], usual["inside"]) == ("finding's usual place", 0)


def test_an_audit_of_the_tiny_model_runs(tiny_model_folder: Path) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    found = audit_evidence(
        assistant,
        first_seed=200,
        count=1,
        methods=("encoder gradient", "attention rollout", "occlusion"),
    )
    assert found["support"][0]["true"] + found["support"][0]["wrong"] == len(FINDINGS)
    methods = [row["method"] for row in found["place"]]
    assert {"keys and values", "encoder gradient", "attention rollout", "occlusion"} <= {*methods}
    assert all(0 <= row["inside"] <= 1 for row in found["place"] if row["statements"])
