"""Does the list of findings with which a model ends its report agree with report and screen?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_ct_assistant.assistant.reading.results import FindingProbability
from napari_ct_assistant.report_text.finding_mentions import finding_statuses
from napari_ct_assistant.report_text.findings import FINDINGS


def label_differences(
    labels: Sequence[str],
    text: str,
    names: Sequence[str],
    screen: Sequence[FindingProbability] = (),
) -> list[str]:
    """Return the differences, one line each; [] where all agree.

    Parameters
    ----------
    labels
        Findings that the model lists as its result.
    text
        The report.
    names
        All findings of the model's screen.
    screen
        Its probabilities, if the screen was run.
    """
    statuses = finding_statuses(text)
    found = []
    for name in labels:
        if name not in names:
            found.append(f"{name}: listed as a result, but no finding of this model.")
            continue
        status = statuses.get(name)
        if status == "denied":
            found.append(f"{name}: listed as a result, denied in the text.")
        elif status is None and not _named(name, text):
            found.append(f"{name}: listed as a result, not named in the text.")
    for name in names:
        affirmed = name in FINDINGS and statuses.get(name) == "affirmed"
        if affirmed and name not in labels:
            found.append(f"{name}: present in the text, not listed as a result.")
    for row in screen:
        if row.probability is None:  # a rank says neither present nor absent
            continue
        if row.reaches_threshold != (row.name in labels):
            listed = "listed" if row.name in labels else "not listed"
            found.append(f"{row.name}: {row.probability:.0%} in the screen, {listed} as a result.")
    return found


def _named(name: str, text: str) -> bool:
    """Return whether a text has all words of one alternative of a name: "mass" of "nodule or mass".

    Endings do not count.
    """
    words = text.lower()
    alternatives = re.split(r" or |/", name.lower())
    return any(
        all(word[: max(4, len(word) - 2)] in words for word in re.findall(r"[a-z]{4,}", one))
        for one in alternatives
    )
