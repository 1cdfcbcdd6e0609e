"""Suggested questions, which follow from the model's last text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from napari_ct_assistant.report_text.finding_mentions import affirmed_findings
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import Message, said

# The model is asked in English; `shown` gives the text of a button.
FIRST: Final = (said("Is this scan normal?"), said("What are the findings in this scan?"))
REGION: Final = said("What is in the region I drew?")
MOST: Final = 4
# Findings without a single place: "where" is not asked about them.
_EVERYWHERE: Final = frozenset(
    {
        "Cardiomegaly",
        "Emphysema",
        "Mosaic attenuation pattern",
        "Interlobular septal thickening",
        "Peribronchial thickening",
        "Arterial wall calcification",
        "Coronary artery wall calcification",
        "Hiatal hernia",
    }
)
_ABOUT_REGION: Final = re.compile(
    r"\b(region|roi|area|here|drawn|drew|draw|marked|measure\w*|label|shape|circle|ellipse|"
    r"rectangle|polygon|this (?:spot|place|lesion|structure|nodule))\b",
    re.IGNORECASE,
)


def suggest(
    text: str = "",
    *,
    asked: Sequence[str] = (),
    unreliable_findings: Sequence[str] = (),
    findings: Sequence[str] = (),
    region: bool = False,
) -> list[Message]:
    """Return up to four questions.

    Parameters
    ----------
    text
        The model's last text.
    asked
        Questions asked before, which are not suggested again.
    unreliable_findings
        Findings that the model cannot reliably detect, which are not suggested.
    findings
        Those of the model's screen; CT-RATE's 18 when absent.
    region
        Whether the reader has drawn a region.
    """
    ideas = [REGION] if region else []
    for name in affirmed_findings(text):
        if name in unreliable_findings:
            continue
        if name in _EVERYWHERE:
            ideas.append(said("How severe is the {finding}?", finding=_in_a_question(name)))
        else:
            ideas += [
                said("Where is the {finding}?", finding=_in_a_question(name)),
                said("How large is the {finding}?", finding=_in_a_question(name)),
            ]
    ideas += FIRST
    ideas += [
        said("Is there {finding} in this scan?", finding=_in_a_question(name))
        for name in findings or FINDINGS
        if name not in unreliable_findings
    ]
    done = {" ".join(question.lower().split()) for question in asked}
    fresh = [idea for idea in dict.fromkeys(ideas) if idea.lower() not in done]
    return fresh[:MOST]


def _in_a_question(name: str) -> Message:
    """Return a finding's name in small letters, which is translated as the name itself."""
    word = Message(name.lower())
    word.template, word.values = name, {}
    return word


def about_region(question: str) -> bool:
    """Return whether a question is about the region that the reader has drawn."""
    return _ABOUT_REGION.search(question) is not None
