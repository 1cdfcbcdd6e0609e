"""A measurement becomes a sentence, is saved with the report, and is compared with its text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_ct_assistant.assistant.report.checks import check_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.measured_place import known_place, name_in
from napari_ct_assistant.assistant.report.measurement import DrawnShape, Measurement
from napari_ct_assistant.assistant.report.parts import Line, Section

AXES = Measurement(
    "axes",
    ("a1", "b2"),
    (-40.0, 12.5, 100.0),
    84,
    "right",
    index=84,
    long_mm=14.2,
    short_mm=10.9,
    shapes=(DrawnShape("line", ((-47.0, 12.5, 100.0), (-33.0, 12.5, 100.0))),),
)
OUTLINE = Measurement(
    "outline",
    ("label",),
    (-40.0, 12.5, 100.0),
    84,
    "right",
    index=84,
    long_mm=14.2,
    short_mm=10.9,
    max_mm=16.04,
    volume_ml=1.2345,
    mean_hu=44.2,
    sd_hu=12.0,
    min_hu=-30,
    max_hu=100,
    first_slice=79,
    last_slice=89,
)
REGION = Measurement(
    "region", ("e",), (1.0, 2.0, 3.0), 4, "left", index=4, long_mm=9.0, short_mm=8.0,
    area_mm2=56.4, volume_ml=None, mean_hu=44.2, sd_hu=12.3, min_hu=-30, max_hu=100,
)  # fmt: skip


def report_of(text: str, measurement: Measurement = AXES) -> ReportDocument:
    line = Line(text, measurement=0)
    return ReportDocument(
        (Section("findings", "Findings", 1, (line,)),), measurements=(measurement,)
    )


def test_sentences() -> None:
    assert AXES.sentence("nodule", "right upper lobe") == (
        "Nodule, 14 x 11 mm, right upper lobe, image 85."
    )
    # What nobody has named or placed gets neither a name nor a side.
    assert AXES.sentence() == "Lesion, 14 x 11 mm, image 85."
    ruler = replace(AXES, kind="length", short_mm=None, plane="coronal", index=120)
    assert ruler.sentence() == "Distance, 14 mm, coronal image 121."
    assert OUTLINE.sentence("nodule") == (
        "Nodule, 14 x 11 mm, largest diameter 16 mm, volume 1.23 ml, images 80 to 90."
    )
    assert REGION.sentence("cyst") == (
        "Cyst, mean 44 HU (SD 12, -30 to 100 HU), area 56 mm², image 5."
    )


def test_a_new_figure_replaces_the_old_one_and_leaves_the_readers_words() -> None:
    text = "Spiculated nodule, 14 x 11 mm, right upper lobe, image 85."
    new = replace(AXES, long_mm=17.6, index=85, slice=85)
    assert AXES.restated(text, new) == (
        "Spiculated nodule, 18 x 11 mm, right upper lobe, image 86."
    )
    assert AXES.restated("Nodule of 1.4 cm, image 85.", new) is None
    assert AXES.restated(text, replace(AXES, keys=("c",))) == text


@pytest.mark.parametrize("measurement", [AXES, OUTLINE, REGION])
def test_it_is_saved_with_the_report(measurement: Measurement) -> None:
    report = report_of("Nodule.", measurement)
    saved = json.loads(json.dumps(report.to_json()))
    assert ReportDocument.from_json(saved) == report
    # A report of an earlier version has none.
    del saved["measurements"], saved["sections"][0]["lines"][0]["measurement"]
    assert ReportDocument.from_json(saved).measurements == ()


@pytest.mark.parametrize(
    ("key", "value"), [("ras", [1, 2]), ("keys", [1]), ("kind", "guess"), ("long_mm", "14")]
)
def test_a_damaged_measurement_is_refused(key: str, value: object) -> None:
    saved = json.loads(json.dumps(report_of("Nodule.").to_json()))
    saved["measurements"][0][key] = value
    with pytest.raises(ValueError, match="not a report"):
        ReportDocument.from_json(saved)


def test_a_line_that_refers_to_no_measurement_is_refused() -> None:
    saved = json.loads(json.dumps(report_of("Nodule.").to_json()))
    saved["sections"][0]["lines"][0]["measurement"] = 1
    with pytest.raises(ValueError, match="measurement 1 of 1"):
        ReportDocument.from_json(saved)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("Nodule, 14 x 11 mm, left upper lobe, image 85.", "side", "left in the text"),
        ("Nodule, 17 x 11 mm, right upper lobe.", "measurement", "17 mm in the text"),
        ("Nodule, 1.4 cm, right upper lobe.", None, ""),
        ("Nodule, 14 x 11 mm, image 85.", None, ""),
    ],
)
def test_the_text_is_compared_with_what_was_measured(
    text: str, kind: str | None, said: str
) -> None:
    found = [(check.kind, check.text) for check in check_report(report_of(text))]
    if kind is None:
        assert found == []
    else:
        assert [one for one, _ in found] == [kind]
        assert found[0][1].startswith(said)


def test_a_name_comes_from_a_sentence_about_one_finding() -> None:
    assert name_in("There is a nodule of 1.5 cm in the right lung.") == "nodule"
    assert name_in("A mass in the liver.") == "mass"
    assert name_in("No nodule.") == ""
    assert name_in("A nodule and a pleural effusion.") == ""


@pytest.mark.parametrize(
    ("texts", "side", "place"),
    [
        (["There is a nodule in the right upper lobe."], "right", "right upper lobe"),
        (["There is a nodule in the right upper lobe."], "left", ""),
        (["There is a nodule in the right upper lobe."], "midline", ""),
        (["A nodule in the right lung.", "The nodule: right upper lobe."], "right",
         "right upper lobe"),
        (["A nodule in the right upper lobe.", "A nodule in the right lower lobe."], "right", ""),
        (["Consolidation in the right upper lobe."], "right", ""),
        (["No nodule in the right upper lobe."], "right", ""),
        (["A nodule in the lingula."], "left", "lingula"),
        (["A nodule in the lingula."], "right", ""),
        (["Nodules in both lungs."], "right", ""),
    ],
)  # fmt: skip
def test_a_place_is_taken_from_what_the_model_said_and_never_guessed(
    texts: list[str], side: str, place: str
) -> None:
    assert known_place("nodule", texts, side) == place  # type: ignore[arg-type]
    assert known_place("", texts, side) == ""  # type: ignore[arg-type]
