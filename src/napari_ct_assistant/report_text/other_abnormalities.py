"""Abnormalities beside the 18 findings of CT-RATE that a report may state, sum up or deny."""

from __future__ import annotations

from typing import Final

from napari_ct_assistant.report_text.patterns import any_case, one_of

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "Pneumothorax": (r"pneumothora\w+",),
    "Pulmonary embolism": (r"(?:pulmonary|lung) (?:arter\w+ )?embol\w+|emboli|filling defects?",),
    "Thrombosis": (r"thromb(?:us|i|osis|oses|osed)",),
    "Fracture": (r"fractur\w+",),
    "Mass": (r"mass(?:es)?|tumou?rs?|neoplas\w+|carcinoma\w*",),
    "Metastasis": (r"metasta\w+",),
    "Aneurysm": (r"aneurysm\w*",),
    "Dissection": ("dissections?",),
    "Ascites": ("ascites|free (?:abdominal )?fluid",),
    "Pneumoperitoneum": ("pneumoperitoneum|free (?:intraperitoneal )?air",),
    "Abscess": (r"abscess\w*",),
    "Cyst": ("cysts?",),
    "Stone": (r"stones?|calculi|calculus|\w+lithiasis|gallstones?",),
    "Hydronephrosis": (r"hydro(?:uretero)?nephro\w+",),
    "Haemorrhage": (r"ha?emorrhag\w+|ha?ematomas?",),
    "Steatosis": (r"(?:hepato)?steatosis|fatty liver",),
}
OTHER_ABNORMALITIES: Final = {name: any_case(one_of(*words)) for name, words in _WORDS.items()}
