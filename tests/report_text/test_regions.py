"""Which region of the body a sentence is about."""

from __future__ import annotations

from napari_ct_assistant.report_text.regions import split_regions
from tests.report_text.reports import CT_RATE_REPORT


def test_sections_split_regions() -> None:
    told = split_regions(CT_RATE_REPORT)
    assert set(told) == {"chest", "abdomen"}
    # "It measures 12 mm." follows the liver's sentence and goes with it.
    assert "liver shows a hypodense lesion. It measures 12 mm." in told["abdomen"]
    assert "adrenal" in told["abdomen"]
    assert "liver" not in told["chest"]
    assert told["chest"].startswith("Trachea and both main bronchi are open.")


def test_a_sentence_of_two_regions_stands_in_both_and_headlines_count() -> None:
    text = "CHEST: Clear. ABDOMEN AND PELVIS: No free fluid. Liver and uterus are normal."
    assert split_regions(text) == {
        "chest": "Clear.",
        "abdomen": "No free fluid. Liver and uterus are normal.",
        "pelvis": "No free fluid. Liver and uterus are normal.",
    }
    assert split_regions("Metastases are seen in the lungs and the liver.").keys() == {
        "chest",
        "abdomen",
    }
    assert split_regions("The bladder is full. The gallbladder is not seen.") == {
        "pelvis": "The bladder is full.",
        "abdomen": "The gallbladder is not seen.",
    }
