"""The findings that NV-Reason-CT was trained to name, by region, in its own order.

From NVIDIA's `train/vlm_labels.py`. The first 18 of the chest are CT-RATE's, in CT-RATE's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from napari_ct_assistant.backends.nv_reason_ct.input.preparation import ABDOMEN, CHEST, NONE
from napari_ct_assistant.report_text.findings import FINDINGS, with_article
from napari_ct_assistant.support.translation import N_

CHEST_LABELS: Final[tuple[str, ...]] = (
    *FINDINGS,
    N_("Lung mass"),
    N_("Pleural thickening or mass"),
    N_("Mediastinal mass"),
    N_("Lymphoma"),
    N_("Pneumothorax"),
    N_("Thoracic bone lesion"),
    N_("Thoracic fracture"),
    N_("Chest wall or breast mass"),
    N_("Pulmonary embolism"),
    N_("Thoracic vascular abnormality"),
    N_("Esophageal abnormality"),
    N_("Postoperative or treatment-related change"),
)
ABDOMEN_LABELS: Final[tuple[str, ...]] = (
    N_("Liver cyst"),
    N_("Liver mass or non-cystic lesion"),
    N_("Hepatic steatosis"),
    N_("Biliary dilation"),
    N_("Gallstone or gallbladder abnormality"),
    N_("Splenomegaly or splenic lesion"),
    N_("Pancreatic lesion or duct abnormality"),
    N_("Pancreatitis"),
    N_("Renal cyst"),
    N_("Renal mass"),
    N_("Urinary calculus"),
    N_("Urinary obstruction"),
    N_("Adrenal nodule or mass"),
    N_("Bowel wall thickening or mass"),
    N_("Bowel obstruction or dilation"),
    N_("Diverticular disease"),
    N_("Appendiceal abnormality"),
    N_("Ascites"),
    N_("Peritoneal/omental disease"),
    N_("Pneumoperitoneum"),
    N_("Abdominal vascular abnormality"),
    N_("Abdominal vascular calcification"),
    N_("Abdominal lymphadenopathy"),
    N_("Abdominal wall hernia"),
    N_("Abdominal soft tissue mass"),
    N_("Abdominopelvic bone lesion"),
    N_("Abdominopelvic fracture"),
    N_("Abdominal postoperative change"),
    N_("Abdominal medical material"),
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
