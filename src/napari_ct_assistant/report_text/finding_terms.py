"""The lexicon: what reports and readers call the 18 findings of CT-RATE."""

from __future__ import annotations

import re
from typing import Final

from napari_ct_assistant.report_text.findings import FINDINGS

# Non-calcified ("soft") plaques are no calcification, and an aortic valve is no artery.
_CALCIUM = (
    r"(?:(?<!non)(?<!non-)calcif\w*|calcium|atherom\w*|atheroscl\w*|"
    r"(?<!noncalcified )(?<!non-calcified )(?<!soft )plaques?)"
)
_AORTA = r"(?:aort\w*(?!\s+valve)\b|(?<!coronary )\barter\w*|supra-aortic)"
_AND = r"(?:\s*(?:/|,|-|,?\s*(?:and/or|or|and|nor))\s*(?:a\s+)?(?:{others}))?"
_FLUID = r"\s+(?:effusions?|fluid)"
_THICKENING = r"(?:\s+thicken\w*\s*(?:/|,|-|and/or|or|and))?"
_PLEURAL = r"\bpleur\w*" + _THICKENING + _AND.format(others=r"pericardi\w*") + _FLUID
_PERICARDIAL = r"\bpericardi\w*" + _THICKENING + _AND.format(others=r"pleur\w*") + _FLUID
_DEGREE = r"(?:mildly|slightly|moderately|markedly|severely|borderline|minimally|diffusely)"
_IS = rf"(?:(?:is|are|has|was|were)\s+)?(?:not\s+)?(?:{_DEGREE}\s+)?"
_HEART = r"(?:heart|cardiac|cardiac\s+silhouette)(?:\s+size)?"
_THICK = r"(?:thick\w*|cuffing)"

_TERMS: dict[str, str] = {
    "Medical material": r"pacemaker|\bpacer\b|\bpacing\s+(?:leads?|wires?)|\bICD\b|port-a-cath|"
    r"\bport\s+(?:chamber|system)|\bchest\s+port\b|\bcatheters?\b|\bPICC\b|"
    r"\bcentral\s+(?:venous\s+)?lines?\b|\bstern(?:al|otomy)\s+(?:wires?|sutures?)|\bstents?\b|"
    r"prosthe\w*|\b(?:endotracheal|nasogastric|chest|feeding|drainage|tracheostomy)\s+tubes?|"
    r"tracheostomy|nasogastric|\bsurgical\s+(?:clips?|material|sutures?)|metallic\s+sutures?|"
    r"\bmedical\s+(?:material|devices?)",
    "Arterial wall calcification": rf"{_AORTA}[^.;,]*?{_CALCIUM}|"
    rf"{_CALCIUM}[^.;,]*?aort\w*(?!\s+valve)\b|{_CALCIUM}(?:(?!coronary)[^.;,])*?\barter\w*",
    "Cardiomegaly": r"cardiomegaly|\benlarged\s+(?:heart|cardiac\s+silhouette)|"
    rf"\b{_HEART}\s+{_IS}(?:enlarged|increased|larger\s+than)|\bcardiac\s+enlargement|"
    r"\benlargement\s+of\s+the\s+(?:heart|cardiac)|"
    r"\bincreased?\s+(?:in\s+)?(?:heart|cardiac)\s+size",
    "Pericardial effusion": _PERICARDIAL,
    "Coronary artery wall calcification": rf"coronar\w*[^.;,]*?{_CALCIUM}|"
    rf"{_CALCIUM}[^.;,]*?coronar\w*",
    "Hiatal hernia": r"\bhiat(?:al|us)\s+herni\w*|\bherni\w*\s+of\s+the\s+hiatus|"
    r"\b(?:sliding|para-?(?:o?e)?sophageal)(?:\s+type)?\s+herni\w*",
    "Lymphadenopathy": r"\w*adenopath\w*|\blymph\s+node\s+enlargement|\blymphadenomegal\w*|"
    r"\b(?:enlarged|pathologic\w*)[^.;,]{0,40}?(?:lymph\s+)?\bnodes?\b|"
    r"\blymph\s+nodes?(?:(?!heart|liver|spleen)[^.;,]){0,60}?enlarged|"
    r"\blymph\s+nodes?[^.;]{0,120}?pathologic\w*\s+(?:size|dimension|appearance|enlarged)",
    "Emphysema": r"(?<!subcutaneous )(?<!surgical )(?<!mediastinal )(?<!tissue )\bemphysem\w*",
    "Atelectasis": r"\w*atelecta\w*",
    "Lung nodule": r"\b(?:micro)?nodul(?:es?|arit(?:y|ies))\b|\bnodular\s+(?:ground[- ]glass|"
    r"opacit\w+|densit\w+|lesions?|foc\w+|consolidat\w+|infiltrat\w+|formations?|structures?|areas?)",
    "Lung opacity": r"ground[- ]?glass|\bopacit(?:y|ies)\b|infiltrat\w*|"
    r"(?<!contrast )\bopacification"
    r"(?!\s+of\s+(?:the\s+)?(?:pulmonary\s+)?(?:arter|vess|vein|bowel))",
    "Pulmonary fibrotic sequela": r"\bfibro(?:tic|sis|atelecta\w*)|\bsequel(?:a\w*|ar)\b|"
    r"\bscar(?:s|ring)?\b|parenchymal\s+bands?",
    "Pleural effusion": _PLEURAL + r"|\bhydrothora\w+|"
    r"\b(?:effusions?|fluid)\s+(?:(?:is|are)\s+\w+\s+)?in\s+(?:\w+\s+){0,2}pleural|"
    r"\b(?:left|right|bilateral)(?:-sided)?\s+effusions?",
    "Mosaic attenuation pattern": r"\bmosaic\w*"
    r"(?:\s+(?:lung|attenuation|perfusion|density|pattern))*",
    "Peribronchial thickening": rf"\bperibronch\w*(?:\s+and\s+\w+(?:\s+septal)?)?"
    rf"(?:\s+walls?)?\s+{_THICK}|\bbronchial\s+walls?\s+(?:(?:is|are)\s+)?(?:{_DEGREE}\s+)?thick\w*|"
    r"\bthick\w*\s+(?:of\s+)?(?:the\s+)?bronchial\s+walls?",
    "Consolidation": r"\bconsolidat\w*",
    "Bronchiectasis": r"\bbronchiecta\w*|\bdilated\s+bronchi\b|\bbronchial\s+dilat\w+|"
    r"\bbronchi\s+(?:(?:is|are)\s+)?(?:\w+ly\s+)?dilated",
    "Interlobular septal thickening": r"(?<!ventricular )\bsepta(?:l)?\s+thick\w*|"
    r"\bthick\w*\s+(?:of\s+)?(?:the\s+)?(?:inter-?\s*lobular\s+)?sept\w+|"
    r"\binter-?\s*lobular\s+sept\w+[^.;,]{0,40}?(?:thick\w*|prominen\w*)",
}
FINDING_TERMS: Final = {name: re.compile(_TERMS[name], re.IGNORECASE) for name in FINDINGS}

# Wider words, too vague to label a report by, under which a reader may ask for a finding.
_CALCIFICATIONS = (
    r"\b(?:vascular|vessel)\s+calcif\w*|\bcalcified\s+vessels?|\bcalcifications?\b"
    r"(?=\s*(?:$|\?|seen|present|visible|anywhere|(?:in|on)\s+(?:this|the)\s+(?:scan|image|CT)))"
)
_EFFUSION = r"(?<!knee )(?<!joint )(?<!hip )(?<!shoulder )\beffusions?\b"
_QUESTION_WORDS: dict[str, str] = {
    "Arterial wall calcification": _CALCIFICATIONS,
    "Cardiomegaly": r"\bheart\b[^.;?]{0,20}\b(?:big|large|size)\b|"
    r"\b(?:big|large)\b[^.;?]{0,10}\bheart|\bsize\s+of\s+the\s+heart",
    "Pericardial effusion": rf"{_EFFUSION}|\bfluid\s+around\s+the\s+heart\b",
    "Coronary artery wall calcification": _CALCIFICATIONS,
    "Hiatal hernia": r"(?<!inguinal )(?<!umbilical )(?<!ventral )(?<!disc )\bhernias?\b",
    "Lymphadenopathy": r"\blymph\s+(?:nodes?|glands?)\b",
    "Atelectasis": r"\bcollapsed?\b",
    "Lung nodule": r"\b(?:lungs?|pulmonary|lobes?)\s+(?:lesions?|mass(?:es)?|tumou?rs?|spots?|"
    r"cancer|metasta\w+)|\b(?:lesions?|mass(?:es)?|tumou?rs?|spots?|metasta\w+)\s+(?:in|on|of)\s+"
    r"(?:(?:the|both|either|left|right|upper|middle|lower)\s+)*(?:lungs?|lobes?)",
    "Pleural effusion": rf"{_EFFUSION}|\bfluid\s+(?:around|in|on)\s+(?:\w+\s+){{0,2}}lungs?\b",
    "Medical material": r"\b(?:implants?|devices?|wires?|tubes?(?!\s+(?:voltage|current)))\b",
}
QUESTION_TERMS: Final = {
    name: re.compile(words, re.IGNORECASE) for name, words in _QUESTION_WORDS.items()
}

# A nodule, an opacity or a scar of these organs is not one of the lungs.
OTHER_ORGANS: Final = re.compile(
    r"\b(?:thyroid|adrenal|breast|liver|hepatic|renal|kidney|spleen|splenic|pancrea\w*|ovar\w*|"
    r"uter(?:us|ine)|prostat\w*|parotid|subcutaneous|skin|periton\w*|oment\w*)\b",
    re.IGNORECASE,
)
# The lobes of the thyroid and the liver do not count.
LUNG: Final = re.compile(
    r"\blungs?\b|\bpulmonary|(?<!thyroid )(?<!hepatic )(?<!liver )\blobes?\b"
    r"(?!\s+of\s+(?:the\s+)?(?:thyroid|liver|prostate))|\blingula|"
    r"(?<!hepatic )(?<!liver )\bsegment|\bparenchym\w*",
    re.IGNORECASE,
)
FINDINGS_OF_THE_LUNG: Final = ("Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela")
