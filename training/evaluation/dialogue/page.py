"""The page of answers: each scan's picture, and what was right beside every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ct_assistant.assistant import ModelInfo
from napari_ct_assistant.training.evaluation.dialogue.questions import DialogueQuestion, Truth
from napari_ct_assistant.training.evaluation.dialogue.verdicts import VERDICTS
from napari_ct_assistant.training.evaluation.metrics.baselines import BLIND, MODEL, SHUFFLED
from napari_ct_assistant.volume import CTVolume

ABOUT = {
    "scan": "about the scan",
    "general": "general knowledge",
    "limits": "cannot be told from a CT",
}
_LUNG_WINDOW = (-1350.0, 150.0)  # HU


@dataclass(frozen=True)
class Answered:
    """One question about one scan.

    Parameters
    ----------
    scan
        Number of the scan, from 1.
    question, truth
    answers, verdicts
        {source: text}, with the sources "model", "blind" and "shuffled" as far as asked.
    """

    scan: int
    question: DialogueQuestion
    truth: Truth | None
    answers: dict[str, str]
    verdicts: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it as a row of `dialogue.json`."""
        return {
            "scan": self.scan,
            "question": self.question.ask,
            "about": self.question.about,
            "right": self.truth.text if self.truth else None,
            "answers": self.answers,
            "verdicts": self.verdicts,
        }


def as_page(model: ModelInfo, dataset: str, shown: Sequence[str], found: Sequence[Answered]) -> str:
    """Return the page in Markdown.

    shown: for each scan, the findings that it has.
    """
    parts = [
        f"# {model.name}: questions unlike its training, on {dataset}\n\n",
        *([f"**{model.notice}**\n\n"] if model.notice else []),
        "The answers are the model's own words. Rules decided whether they are right, not a person."
        "\n\n",
        _summary(found),
    ]
    for number, findings in enumerate(shown, start=1):
        parts.append(
            f"\n## Scan {number}\n\n![Scan {number}, an axial image](scan-{number}.png)\n\n"
        )
        parts.append(f"It shows: {findings}.\n\n")
        parts.append("| Question | Answer | What is right | Verdict |\n| --- | --- | --- | --- |\n")
        for one in (one for one in found if one.scan == number):
            right = one.truth.text if one.truth else "unknown: no label"
            cells = (one.question.ask, one.answers[MODEL], right, one.verdicts[MODEL])
            parts.append(f"| {' | '.join(map(_cell, cells))} |\n")
    return "".join(parts)


def _summary(found: Sequence[Answered]) -> str:
    rule = " --- |" * len(VERDICTS)
    lines = [f"| Questions | Answers | {' | '.join(VERDICTS)} |\n| --- | --- |{rule}\n"]
    for about, title in ABOUT.items():
        part = [one for one in found if one.question.about == about]
        for source in (MODEL, SHUFFLED, BLIND):
            given = [one.verdicts[source] for one in part if source in one.verdicts]
            if given:
                counts = " | ".join(str(given.count(kind)) for kind in VERDICTS)
                lines.append(f"| {title} | {source} | {counts} |\n")
    return (
        "".join(lines) + f"\n{SHUFFLED}: the model's answers about another patient's image; "
        f"{BLIND}: with every image token set to zero.\n"
    )


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or "(empty)"


def write_picture(volume: CTVolume, file: Path) -> None:
    """Write the middle axial image in a lung window; rows run to the back, columns to the left."""
    from matplotlib.image import imsave

    low, high = _LUNG_WINDOW
    imsave(file, volume.hu[volume.hu.shape[0] // 2], cmap="gray", vmin=low, vmax=high)
