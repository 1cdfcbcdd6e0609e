"""Forms from elsewhere are filled by plain replacement."""

from __future__ import annotations

from napari_ct_assistant.report_text.questions import fill


def test_slots_are_replaced_once() -> None:
    assert fill("{question} Choices: {choices}", question="{choices}?", choices="A") == (
        "{choices}? Choices: A"
    )


def test_other_braces_stay() -> None:
    for form in ("{finding:>100000000}", "{finding.__class__}", "{0}", "{other}", "{{finding}}"):
        assert len(fill(form, finding="nodule")) < 40
    assert fill("{finding:>100000000}", finding="x") == "{finding:>100000000}"
