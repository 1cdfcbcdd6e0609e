"""What contradicts itself in a report, and what only looks as if it did."""

from __future__ import annotations

import re
from typing import Any

import pytest

from napari_ct_assistant.assistant import FindingProbability, Sentence
from napari_ct_assistant.assistant.report.checks import (
    Check,
    check_draft,
    check_lines,
    check_report,
)
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.matching import impression_of
from napari_ct_assistant.assistant.report.statements import CheckedLine, part_of
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.phantoms.grammar import write_report
from napari_ct_assistant.phantoms.truth import draw_attributes, draw_presence
from napari_ct_assistant.report_text.sections import split_sections
from napari_ct_assistant.report_text.sentences import split_sentences
from tests.assistant.report.report_samples import sample_draft


def checks(findings: str, impression: str = "", **options: Any) -> list[Check]:
    """Check a report; a bar divides the lines."""
    lines = [CheckedLine(text) for text in findings.split("|") if text]
    lines += [CheckedLine(text, "impression") for text in impression.split("|") if text]
    return check_lines(lines, **options)


def kinds(findings: str, impression: str = "", **options: Any) -> list[str]:
    return [check.kind for check in checks(findings, impression, **options)]


@pytest.mark.parametrize(
    ("findings", "impression", "kind"),
    [
        # What Sum up did: it moved a side.
        ("There is an opacity in the right lower lobe.", "Left lower lobe opacity.", "side"),
        ("Pleural effusion on the right.", "Left pleural effusion.", "side"),
        ("Bilateral pleural effusions.", "Left pleural effusion.", "side"),
        ("Right pleural effusion.", "Bilateral pleural effusion.", "side"),
        ("Nodule in the RUL.", "Nodule in the left upper lobe.", "side"),
        ("Nodule in the right upper lobe.", "Nodule in the right lower lobe.", "lobe"),
        ("Consolidation of the middle lobe.", "RLL consolidation.", "lobe"),
        ("Fracture of T4.", "Fracture of T5.", "level"),
        ("Nodule in segment 6.", "Nodule in segment 8.", "level"),
        ("Heart size is increased, mild cardiomegaly.", "Severe cardiomegaly.", "degree"),
        ("Small pericardial effusion.", "Large pericardial effusion.", "degree"),
        ("A nodule of 8 mm in the left lung.", "Nodule of 18 mm in the left lung.", "size"),
        ("A nodule of 1.5 cm.", "A 1.5 mm nodule.", "size"),
        ("Three nodules.", "Two nodules.", "number"),
        ("Two nodules.", "Solitary nodule.", "number"),
        ("Multiple nodules in the right lung.", "Single nodule in the right lung.", "number"),
        ("Solitary nodule.", "Several nodules.", "number"),
        (
            "Bilateral effusions, right greater than left.",
            "Pleural effusions, left > right.",
            "side",
        ),
        ("Pleural effusions, larger on the right.", "Pleural effusions, right < left.", "side"),
        ("Fracture of the left fifth rib.", "Fracture of the left 6th rib.", "level"),
        ("Fractures of the fourth to sixth ribs.", "Fracture of rib 7.", "level"),
        ("Fractures of T4 and T5.", "Fractures of T4 and T7.", "level"),
        ("Nodules in the upper and middle lobes.", "Nodules in the upper and lower lobes.", "lobe"),
        ("Right effusion.|No left effusion.", "Bilateral effusions.", "side"),
        ("Emphysema.", "No emphysema.", "negation"),
        ("No pleural effusion.", "Pleural effusion.", "negation"),
        ("There is no pneumothorax.", "Pneumothorax on the left.", "negation"),
        ("Ascites.", "No ascites.", "negation"),
        ("A nodule in the right lung.", "Normal chest CT.", "negation"),
        ("A nodule in the right lung.", "No abnormality.", "negation"),
        ("Possible consolidation.", "Consolidation.", "certainty"),
        ("Emphysema.", "Emphysema.|Hiatal hernia.", "not in the findings"),
        ("Emphysema.|The vertebrae are slim.", "Emphysema.|The tail wags.", "not in the findings"),
        ("Emphysema.|A nodule in the right lung.", "Emphysema.", "not summed up"),
        (
            "Left pleural effusion.|Right pleural effusion.",
            "Right pleural effusion.",
            "not summed up",
        ),
        # Beside each other in one part.
        ("No nodule.|A nodule of 8 mm in the left upper lobe.", "", "negation"),
        ("There is a pericardial effusion.|No pericardial effusion.", "", "negation"),
        ("No nodule in the left lung.|Nodule in the left lung.", "", "negation"),
    ],
)
def test_a_contradiction_is_found(findings: str, impression: str, kind: str) -> None:
    assert kinds(findings, impression) == [kind]


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        ("A nodule of 1.5 cm in the right upper lobe.", "15 mm nodule in the right upper lobe."),
        ("A nodule of 14 x 11 mm in the RUL.", "14 mm nodule of the right upper lobe."),
        ("8 mm nodule in the right upper lobe.|5 mm nodule in the LLL.", "Nodules in both lungs."),
        ("Mild cardiomegaly.", "Slightly enlarged heart."),
        ("Pleural effusions, larger on the right.", "Pleural effusions, left smaller than right."),
        ("Single RUL nodule and single LLL nodule.", "Multiple nodules."),
        ("Multiple nodules, the largest of 8 mm.", "Nodules of up to 8 mm."),
        ("Fractures of the fourth to sixth ribs.", "Fracture of the 5th rib."),
        ("Fractures of ribs 4 and 5 on the left.", "Left fourth and fifth rib fractures."),
        ("Compression fractures of T4 to T6.", "Fracture of T5."),
        ("Nodule in the RUL.|Nodule in the RLL.", "Nodules in the right upper and lower lobes."),
        ("Pleural effusion on the left.", "Pleural effusion."),
        ("Pleural effusion on the left.", "No right pleural effusion.|Left pleural effusion."),
        ("No pleural effusion.|No pneumothorax.", "No pleural effusion."),
        ("No nodule in the left lung.|Nodule in the right lung.", "Nodule in the right lung."),
        ("A calcified nodule.|No suspicious nodule.", "Calcified nodule."),
        ("Emphysema.", "Emphysema.|Follow-up in 12 months is recommended."),
        ("Small right pleural effusion with left lower lobe atelectasis.",
         "Right effusion. Atelectasis of the left lower lobe."),
        ("The trachea is open.|Heart size is normal.", "No acute abnormality."),
        ("The heart is not enlarged.|No lymphadenopathy.", "Normal chest CT."),
        ("Nodules in the right and left lung and emphysema.", "Emphysema. Bilateral nodules."),
        ("Clinical information: left nodule.", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_agrees_is_left_alone(findings: str, impression: str) -> None:
    assert checks(findings, impression) == []


TABLE = (
    FindingProbability("Medical material", 0.69),
    FindingProbability("Pericardial effusion", 0.05),
    FindingProbability("Lung nodule", 0.9, assessable=False),
    FindingProbability("Emphysema", 0.3, threshold=0.2),
)


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        (
            "There is a pericardial effusion.|No medical material.|Emphysema.",
            ["5% in the findings table, below", "69% in the findings table, above"],
        ),
        ("No pericardial effusion.|A port catheter.|Emphysema.", []),
        ("A port catheter.", ["30% in the findings table, above its threshold of 20%, but not"]),
        ("A port catheter.|Possible emphysema.", []),
    ],
)
def test_the_table_is_compared(findings: str, said: list[str]) -> None:
    found = [check for check in checks(findings, table=TABLE) if check.kind == "table"]
    assert len(found) == len(said)
    for text in said:
        assert any(text in check.text for check in found)


def test_a_table_check_points_to_the_line_that_denies() -> None:
    found = checks("Emphysema.|No medical material is seen.", table=TABLE)
    assert [(check.kind, check.line) for check in found] == [("table", 1)]


@pytest.mark.parametrize(
    ("measured", "missing"),
    [
        ("Chest: 14.2 mm", False),
        ("14 x 11 mm", False),
        ("14 x 9 mm", True),
        ("23.0 mm", True),
        ("volume 3.2 ml", True),
        ("volume 1.7 ml", False),
        ("mean 40 HU", False),
    ],
)
def test_measurements_that_are_not_in_the_text(measured: str, missing: bool) -> None:
    text = "A nodule of 1.4 x 1.1 cm, 1.7 ml."
    assert (kinds(text, measurements=[measured]) == ["measurement"]) is missing


def test_lines_are_named() -> None:
    found = checks("The trachea is open.|Left pleural effusion.", "Right pleural effusion.")
    assert [(check.line, check.other) for check in found] == [(2, 1)]
    assert found[0].text == "Pleural effusion: left in the findings, right in the impression."
    assert found[0].to_json() == {
        "kind": "side", "text": found[0].text, "line": 2, "other": 1
    }  # fmt: skip


def test_rejected_lines_do_not_count() -> None:
    lines = [
        CheckedLine("No nodule.", "findings", "rejected"),
        CheckedLine("A nodule.", "findings", "accepted"),
        CheckedLine("Emphysema.", "findings", "rejected"),
        CheckedLine("Nodule.", "impression", "accepted"),
    ]
    assert check_lines(lines) == []


def test_a_report_lists_what_nobody_reviewed() -> None:
    report = ReportDocument.from_draft(sample_draft(), find_template())
    found = check_report(report)
    assert [check.kind for check in found].count("not reviewed") == 4
    lines = [line.text for _, line in report.lines()]
    degree = next(check for check in found if check.kind == "degree")
    assert lines[degree.line or 0] == "Severe cardiomegaly."
    assert lines[degree.other or 0] == "Heart size is increased, mild cardiomegaly."


def test_a_draft_is_checked_by_its_sentences() -> None:
    draft = sample_draft(
        Sentence("No emphysema.", "Findings"), Sentence("Emphysema.", "Impression")
    )
    assert [(c.kind, c.line, c.other) for c in check_draft(draft)] == [("negation", 1, 0)]
    # A report without headings is all findings.
    one = sample_draft(Sentence("No emphysema.", "Report"), Sentence("Emphysema.", "Report"))
    assert [(c.kind, c.line, c.other) for c in check_draft(one)] == [("negation", 0, 1)]


@pytest.mark.parametrize(
    ("findings", "impression", "line", "expected"),
    [
        ("Emphysema.|A nodule in the right lung.", "Emphysema.|Nodule.", 1, [3]),
        ("Emphysema.|A nodule in the right lung.", "Emphysema and a nodule.", 1, []),
        ("Emphysema.|A nodule.", "Emphysema.", 1, []),
        ("Nodule on the left.|Nodule on the right.", "Left nodule.|Right nodule.", 0, [2]),
        ("No nodule.", "No nodule.", 0, [1]),
    ],
)
def test_which_line_of_the_impression_goes_with_a_finding(
    findings: str, impression: str, line: int, expected: list[int]
) -> None:
    lines = [CheckedLine(text) for text in findings.split("|")]
    lines += [CheckedLine(text, "impression") for text in impression.split("|")]
    assert impression_of(lines, line) == expected
    # Also once it is rejected.
    lines[line] = CheckedLine(lines[line].text, "findings", "rejected")
    assert impression_of(lines, line) == expected


def phantom_lines(seed: int) -> list[CheckedLine]:
    """Return the lines of a report that a phantom's grammar wrote."""
    attributes = draw_attributes(seed)
    text = write_report(seed, [attributes[name] for name in draw_presence(seed)])
    return [
        CheckedLine(sentence, part_of(name))
        for name, section in split_sections(text).items()
        for sentence in split_sentences(section)
    ]


def test_reports_that_agree_have_nothing_to_check() -> None:
    for seed in range(60):
        assert check_lines(phantom_lines(seed)) == [], seed


def test_a_side_or_a_degree_that_moved_is_found_in_every_report() -> None:
    other = {"left": "right", "right": "left", "mild": "severe", "severe": "mild"}
    words = re.compile(rf"\b(?:{'|'.join(other)})\b")
    tried = 0
    for seed in range(60):
        lines = phantom_lines(seed)
        for number, line in enumerate(lines):
            if line.part == "impression" and len(words.findall(line.text)) == 1:
                tried += 1
                moved = words.sub(lambda word: other[word[0]], line.text)
                changed = [*lines[:number], CheckedLine(moved, "impression"), *lines[number + 1 :]]
                found = [check for check in check_lines(changed) if check.line == number]
                assert [check.kind for check in found] in (["side"], ["degree"]), (seed, moved)
    assert tried > 50
