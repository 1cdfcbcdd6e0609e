"""Phrases that continue what is being typed."""

from __future__ import annotations

from napari_ct_assistant.assistant.report.completion import MOST, completions
from napari_ct_assistant.assistant.report.template import Part, ReportTemplate

TEMPLATE = ReportTemplate(
    "Ours",
    (
        Part("findings/lungs", "Lungs", 2, phrases=("The lungs are clear.", "No nodule.")),
        Part("impression", "Impression", phrases=("No acute finding.", "No nodule.")),
    ),
)


def test_a_phrase_continues_the_line_whatever_its_case_and_article() -> None:
    for typed in ("the lu", "The lungs", "lungs are c", "LUN"):
        assert completions(typed, TEMPLATE) == ["The lungs are clear."], typed


def test_the_section_at_the_cursor_comes_first_and_nothing_twice() -> None:
    assert completions("No ", TEMPLATE, "impression") == ["No acute finding.", "No nodule."]
    assert completions("No ", TEMPLATE, "findings/lungs") == ["No nodule.", "No acute finding."]


def test_only_the_last_sentence_of_the_line_is_continued() -> None:
    assert completions("Heart normal. No nod", TEMPLATE) == ["No nodule."]
    assert completions("Heart normal. ", TEMPLATE) == []


def test_nothing_is_offered_too_early_or_for_a_whole_phrase() -> None:
    assert completions("lu", TEMPLATE) == []
    assert completions("No nodule.", TEMPLATE) == []
    assert completions("Something else", TEMPLATE) == []


def test_a_list_stays_short() -> None:
    many = tuple(f"Normal finding {n}." for n in range(20))
    template = ReportTemplate("Many", (Part("findings", "Findings", phrases=many),))
    assert completions("norm", template) == list(many[:MOST])
