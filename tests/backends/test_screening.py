"""A model that screens and writes no text is read as any other."""

from __future__ import annotations

import threading

import pytest

from napari_ct_assistant import CTVolume
from napari_ct_assistant.assistant import Assistant, ModelLoadError
from napari_ct_assistant.backends.screening import WritesNoTextError
from tests.backends.brightness_model import WORDS, BrightnessBackend


def test_scores_without_probabilities_are_ranked(small_volume: CTVolume) -> None:
    reading = Assistant(BrightnessBackend()).read(small_volume)  # the ball has 300 HU
    rows = reading.screen()
    assert [(row.name, row.rank, row.probability) for row in rows] == [
        (WORDS[0], 2, None),
        (WORDS[1], 1, None),
    ]
    assert rows[1].margin == pytest.approx(0.2)
    assert not any(row.positive or row.reaches_threshold for row in rows)
    assert rows[0].to_json() == {
        "name": WORDS[0], "probability": None, "assessable": True, "baseline": -0.5,
        "threshold": None, "rank": 2, "margin": pytest.approx(-0.2),
    }  # fmt: skip
    assert reading.screened == tuple(rows)
    assert reading.checks == ("The scan was looked at once.",)


def test_words_of_the_reader_are_ranked_among_themselves(small_volume: CTVolume) -> None:
    reading = Assistant(BrightnessBackend()).read(small_volume)
    rows = reading.screen(["A broken rib"])
    assert [(row.name, row.rank) for row in rows] == [("A broken rib", 1)]


def test_calibrated_scores_are_probabilities(small_volume: CTVolume) -> None:
    reading = Assistant(BrightnessBackend(ranked=False)).read(small_volume)
    rows = reading.screen()
    assert [(row.probability, row.positive, row.rank) for row in rows] == [
        (pytest.approx(0.3), False, None),
        (pytest.approx(0.7), True, None),
    ]
    assert "margin" not in rows[0].to_json()
    with pytest.raises(ValueError, match="brightness: screens only for its own findings"):
        reading.screen(["A broken rib"])


def test_it_writes_no_text_and_says_what_works(small_volume: CTVolume) -> None:
    reading = Assistant(BrightnessBackend()).read(small_volume)
    for call in (reading.draft_report, lambda: reading.ask("And?"), lambda: reading.support([])):
        with pytest.raises(WritesNoTextError, match="use `screen`") as error:
            call()
        assert "\n" not in str(error.value)


def test_a_finding_has_a_place(small_volume: CTVolume) -> None:
    found = Assistant(BrightnessBackend()).read(small_volume).finding_evidence(WORDS[0])
    assert (found.support, found.slice) == (None, 20)


def test_no_scan_gives_the_baseline_and_cancelled_it_stops(small_volume: CTVolume) -> None:
    reading = Assistant(BrightnessBackend()).read(small_volume)
    rows = reading.without_image().screen()
    assert [row.margin for row in rows][:1] == [reading.screen()[0].baseline]
    cancel = threading.Event()
    cancel.set()
    assert reading.screen(cancel=cancel) == []


def test_a_closed_model_says_so(small_volume: CTVolume) -> None:
    assistant = Assistant(BrightnessBackend())
    reading = assistant.read(small_volume)
    assistant.close()
    with pytest.raises(ModelLoadError, match="load it again"):
        reading.screen()
