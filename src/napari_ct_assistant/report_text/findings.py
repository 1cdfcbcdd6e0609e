"""The 18 findings of CT-RATE, in CT-RATE's order.

The order is that of `multi_abnormality_labels/*_predicted_labels.csv` in the published data
set. Every table, screen and label vector keeps it.
"""

from __future__ import annotations

from typing import Final

from napari_ct_assistant.support.translation import N_

FINDINGS: Final[tuple[str, ...]] = (
    N_("Medical material"),
    N_("Arterial wall calcification"),
    N_("Cardiomegaly"),
    N_("Pericardial effusion"),
    N_("Coronary artery wall calcification"),
    N_("Hiatal hernia"),
    N_("Lymphadenopathy"),
    N_("Emphysema"),
    N_("Atelectasis"),
    N_("Lung nodule"),
    N_("Lung opacity"),
    N_("Pulmonary fibrotic sequela"),
    N_("Pleural effusion"),
    N_("Mosaic attenuation pattern"),
    N_("Peribronchial thickening"),
    N_("Consolidation"),
    N_("Bronchiectasis"),
    N_("Interlobular septal thickening"),
)

_IN_A_SENTENCE: Final = {
    "Lung nodule": "lung nodules",
    "Lung opacity": "lung opacities",
    "Pulmonary fibrotic sequela": "pulmonary fibrotic sequelae",
    "Mosaic attenuation pattern": "a mosaic attenuation pattern",
    "Hiatal hernia": "a hiatal hernia",
    "Pericardial effusion": "a pericardial effusion",
    "Pleural effusion": "a pleural effusion",
}


def in_a_sentence(name: str) -> str:
    """Return a finding's name as it reads after "detect" or "shows": "lung nodules"."""
    return _IN_A_SENTENCE.get(name, name.lower())


# Findings that are said without "a": "is cardiomegaly present".
_WITHOUT_ARTICLE: Final = frozenset(
    {
        "Medical material", "Arterial wall calcification", "Cardiomegaly",
        "Coronary artery wall calcification", "Lymphadenopathy", "Emphysema", "Atelectasis",
        "Pulmonary fibrotic sequela", "Peribronchial thickening", "Consolidation",
        "Bronchiectasis", "Interlobular septal thickening", "Lymphoma", "Hepatic steatosis",
        "Biliary dilation", "Pancreatitis", "Diverticular disease", "Ascites",
        "Peritoneal/omental disease", "Pneumoperitoneum", "Abdominal vascular calcification",
        "Abdominal lymphadenopathy", "Abdominal medical material", "Urinary obstruction",
        "Splenomegaly", "Hydronephrosis", "Bowel obstruction", "Diverticulosis",
    }
)  # fmt: skip


def with_article(name: str) -> str:
    """Return one finding as it reads after "is there": "a lung nodule", "emphysema"."""
    if name in _WITHOUT_ARTICLE:
        return name.lower()
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name.lower()}"
