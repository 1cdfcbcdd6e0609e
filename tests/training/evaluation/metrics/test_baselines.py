"""Answers that need no look at the scan."""

from __future__ import annotations

import math
from pathlib import Path

from napari_ct_assistant.assistant import load_assistant
from napari_ct_assistant.training.evaluation.metrics.baselines import (
    by_frequency,
    commonest_of_others,
    commonest_share,
    most_central,
    shuffled_partners,
)
from napari_ct_assistant.volume import CTVolume


def test_shuffled_takes_the_next_patients_image() -> None:
    assert shuffled_partners("abc") == [1, 2, 0]
    assert shuffled_partners("aabb") == [2, 2, 0, 0]
    assert shuffled_partners("aa") == [None, None]
    assert shuffled_partners("") == []


def test_without_image_every_token_is_zero(tiny_model_folder: Path, small_volume: CTVolume) -> None:
    reading = load_assistant(tiny_model_folder, device="cpu").read(small_volume)
    before = [row.probability for row in reading.screen()]
    blind = reading.without_image()
    assert not blind.image_tokens.any()
    assert reading.image_tokens.any()
    rows = blind.screen()
    # The product's own blind probability is the same.
    assert [row.probability for row in rows] == [row.baseline for row in reading.screen()]
    assert [row.probability for row in reading.screen()] == before


def test_commonest_values() -> None:
    assert by_frequency(["x", "y", "y"]) == ["y", "x"]
    assert commonest_share(["x", "x", "y"]) == 2 / 3
    assert commonest_share([frozenset("a")] * 3 + [frozenset()]) == 0.75
    assert math.isnan(commonest_share([]))


def test_the_commonest_answer_is_another_patients() -> None:
    questions = ["side?", "side?", "side?", "only here?"]
    patients = ["a", "b", "c", "a"]
    truths = ["left", "left", "right", "unique"]
    # Patient a is told b's and c's answers; a tie goes to the first.
    found = commonest_of_others(questions, ["free"] * 4, patients, truths)
    assert found == ["left", "left", "left", "left"]
    assert commonest_of_others(["side?"], ["free"], ["a"], ["left"]) == [""], "nobody else"


def test_an_answer_is_taken_out_as_often_as_the_patient_gave_it() -> None:
    patients = ["a", "a", "a", "b", "c"]
    truths = ["left", "left", "left", "right", "right"]
    found = commonest_of_others(["side?"] * 5, ["free"] * 5, patients, truths)
    assert found == ["right"] * 3 + ["left"] * 2


def test_the_most_central_report_is_not_ones_own() -> None:
    reports = ["heart normal lungs clear", "heart normal lungs bad", "heart large", "zebra"]
    found = most_central(reports, ["a", "b", "c", "d"])
    assert found[1:] == [reports[0]] * 3
    assert found[0] == reports[1]
