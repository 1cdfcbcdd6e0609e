"""Which sentences of a report are about the chest, the abdomen and the pelvis."""

from __future__ import annotations

import re
from typing import Final

from napari_ct_assistant.report_text.sentences import split_sentences

REGIONS: Final = ("chest", "abdomen", "pelvis")

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
_HEADLINE = re.compile(r"^\s*([A-Za-z][A-Za-z /,&-]{2,60}):\s*")


def regions_of(sentence: str) -> list[str]:
    """Return the regions whose organs a sentence names."""
    return [name for name in REGIONS if REGION_TERMS[name].search(sentence)]


def split_regions(report: str) -> dict[str, str]:
    """Return the sentences of a report about each region, in the order of the report.

    A sentence about the lungs and the liver is returned for both regions. A sentence that names
    no organ belongs to the region of the sentence or headline before it; at the beginning of the
    report, to the first region named.
    """
    found: dict[str, list[str]] = {name: [] for name in REGIONS}
    waiting: list[str] = []
    current: list[str] = []
    for sentence in split_sentences(report):
        headline = _HEADLINE.match(sentence)
        if headline is not None:
            current = regions_of(headline[1]) or current
            sentence = sentence[headline.end() :]
            if not sentence:
                continue
        current = regions_of(sentence) or current
        if not current:
            waiting.append(sentence)
            continue
        for name in current:
            found[name] += [*waiting, sentence]
        waiting = []
    return {name: " ".join(sentences) for name, sentences in found.items() if sentences}
