"""The edited report: what became of each sentence, who signed, and what was compared."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_ct_assistant.assistant import ReportDraft, Sentence
from napari_ct_assistant.assistant.reading.results import CUT_NOTE, STOPPED_NOTE
from napari_ct_assistant.assistant.report.comparison import compare_with_draft, word_changes
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import Line, Section, relink
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.backends.scan_notes import OUTSIDE
from napari_ct_assistant.volume import CTVolume
from tests.assistant.report.report_samples import sample_draft


@pytest.fixture
def report(small_volume: CTVolume) -> ReportDocument:
    return ReportDocument.from_draft(
        sample_draft(), find_template(), small_volume, weights_sha256="ab" * 32
    )


def changed(report: ReportDocument, old: str, **changes: object) -> ReportDocument:
    """Return the report with the line `old` changed."""
    sections = tuple(
        replace(
            section,
            lines=tuple(
                replace(line, **changes) if line.text == old else line  # type: ignore[arg-type]
                for line in section.lines
            ),
        )
        for section in report.sections
    )
    return replace(report, sections=sections)


def test_a_draft_is_laid_out_by_section_and_organ(report: ReportDocument) -> None:
    blocks = report.text.split("\n\n")
    assert blocks == [
        "TECHNIQUE\nCT, 40 axial slices 8 mm apart, voxel size 6 x 5 x 8 mm.",
        "FINDINGS",
        "Airways\nTrachea and both main bronchi are open.",
        "Heart and vessels\nHeart size is increased, mild cardiomegaly.",
        "Lungs\nThere is a nodule of 1.5 cm in the right lung.",
        "IMPRESSION\nSevere cardiomegaly.",
    ]
    assert report.unreviewed == 4
    assert not report.touched


def test_no_sentence_is_lost_for_want_of_a_section() -> None:
    said = [
        Sentence("Cough for two weeks.", "Clinical information"),
        Sentence("Something quite other.", "Findings"),
        Sentence("Without any heading."),
        Sentence("All well.", "Conclusion"),
    ]
    report = ReportDocument.from_draft(sample_draft(*said), find_template(), weights_sha256="")
    text = report.text
    assert all(sentence.text in text for sentence in said)
    assert "CLINICAL INFORMATION\nCough for two weeks." in text
    assert "IMPRESSION\nAll well." in text
    assert "FINDINGS\nSomething quite other.\nWithout any heading." in text


def test_states_follow_what_the_reader_did(report: ReportDocument) -> None:
    edited = changed(report, "Severe cardiomegaly.", text="Mild cardiomegaly.")
    edited = changed(edited, "Trachea and both main bronchi are open.", mark="rejected")
    edited = changed(edited, "Heart size is increased, mild cardiomegaly.", mark="accepted")
    states = {line.text: edited.state(line) for _, line in edited.lines()}
    assert list(states.values()) == [
        "template",
        "rejected",
        "accepted",
        "draft",
        "edited",
    ]
    assert edited.unreviewed == 1
    assert edited.touched
    assert "Trachea" not in edited.text
    assert "Airways" not in edited.text


def test_deleting_a_drafted_sentence_counts_as_the_readers_work(report: ReportDocument) -> None:
    assert changed(report, "Severe cardiomegaly.", text="").touched


def test_signing_off_holds_for_that_text_only(report: ReportDocument) -> None:
    assert report.status == "preliminary"
    assert report.notice == (
        "Draft, machine-written, model demo trained on synthetic chest phantoms. "
        "Not for clinical use. Not signed off by a reader."
    )
    signed = report.sign("  Dr.  Ada   Example ", "Example Hospital")
    assert signed.status == "final"
    assert signed.notice.startswith("Signed off by Dr. Ada Example, Example Hospital, 20")
    assert "model demo trained on synthetic chest phantoms" in signed.notice
    edited = changed(signed, "Severe cardiomegaly.", text="Mild cardiomegaly.")
    assert edited.status == "preliminary"
    assert "Not signed off" in edited.notice
    assert changed(edited, "Mild cardiomegaly.", text="Severe cardiomegaly.").status == "final"


@pytest.mark.parametrize(("name", "said"), [("  ", "name"), ("Dr. A", "empty")])
def test_nothing_and_nobody_cannot_be_signed(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ReportDocument().sign(name)


def test_a_second_draft_goes_after_what_stands(report: ReportDocument) -> None:
    edited = changed(report, "Severe cardiomegaly.", text="Mild cardiomegaly.")
    twice = edited.with_draft(
        sample_draft(Sentence("New heart finding.", "Findings")), find_template(), weights_sha256=""
    )
    assert "Mild cardiomegaly." in twice.text
    assert "Heart size is increased, mild cardiomegaly.\nNew heart finding." in twice.text
    assert [source.draft for source in twice.sources] == [-1, 0, 0, 0, 0, 1]
    assert twice.with_weights("demo", "cd").drafts[1].model["weights_sha256"] == "cd"
    assert twice.with_weights("demo", "cd").drafts[0].model["weights_sha256"] == "ab" * 32


def test_kept_as_json_and_back(report: ReportDocument) -> None:
    signed = changed(report, "Severe cardiomegaly.", mark="accepted").sign("Dr. A")
    assert ReportDocument.from_json(json.loads(json.dumps(signed.to_json()))) == signed


@pytest.mark.parametrize("data", [{}, {"format": 99}, {"format": 1}, {"format": 1, "sections": 3}])
def test_other_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="report"):
        ReportDocument.from_json(data)


def test_provenance_names_the_model_and_counts_the_sentences(report: ReportDocument) -> None:
    rows = dict(report.provenance())
    assert rows["Model"] == "demo"
    assert rows["Trained on"] == "synthetic chest phantoms"
    assert rows["Weights SHA-256"] == "ab" * 32
    assert rows["Sentences"] == "4 not reviewed, 1 from the template"


def test_cut_and_paste_keeps_the_evidence(report: ReportDocument) -> None:
    (moved,) = (line for _, line in report.lines() if line.text == "Severe cardiomegaly.")
    sections = (
        Section("a", "A", 1, (Line("Severe  cardiomegaly."), Line("typed"))),
        Section("b", "B", 1, (Line("first half", 2), Line("second half", 2), Line("x", 99))),
    )
    done = relink(sections, report.sources)
    assert [line.source for line in done[0].lines] == [moved.source, None]
    assert [line.source for line in done[1].lines] == [2, None, None]


def test_comparison_shows_words_that_went_and_came(report: ReportDocument) -> None:
    edited = changed(report, "Severe cardiomegaly.", text="Mild cardiomegaly, stable.")
    edited = changed(edited, "Heart size is increased, mild cardiomegaly.", text="")
    edited = replace(
        edited, sections=(*edited.sections, Section("more", "More", 1, (Line("Mine."),)))
    )
    changes = compare_with_draft(edited)
    assert [(change.state, change.heading) for change in changes] == [
        ("template", "Technique"),
        ("draft", "Airways"),
        ("rejected", "Airways"),
        ("draft", "Lungs"),
        ("edited", "Impression"),
        ("own", "More"),
    ]
    assert changes[2].parts == (("removed", "Heart size is increased, mild cardiomegaly."),)
    assert changes[4].parts == (
        ("removed", "Severe"),
        ("added", "Mild"),
        ("same", " cardiomegaly"),
        ("added", ", stable"),
        ("same", "."),
    )
    assert changes[5].parts == (("added", "Mine."),)


def test_a_deleted_sentence_is_compared_below_its_own_heading(report: ReportDocument) -> None:
    """It stood below the heading of whatever came before it, such as the last organ's."""
    without = changed(report, "Severe cardiomegaly.", text="")
    without = changed(without, "Trachea and both main bronchi are open.", text="")
    changes = compare_with_draft(without)
    assert [(change.part, change.heading, change.state) for change in changes] == [
        ("Technique", "Technique", "template"),
        ("Findings", "Findings", "rejected"),
        ("Findings", "Heart and vessels", "draft"),
        ("Findings", "Lungs", "draft"),
        ("Impression", "Impression", "rejected"),
    ]


@pytest.mark.parametrize(
    ("old", "new"), [("", ""), ("a b", "b a"), ("1.5 cm", "15 mm"), ("é", "è")]
)
def test_word_changes_rebuild_both_texts(old: str, new: str) -> None:
    parts = word_changes(old, new)
    assert "".join(text for op, text in parts if op != "added") == old
    assert "".join(text for op, text in parts if op != "removed") == new


def test_a_draft_without_sentences_leaves_the_template(small_volume: CTVolume) -> None:
    empty: ReportDraft = sample_draft(stopped=True)
    empty = replace(empty, sentences=())
    report = ReportDocument.from_draft(empty, find_template(), small_volume, weights_sha256="")
    assert report.text.startswith("TECHNIQUE")
    assert ("Draft", STOPPED_NOTE) in report.provenance()


def test_a_cut_draft_is_marked_first_whoever_signs(small_volume: CTVolume) -> None:
    cut = sample_draft(cut=True)
    report = ReportDocument.from_draft(cut, find_template(), small_volume, weights_sha256="")
    assert report.notice.startswith(CUT_NOTE)
    assert str(report).startswith(f"[{CUT_NOTE}]")
    assert ReportDocument.from_json(report.to_json()).incomplete == CUT_NOTE
    assert CUT_NOTE in report.sign("Dr. A").notice
    assert ReportDocument.from_draft(sample_draft(), find_template()).incomplete == ""


def test_a_scan_outside_the_training_distribution_is_said_first() -> None:
    text = f"{OUTSIDE}, chest scans; treat the output as unreliable."
    report = ReportDocument.from_draft(
        sample_draft(warnings=("Other.", text)), find_template(), weights_sha256=""
    )
    assert report.notice.startswith(text)
    assert report.sign("Dr. A").notice.startswith(text)
    assert (
        OUTSIDE
        not in ReportDocument.from_draft(sample_draft(), find_template(), weights_sha256="").notice
    )
