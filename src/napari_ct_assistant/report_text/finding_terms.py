"""How reports call the 18 findings of CT-RATE, and which body region a word belongs to."""

from __future__ import annotations

import re
from typing import Final

from napari_ct_assistant.report_text.findings import FINDINGS

REGIONS = ("chest", "abdomen", "pelvis")

_CALCIUM = r"(?:calcif\w*|calcium|atherom\w*|atheroscl\w*|plaques?)"
_BOTH = r"(?:\s*(?:/|,|-|and/or|or|and)\s*(?:{other}))?"
_PLEURAL = r"pleur\w*" + _BOTH.format(other=r"pericardi\w*") + r"\s+(?:effusions?|fluid)"
_PERICARDIAL = r"pericardi\w*" + _BOTH.format(other=r"pleur\w*") + r"\s+(?:effusions?|fluid)"

_TERMS: dict[str, str] = {
    "Medical material": r"pacemaker|pacer|port\s+catheter|port-a-cath|\bcatheters?\b|"
    r"\bstern(?:al|otomy)\s+(?:wires?|sutures?)|\bstents?\b|prosthe\w*|endotracheal\s+tube|"
    r"tracheostomy|nasogastric|surgical\s+(?:clips?|material|sutures?)|metallic\s+sutures?",
    "Arterial wall calcification": rf"(?:aort\w*|(?<!coronary )\barter\w*|supra-aortic)[^.;,]*?"
    rf"{_CALCIUM}|{_CALCIUM}(?:(?!coronary)[^.;,])*?(?:aort\w*|\barter\w*)",
    "Cardiomegaly": r"cardiomegaly|enlarged\s+heart|(?:heart|cardiac)(?:\s+size)?\s+"
    r"(?:is\s+|are\s+|has\s+|was\s+)?(?:not\s+)?(?:mildly\s+|slightly\s+|markedly\s+|moderately\s+)?"
    r"(?:enlarged|increased)|(?:increase|increased)\s+(?:in\s+)?(?:heart|cardiac)\s+size",
    "Pericardial effusion": _PERICARDIAL,
    "Coronary artery wall calcification": rf"coronar\w*[^.;,]*?{_CALCIUM}|"
    rf"{_CALCIUM}[^.;,]*?coronar\w*",
    "Hiatal hernia": r"hiat(?:al|us)\s+herni\w*|herni\w*\s+of\s+the\s+hiatus",
    "Lymphadenopathy": r"\w*adenopath\w*|(?:enlarged|pathologic\w*)[^.;,]{0,40}?lymph\s+nodes?|"
    r"lymph\s+nodes?[^.;]{0,120}?(?:enlarged|pathologic\w*\s+(?:size|dimension|appearance))",
    "Emphysema": r"(?<!subcutaneous )emphysem\w*",
    "Atelectasis": r"\w*atelecta\w*",
    "Lung nodule": r"(?<!thyroid )(?<!adrenal )\b(?:micro)?nodul(?:es?|ar(?:ity|ities)?)\b",
    "Lung opacity": r"ground[- ]?glass|\bopacit(?:y|ies)\b|opacification|infiltrat\w*",
    "Pulmonary fibrotic sequela": r"fibro(?:tic|sis|atelecta\w*)|sequela\w*|\bscarring\b|"
    r"parenchymal\s+bands?",
    "Pleural effusion": _PLEURAL + r"|hydrothorax",
    "Mosaic attenuation pattern": r"mosaic\s+(?:attenuation|perfusion|pattern|density)",
    "Peribronchial thickening": r"peribronch\w*\s+(?:thicken\w*|cuffing)|bronchial\s+walls?\s+"
    r"thicken\w*|thicken\w*\s+of\s+the\s+bronchial\s+walls?|bronchial\s+walls?\s+(?:is|are)\s+thick\w*",
    "Consolidation": r"consolidat\w*",
    "Bronchiectasis": r"bronchiecta\w*",
    "Interlobular septal thickening": r"(?:inter\s*lobular\s+)?septal\s+thicken\w*|"
    r"thicken\w*\s+of\s+(?:the\s+)?(?:interlobular\s+)?sept\w+|interlobular\s+sept\w+",
}
FINDING_TERMS: Final = {name: re.compile(_TERMS[name], re.IGNORECASE) for name in FINDINGS}

# A nodule or calcification of these organs is not one of the lung or the arteries.
ELSEWHERE: Final = re.compile(
    r"thyroid|adrenal|breast|liver|hepatic|renal|kidney|spleen|splenic|pancrea\w*|ovar\w*|uter\w*",
    re.IGNORECASE,
)
LUNG: Final = re.compile(r"\blungs?\b|pulmonary|\blobe|lingula|segment|parenchym\w*", re.IGNORECASE)

_REGION_WORDS: dict[str, str] = {
    "chest": r"lungs?|lobes?|lingula\w*|pulmonary|bronch\w*|trache\w*|pleura\w*|mediastin\w*|"
    r"hil(?:ar|um|a)|heart|cardi\w*|pericardi\w*|coronar\w*|thora\w*|chest|esophag\w*|oesophag\w*|axilla\w*|"
    r"sternum|ribs?|breasts?|thyroid|emphysem\w*|hiat(?:al|us)|pneumon\w*|pneumothorax|"
    r"(?:ascending|arch\s+of\s+the|descending)\s+aorta|aortic\s+arch",
    "abdomen": r"abdom\w*|liver|hepat\w*|gall\s?bladder|biliary|bile|common\s+bile\s+duct|"
    r"spleen|splenic|pancrea\w*|kidneys?|renal|adrenals?|stomach|gastric|duoden\w*|bowel|intestin\w*|"
    r"colon\w*|jejun\w*|ile(?:um|al)|append\w*|mesent\w*|retroperiton\w*|periton\w*|ascites|"
    r"omentum|ureters?|portal|celiac|abdominal\s+aorta|hydronephrosis|cholelithiasis|gallstones?",
    "pelvis": r"pelvi\w*|urinary\s+bladder|(?<!gall)(?<!gall )bladder|prostat\w*|uter(?:us|ine)|"
    r"ovar\w*|adnexa\w*|rect(?:um|al)|sigmoid|inguinal|iliac|seminal|vagina\w*|cervi(?:x|cal\s+canal)|"
    r"endometri\w*|acetabul\w*|femoral\s+head\w*",
}
REGION_TERMS: Final = {
    name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in _REGION_WORDS.items()
}
