"""The lexicon: what reports and readers call the 18 findings of CT-RATE."""

from __future__ import annotations

from typing import Final

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.patterns import any_case, one_of

_DEGREE = "(?:(?:mildly|slightly|moderately|markedly|severely|borderline|minimally|diffusely) )?"
_IS = f"(?:(?:is|are|has|was|were) )?(?:not )?{_DEGREE}"
_HEART = "(?:heart|cardiac|cardiac silhouette)(?: size)?"
# Non-calcified ("soft") plaques do not count, nor does the aortic valve.
_CALCIUM = (
    r"(?:(?<!non)(?<!non-)calcif\w*|calcium|atherom\w*|atheroscl\w*|"
    r"(?<!noncalcified\s)(?<!non-calcified\s)(?<!soft\s)plaques?)"
)
_AORTA = r"aort\w*(?! valve)\b"
_ARTERY = r"(?<!coronary\s)\barter\w*"
# "Pleural or pericardial effusion", "pleural thickening or fluid".
_OR = r"(?:\s*(?:/|,|-|,?\s*(?:and/or|or|and|nor))\s*(?:a )?{other})?"
_THICKENING = r"(?: thicken\w*\s*(?:/|,|-|and/or|or|and))?"
_PLEURAL = rf"pleur\w*{_THICKENING}{_OR.format(other='pericardi[a-z]*')}"
_PERICARDIAL = rf"pericardi\w*{_THICKENING}{_OR.format(other='pleur[a-z]*')}"
_FLUID = "(?:effusions?|fluid)"

# Phrases by which reports mention a finding.
_REPORT_WORDS: dict[str, tuple[str, ...]] = {
    "Medical material": (
        "pacemakers?|pacer|pacing (?:leads?|wires?)|ICD",
        "port-a-cath|port (?:chamber|system)|chest port",
        r"\w*catheters?|PICC|central (?:venous )?lines?",
        "stern(?:al|otomy) (?:wires?|sutures?)|metallic sutures?",
        r"surgical (?:clips?|material|sutures?)|stents?|prosthe\w*",
        "(?:endotracheal|nasogastric|chest|feeding|drainage) tubes?",
        "tracheostomy|nasogastric",
        "medical (?:material|devices?)",
    ),
    "Arterial wall calcification": (
        f"(?:{_AORTA}|{_ARTERY}|supra-aortic)[^.;,]*?{_CALCIUM}",
        f"{_CALCIUM}[^.;,]*?{_AORTA}",
        rf"{_CALCIUM}(?:(?!coronary)[^.;,])*?\barter\w*",
    ),
    "Cardiomegaly": (
        "cardiomegaly|cardiac enlargement",
        "enlarged (?:heart|cardiac silhouette)|enlargement of the (?:heart|cardiac)",
        f"{_HEART} {_IS}(?:enlarged|increased|larger than)",
        "increased? (?:in )?(?:heart|cardiac) size",
    ),
    "Pericardial effusion": (f"{_PERICARDIAL} {_FLUID}",),
    "Coronary artery wall calcification": (
        rf"coronar\w*[^.;,]*?{_CALCIUM}",
        rf"{_CALCIUM}[^.;,]*?coronar\w*",
    ),
    "Hiatal hernia": (
        r"hiat(?:al|us) herni\w*|herni\w* of the hiatus",
        r"(?:sliding|para-?(?:o?e)?sophageal)(?: type)? herni\w*",
    ),
    "Lymphadenopathy": (
        r"\w*adenopath\w*|lymphadenomegal\w*|lymph node enlargement",
        r"(?:enlarged|pathologic\w*)[^.;,]{0,40}?\bnodes?",
        "lymph nodes?(?:(?!heart|liver|spleen)[^.;,]){0,60}?enlarged",
        r"lymph nodes?[^.;]{0,120}?pathologic\w* (?:size|dimension|appearance|enlarged)",
    ),
    "Emphysema": (r"(?<!subcutaneous\s)(?<!surgical\s)(?<!mediastinal\s)(?<!tissue\s)emphysem\w*",),
    "Atelectasis": (r"\w*atelecta\w*",),
    "Lung nodule": (
        "(?:micro)?nodul(?:es?|arit(?:y|ies))",
        r"nodular (?:ground(?:-| )glass|opacit\w+|densit\w+|lesions?|foc\w+|consolidat\w+|"
        r"infiltrat\w+|formations?|structures?|areas?)",
    ),
    "Lung opacity": (
        r"ground(?:-| )?glass|opacit(?:y|ies)|infiltrat\w*",
        r"(?<!contrast\s)opacification(?! of (?:the )?(?:pulmonary )?(?:arter|vess|vein|bowel))",
    ),
    "Pulmonary fibrotic sequela": (
        r"fibro(?:tic|sis|atelecta\w*)|sequel(?:a\w*|ar)|scar(?:s|ring)?|parenchymal bands?",
    ),
    "Pleural effusion": (
        rf"{_PLEURAL} {_FLUID}|hydrothora\w+",
        rf"{_FLUID} (?:(?:is|are) \w+ )?in (?:\w+ ){{0,2}}pleural",
        "(?:left|right|bilateral)(?:-sided)? effusions?",
    ),
    "Mosaic attenuation pattern": (
        r"mosaic\w*(?: (?:lung|attenuation|perfusion|density|pattern))*",
    ),
    "Peribronchial thickening": (
        r"peribronch\w*(?: and \w+(?: septal)?)?(?: walls?)? (?:thick\w*|cuffing)",
        rf"bronchial walls? (?:(?:is|are) )?{_DEGREE}thick\w*",
        r"thick\w* (?:of )?(?:the )?bronchial walls?",
    ),
    "Consolidation": (r"consolidat\w*",),
    "Bronchiectasis": (
        r"bronchiecta\w*|dilated bronchi|bronchial dilat\w+",
        r"bronchi (?:(?:is|are) )?(?:\w+ly )?dilated",
    ),
    "Interlobular septal thickening": (
        r"(?<!ventricular\s)septal? thick\w*",
        r"thick\w* (?:of )?(?:the )?(?:inter-?\s*lobular )?sept\w+",
        r"inter-?\s*lobular sept\w+[^.;,]{0,40}?(?:thick\w*|prominen\w*)",
    ),
}
FINDING_TERMS: Final = {name: any_case(one_of(*_REPORT_WORDS[name])) for name in FINDINGS}

_CALCIFICATIONS = (
    r"(?:vascular|vessel) calcif\w*|calcified vessels?",
    r"calcifications?(?=\s*(?:$|\?|seen|present|visible|(?:in|on) (?:this|the) (?:scan|image|CT)))",
)
_EFFUSION = r"(?<!knee\s)(?<!joint\s)(?<!hip\s)(?<!shoulder\s)effusions?"
_MASS = r"(?:lesions?|mass(?:es)?|tumou?rs?|spots?|cancer|metasta\w+)"
# Wider words, too vague to label a report by, with which a reader may ask for a finding.
_QUESTION_WORDS: dict[str, tuple[str, ...]] = {
    "Arterial wall calcification": _CALCIFICATIONS,
    "Cardiomegaly": (
        r"heart\b[^.;?]{0,20}\b(?:big|large|size)",
        r"(?:big|large)\b[^.;?]{0,10}\bheart|size of the heart",
    ),
    "Pericardial effusion": (_EFFUSION, "fluid around the heart"),
    "Coronary artery wall calcification": _CALCIFICATIONS,
    "Hiatal hernia": (r"(?<!inguinal\s)(?<!umbilical\s)(?<!ventral\s)(?<!disc\s)hernias?",),
    "Lymphadenopathy": ("lymph (?:nodes?|glands?)",),
    "Atelectasis": ("collapsed?",),
    "Lung nodule": (
        f"(?:lungs?|pulmonary|lobes?) {_MASS}",
        f"{_MASS} (?:in|on|of) (?:(?:the|both|either|left|right|upper|middle|lower) )*"
        "(?:lungs?|lobes?)",
    ),
    "Pleural effusion": (_EFFUSION, r"fluid (?:around|in|on) (?:\w+ ){0,2}lungs?"),
    "Medical material": ("implants?|devices?|wires?|tubes?(?! (?:voltage|current))",),
}
QUESTION_TERMS: Final = {
    name: any_case(one_of(*phrases)) for name, phrases in _QUESTION_WORDS.items()
}

FINDINGS_OF_THE_LUNG: Final = ("Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela")
# Nodules, opacities and scars of these organs are not those of the lungs.
OTHER_ORGANS: Final = any_case(
    one_of(
        "thyroid|adrenal|breast|liver|hepatic|renal|kidney|spleen|splenic|parotid|subcutaneous|skin",
        r"pancrea\w*|ovar\w*|uter(?:us|ine)|prostat\w*|periton\w*|oment\w*",
    )
)
# The lobes of the thyroid and the liver do not count.
LUNG: Final = any_case(
    one_of(
        r"lungs?|pulmonary|lingula\w*|parenchym\w*",
        r"(?<!thyroid\s)(?<!hepatic\s)(?<!liver\s)lobes?"
        "(?! of (?:the )?(?:thyroid|liver|prostate))",
        r"(?<!hepatic\s)(?<!liver\s)segment\w*",
    )
)
