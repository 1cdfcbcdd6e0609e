"""Figures that are measured later, added to the model card of a model that was trained here."""

from __future__ import annotations

import re
from pathlib import Path

from napari_ct_assistant.support import atomic

CARD = "README.md"
START, END = "<!-- evaluations -->", "<!-- end of evaluations -->"


def add_figures(folder: Path, title: str, text: str) -> bool:
    """Add a section to the measured figures of a model card, or replace the one of this title.

    Returns False, and changes nothing, if the folder has no card of a training stage.

    Parameters
    ----------
    folder
        The model's folder.
    title
        Of the section.
    text
        Its content in Markdown.
    """
    file = folder / CARD
    if not (folder / "run.yaml").is_file() or not file.is_file():
        return False
    card = file.read_text(encoding="utf-8")
    if START not in card or END not in card:
        return False
    head, _, rest = card.partition(START)
    inside, _, tail = rest.partition(END)
    sections = {
        found[1].strip(): found[2].strip()
        for found in re.finditer(r"^### (.*)\n((?:(?!### ).*\n?)*)", inside, re.MULTILINE)
    }
    sections[title] = text.strip()
    body = "".join(f"### {name}\n\n{part}\n\n" for name, part in sections.items())
    atomic.write_text(file, f"{head}{START}\n{body}{END}{tail}")
    return True
