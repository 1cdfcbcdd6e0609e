"""Which standard phrases of a template continue what is being typed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from napari_ct_assistant.assistant.report.template import ReportTemplate

LEAST: Final = 3  # characters before anything is offered
MOST: Final = 6  # phrases
_ARTICLE: Final = re.compile(r"^(?:the|a|an)\s+", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")


def being_typed(line: str) -> str:
    """Return the sentence at the end of a line, which is being typed."""
    return _SENTENCE.split(line)[-1]


def completions(line: str, template: ReportTemplate, section: str = "") -> list[str]:
    """Return the template's phrases that begin with the sentence at the end of a line.

    Upper case and a leading article do not matter: "lungs" finds "The lungs are clear."

    Parameters
    ----------
    line
        The text of the line up to the cursor.
    template
    section
        The key of the section at the cursor; its phrases come first.
    """
    words = being_typed(line)
    typed = _plain(words)
    if len(words.lstrip()) < LEAST or not typed:
        return []
    phrases = [*template.phrases(section), *_all(template)]
    found = [one for one in phrases if _plain(one).startswith(typed) and _plain(one) != typed]
    return list(dict.fromkeys(found))[:MOST]


def _all(template: ReportTemplate) -> Iterable[str]:
    return (phrase for part in template.sections for phrase in part.phrases)


def _plain(text: str) -> str:
    # A space at the end counts: "the " is not yet the beginning of "then".
    return re.sub(r"\s+", " ", _ARTICLE.sub("", text.lstrip())).lower()
