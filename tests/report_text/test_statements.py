"""Sentences as radiologists write them: what is denied, where it is, which finding it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.negation import find_mentions, split_sentences
from napari_ct_assistant.report_text.statements import by_region, findings_in, side_of
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.instructions.templates import from_report


@pytest.mark.parametrize(
    ("sentence", "term", "status"),
    [
        ("No pleural effusion or pneumothorax is seen.", "pneumothorax", "denied"),
        ("There is no evidence of consolidation, nodule or mass.", "mass", "denied"),
        ("Pericardial effusion was not observed.", "effusion", "denied"),
        ("Pleural effusion-thickening was not detected.", "effusion", "denied"),
        ("The lungs are clear without focal consolidation.", "consolidation", "denied"),
        ("Lungs are free of consolidation.", "consolidation", "denied"),
        ("Negative for pulmonary embolism.", "embolism", "denied"),
        ("No effusion, but a 6 mm nodule in the left upper lobe.", "nodule", "affirmed"),
        ("No effusion; nodule in the lingula.", "nodule", "affirmed"),
        ("No focal consolidation, there is a nodule in the right lung.", "nodule", "affirmed"),
        ("Effusion was not seen, nodules are unchanged.", "nodules", "affirmed"),
        ("No significant change in the nodule of the right lower lobe.", "nodule", "affirmed"),
        ("The nodule is not significantly changed.", "nodule", "affirmed"),
        ("There is a nodule without calcification.", "nodule", "affirmed"),
        ("There is a nodule without calcification.", "calcification", "denied"),
        ("Small effusion in both hemithoraces.", "effusion", "affirmed"),
        ("Malignancy cannot be excluded.", "malignancy", "uncertain"),
        ("Findings suspicious for metastasis.", "metastasis", "uncertain"),
        ("Not only emphysema but also bronchiectasis is present.", "emphysema", "affirmed"),
        ("The effusion has now resolved, atelectasis remains.", "atelectasis", "affirmed"),
    ],
)
def test_negation(sentence: str, term: str, status: str) -> None:
    mention = find_mentions(sentence, re.compile(term, re.IGNORECASE))[0]
    assert mention.status == status


def test_sentences_end_where_they_end() -> None:
    text = "Nodule of 1.5 cm, e.g. a hamartoma. Liver normal.\n- Spleen 13.2 cm\n* No ascites."
    assert split_sentences(text) == [
        "Nodule of 1.5 cm, e.g. a hamartoma.",
        "Liver normal.",
        "Spleen 13.2 cm",
        "No ascites.",
    ]


REPORT = """\
Trachea and both main bronchi are open. Mediastinal vascular structures are normal. Calibration of
the aorta is normal; calcified atheromatous plaques are seen in the aortic arch and the coronary
arteries. Heart size is normal. Pericardial and pleural effusion was not detected. Sliding type
hiatal hernia is observed at the lower end of the esophagus. No lymph node was detected in
mediastinal, upper-lower paratracheal and hilar pathological size and appearance. There are
subsegmental atelectatic changes in the right middle lobe. A few millimetric nonspecific nodules are
seen in the left lung. No mass or infiltrative lesion was detected in both lungs. In the upper
abdominal sections, the liver shows a hypodense lesion. It measures 12 mm. A nodule of 15 mm is seen
in the left adrenal gland. No lytic lesion was detected in bone structures.
"""


def test_findings_of_a_ct_rate_report() -> None:
    assert findings_in(REPORT.replace("\n", " ")) == {
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


def test_sections_by_region() -> None:
    told = by_region(REPORT.replace("\n", " "))
    assert set(told) == {"chest", "abdomen"}
    # "It measures 12 mm." follows the liver's sentence and goes with it.
    assert "liver shows a hypodense lesion. It measures 12 mm." in told["abdomen"]
    assert "adrenal" in told["abdomen"]
    assert "liver" not in told["chest"]
    assert told["chest"].startswith("Trachea and both main bronchi are open.")


def test_a_sentence_of_two_regions_stands_in_both_and_headlines_count() -> None:
    text = "CHEST: Clear. ABDOMEN AND PELVIS: No free fluid. Liver and uterus are normal."
    assert by_region(text) == {
        "chest": "Clear.",
        "abdomen": "No free fluid. Liver and uterus are normal.",
        "pelvis": "No free fluid. Liver and uterus are normal.",
    }
    assert by_region("Metastases are seen in the lungs and the liver.").keys() == {
        "chest",
        "abdomen",
    }
    assert by_region("The bladder is full. The gallbladder is not seen.") == {
        "pelvis": "The bladder is full.",
        "abdomen": "The gallbladder is not seen.",
    }


def test_templates_ask_only_what_is_known() -> None:
    text = f"Findings: {' '.join(REPORT.split())} Impression: Lung nodules."
    record = ScanRecord("d", "n", Path("n"), "p", reports={"report": text})
    asked = from_report(record)
    assert asked == from_report(record)
    answers = {q.question: q.answer for q in asked}
    assert answers["Does this image show signs of hiatal hernia?"] == "Yes."
    assert answers["Does this image show signs of pleural effusion?"] == "No."
    assert "Does this image show signs of emphysema?" not in answers
    assert answers["On which side is the atelectasis?"] == "Right."
    assert answers["On which side is the lung nodule?"] == "Left."
    assert answers["What is the impression?"] == "Lung nodules."
    assert "hypodense" in answers["What are the findings in the abdomen?"]
    (choice,) = [q for q in asked if q.kind == "multiple_choice"]
    said = findings_in(text)
    by_name = {name.lower(): name for name in FINDINGS}
    assert [said[by_name[c]] for c in choice.choices].count(True) == 1
    assert said[by_name[choice.answer]] is True


def test_labels_come_before_the_reports_words() -> None:
    labels = dict.fromkeys(FINDINGS, 1)
    record = ScanRecord("d", "n", Path("n"), "p", reports={"report": "No nodule."}, labels=labels)
    answers = {q.answer for q in from_report(record, ["yes_no"])}
    assert answers == {"Yes."}
    assert len(from_report(record, ["yes_no"])) == 18


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
