"""The findings that NV-Reason-CT was trained to name, by region, in its own order.

From NVIDIA's `train/vlm_labels.py`. The first 18 of the chest are CT-RATE's, in CT-RATE's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from napari_ct_assistant.backends.nv_reason_ct.input.preparation import ABDOMEN, CHEST, NONE
from napari_ct_assistant.report_text.findings import FINDINGS, with_article

CHEST_LABELS: Final[tuple[str, ...]] = (
    *FINDINGS,
    "Lung mass",
    "Pleural thickening or mass",
    "Mediastinal mass",
    "Lymphoma",
    "Pneumothorax",
    "Thoracic bone lesion",
    "Thoracic fracture",
    "Chest wall or breast mass",
    "Pulmonary embolism",
    "Thoracic vascular abnormality",
    "Esophageal abnormality",
    "Postoperative or treatment-related change",
)
ABDOMEN_LABELS: Final[tuple[str, ...]] = (
    "Liver cyst",
    "Liver mass or non-cystic lesion",
    "Hepatic steatosis",
    "Biliary dilation",
    "Gallstone or gallbladder abnormality",
    "Splenomegaly or splenic lesion",
    "Pancreatic lesion or duct abnormality",
    "Pancreatitis",
    "Renal cyst",
    "Renal mass",
    "Urinary calculus",
    "Urinary obstruction",
    "Adrenal nodule or mass",
    "Bowel wall thickening or mass",
    "Bowel obstruction or dilation",
    "Diverticular disease",
    "Appendiceal abnormality",
    "Ascites",
    "Peritoneal/omental disease",
    "Pneumoperitoneum",
    "Abdominal vascular abnormality",
    "Abdominal vascular calcification",
    "Abdominal lymphadenopathy",
    "Abdominal wall hernia",
    "Abdominal soft tissue mass",
    "Abdominopelvic bone lesion",
    "Abdominopelvic fracture",
    "Abdominal postoperative change",
    "Abdominal medical material",
)
# Region "none" is the middle of the scan; its questions are those of the chest.
LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    CHEST: CHEST_LABELS,
    ABDOMEN: ABDOMEN_LABELS,
    NONE: CHEST_LABELS,
}
NO_FINDING: Final = {"no chest finding", "no abdominal finding"}

REPORT_QUESTIONS: Final = {
    CHEST: "write a structured chest CT report",
    ABDOMEN: "write a structured abdominal CT report",
    NONE: "write a structured chest CT report",
}
# Only the wording for pleural effusion is published.
FINDING_QUESTION: Final = "Is {finding} present in this CT? Answer only Yes or No."


def finding_question(name: str) -> str:
    """Return the question whether a finding is there: "Is a pleural effusion present ..."."""
    return FINDING_QUESTION.replace("{finding}", with_article(name))


def known_labels(listed: str, region: str) -> tuple[str, ...]:
    """Return the labels of an answer's list, "label, label", in its order.

    The region's own "no finding" stands for none, as an empty list does.
    """
    names = {label.lower(): label for label in LABELS[region]}
    found = []
    for part in listed.split(","):
        text = " ".join(part.split())
        if text and text.lower() not in NO_FINDING:
            found.append(names.get(text.lower(), text))
    return tuple(dict.fromkeys(found))
