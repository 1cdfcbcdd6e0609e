"""The findings of whole reports, and their sides."""

from __future__ import annotations

import pytest

from napari_ct_assistant.report_text.finding_mentions import findings_in, side_of
from tests.report_text.reports import CT_RATE_REPORT


def test_findings_of_a_ct_rate_report() -> None:
    assert findings_in(CT_RATE_REPORT) == {
        "Arterial wall calcification": True,
        "Pericardial effusion": False,
        "Coronary artery wall calcification": True,
        "Hiatal hernia": True,
        "Lymphadenopathy": False,
        "Atelectasis": True,
        "Lung nodule": True,
        "Lung opacity": False,
        "Pleural effusion": False,
    }


@pytest.mark.parametrize(
    ("sentence", "finding", "there"),
    [
        ("The heart is enlarged.", "Cardiomegaly", True),
        ("The heart is not enlarged.", "Cardiomegaly", False),
        ("Heart size has increased.", "Cardiomegaly", True),
        ("There is no pleural or pericardial effusion.", "Pericardial effusion", False),
        ("There is no pleural or pericardial effusion.", "Pleural effusion", False),
        ("A pacemaker is seen on the left anterior chest wall.", "Medical material", True),
        ("Mosaic attenuation pattern in both lungs.", "Mosaic attenuation pattern", True),
        ("Bronchial wall thickening is noted.", "Peribronchial thickening", True),
        ("Interlobular septal thickening at both bases.", "Interlobular septal thickening", True),
        ("Bilateral cylindrical bronchiectasis.", "Bronchiectasis", True),
        ("Centrilobular emphysematous changes.", "Emphysema", True),
        ("No hiatal hernia.", "Hiatal hernia", False),
        ("Patchy ground-glass densities in the periphery.", "Lung opacity", True),
        ("Pleuroparenchymal sequelae at the apex.", "Pulmonary fibrotic sequela", True),
        ("Consolidation with air bronchograms.", "Consolidation", True),
        ("Mediastinal lymphadenopathy is present.", "Lymphadenopathy", True),
        ("Lymph nodes that do not reach pathological size are seen.", "Lymphadenopathy", False),
    ],
)
def test_each_finding_is_known(sentence: str, finding: str, there: bool) -> None:
    assert findings_in(sentence).get(finding) is there


@pytest.mark.parametrize(
    ("sentence", "finding"),
    [
        ("Subcutaneous emphysema of the neck.", "Emphysema"),
        ("Thyroid nodules on the right.", "Lung nodule"),
        ("Nodule of the left adrenal gland.", "Lung nodule"),
        ("Coronary artery calcification.", "Arterial wall calcification"),
        ("A lung nodule cannot be excluded.", "Lung nodule"),
    ],
)
def test_what_is_not_the_finding(sentence: str, finding: str) -> None:
    assert finding not in findings_in(sentence)


def test_affirmed_in_one_sentence_and_denied_in_another_is_affirmed() -> None:
    text = "No nodule in the right lung. There is a nodule in the left lung. No nodule elsewhere."
    assert findings_in(text) == {"Lung nodule": True}


def test_why_a_scan_was_made_is_no_finding() -> None:
    text = "Clinical information: emphysema. Comparison: nodule in 2019. Findings: No effusion."
    assert findings_in(text) == {}
    assert findings_in(text + " Impression: Consolidation.") == {"Consolidation": True}


@pytest.mark.parametrize(
    ("sentence", "side"),
    [
        ("Nodule in the LEFT lower lobe.", "left"),
        ("Bilateral effusions.", "both"),
        ("In the right and left lung.", "both"),
        ("Heart size is normal.", None),
    ],
)
def test_sides(sentence: str, side: str | None) -> None:
    assert side_of(sentence) == side
