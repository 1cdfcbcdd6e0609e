"""What is denied, suspected or past in a sentence."""

from __future__ import annotations

import re

import pytest

from napari_ct_assistant.report_text.negation import find_mentions, has_negation


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
        ("Resolved right pleural effusion.", "effusion", "denied"),
        ("Partly resolved right pleural effusion.", "effusion", "affirmed"),
        ("The effusion has now resolved, atelectasis remains.", "atelectasis", "affirmed"),
    ],
)
def test_negation(sentence: str, term: str, status: str) -> None:
    mention = find_mentions(sentence, re.compile(term, re.IGNORECASE))[0]
    assert mention.status == status


@pytest.mark.parametrize(
    ("text", "denies"),
    [
        ("No effusion.", True),
        ("Effusion was not detected.", True),
        ("The effusion has resolved.", True),
        ("No change in the effusion.", False),
        ("Not only emphysema.", False),
        ("Notable emphysema.", False),
        ("Malignancy cannot be excluded.", False),
        ("We do not exclude it, and I am not sure.", False),
    ],
)
def test_whether_a_text_denies_anything(text: str, denies: bool) -> None:
    assert has_negation(text) is denies
