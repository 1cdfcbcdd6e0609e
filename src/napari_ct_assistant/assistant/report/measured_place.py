"""What a measurement may be called and where it lies, as the model has said it.

Nothing is inferred from coordinates. A place is taken from sentences about the same finding only,
only if they agree, and only if its side is the one on which the measurement lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from napari_ct_assistant.assistant.report.measurement import Side
from napari_ct_assistant.report_text.attributes import attributes_of
from napari_ct_assistant.report_text.finding_mentions import finding_mentions
from napari_ct_assistant.report_text.negation import find_mentions
from napari_ct_assistant.report_text.other_abnormalities import OTHER_ABNORMALITIES
from napari_ct_assistant.report_text.sentences import split_sentences

_SPOKEN: Final = {
    "Lung nodule": "nodule",
    "Lung opacity": "opacity",
    "Lymphadenopathy": "lymph node",
}
"""How a report calls a finding that can be measured, where its name reads otherwise."""

NAMES: Final = (
    "nodule", "mass", "lymph node", "opacity", "consolidation", "cyst", "pleural effusion",
    "pericardial effusion", "aneurysm", "lesion",
)  # fmt: skip
"""What is measured most often, offered to the reader."""

PLACES: Final = (
    "right upper lobe", "right middle lobe", "right lower lobe", "left upper lobe", "lingula",
    "left lower lobe", "mediastinum", "right hilum", "left hilum", "right pleural space",
    "left pleural space",
)  # fmt: skip
"""Where it lies most often, offered to the reader."""


def findings_named(text: str) -> list[str]:
    """Return the findings that a text affirms or suspects, by their names."""
    found = []
    for sentence in split_sentences(text):
        mentions = [(m.finding, m.status) for m in finding_mentions(sentence)]
        mentions += [
            (name, m.status)
            for name, term in OTHER_ABNORMALITIES.items()
            for m in find_mentions(sentence, term)
        ]
        found += [name for name, status in mentions if status in ("affirmed", "uncertain")]
    return list(dict.fromkeys(found))


def name_in(text: str) -> str:
    """Return what a sentence's single finding is called, "" if it names none or several."""
    found = findings_named(text)
    return _SPOKEN.get(found[0], found[0].lower()) if len(found) == 1 else ""


def place_in(text: str) -> str:
    """Return the place that a text names, such as "right upper lobe"; "" for none or several."""
    said = attributes_of(text)
    if len(said.sides) > 1 or len(said.lobes) > 1:
        return ""
    side, lobe = next(iter(said.sides), ""), next(iter(said.lobes), "")
    if lobe == "lingula":
        return "" if side == "right" else "lingula"
    if lobe:
        return f"{side} {lobe} lobe".strip()
    return f"{side} lung" if side and re.search(r"\blungs?\b", text, re.IGNORECASE) else side


def known_place(name: str, texts: Iterable[str], side: Side) -> str:
    """Return where the model's texts say that a finding lies.

    Parameters
    ----------
    name
        What was measured, such as "nodule".
    texts
        Sentences and answers of the model.
    side
        On which the measurement lies; a place on the other side is not returned.

    Returns
    -------
    str
        The one place that they name; "" if they name none, or several on this side.
    """
    places = set()
    for text in texts:
        for sentence in split_sentences(text):
            if not name or name_in(sentence) != name:
                continue
            place = place_in(sentence)
            if place and _agrees(place, side):
                places.add(place)
    # "Right lung" adds nothing to "right upper lobe".
    lobes = {place for place in places if "lobe" in place or place == "lingula"}
    found = lobes or places
    return found.pop() if len(found) == 1 else ""


def _agrees(place: str, side: Side) -> bool:
    said = "left" if place == "lingula" else place.split()[0]
    return said not in ("left", "right") or side == said
