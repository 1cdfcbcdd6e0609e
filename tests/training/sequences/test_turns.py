"""Which of a scan's questions make one training sample."""

from __future__ import annotations

from collections import Counter

import numpy as np

from napari_ct_assistant.phantoms import DECLINED, draw_truth
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.sequences.turns import Turn, choose_turns, report_turns


def test_yes_no_has_its_share_and_the_other_kinds_take_turns() -> None:
    settings = ConversationSettings(questions=14, yes_no=0.5, report=False)
    seen: Counter[str] = Counter()
    for seed in range(40):
        truth = draw_truth(seed)
        kinds = {q.question: q.kind for q in truth.questions}
        turns = choose_turns(
            truth.report, truth.questions, settings, np.random.default_rng([seed, 1])
        )
        drawn = Counter(kinds[turn.question] for turn in turns)
        others = {q.kind for q in truth.questions} - {"yes_no"}
        assert drawn["yes_no"] == 7
        assert len(turns) <= 14
        assert all(drawn[kind] >= 1 for kind in others), "no kind is crowded out"
        assert any(turn.answer == DECLINED for turn in turns)
        seen += drawn
    assert seen["where"] > 40
    assert seen["how_large"] > 40


def test_turns_are_balanced() -> None:
    settings = ConversationSettings(questions=12, positives=0.5)
    yes = no = 0
    for seed in range(40):
        truth = draw_truth(seed)
        turns = choose_turns(truth.report, truth.questions, settings, np.random.default_rng(seed))
        assert turns[0].answer == truth.report
        assert len(turns) == 13
        yes += sum(t.answer.startswith("Yes") for t in turns)
        no += sum(t.answer.startswith("No") for t in turns)
    assert 0.3 < yes / (yes + no) < 0.6


def test_an_impression_is_that_of_the_findings_it_is_given() -> None:
    report = "Findings: A nodule. No effusion. Impression: Nodule."
    other = "Findings: An effusion. Impression: Effusion."
    two = ConversationSettings(impressions=1)
    assert report_turns(report, [other], two) == [
        Turn("Describe the findings of this chest CT.", "A nodule. No effusion."),
        Turn("Sum up these findings as an impression: An effusion.", "Effusion.", text_only=True),
    ]
    assert report_turns(report, [other], ConversationSettings()) == [
        Turn("Write the radiology report of this chest CT.", report)
    ]
    # Without an impression to learn, it stays one turn.
    assert [t.answer for t in report_turns("A nodule.", ["A nodule."], two)] == ["A nodule."]


def test_shuffled_findings_are_summed_up_as_the_same() -> None:
    other = "Findings: An effusion. A nodule, large. Scars. Impression: Effusion. Nodule, large."
    settings = ConversationSettings(impressions=8, shuffled=0.5)
    rng = np.random.default_rng(0)
    _, *turns = report_turns(other, [other] * 40, settings, rng)
    asked = "Sum up these findings as an impression: "
    given = [turn.question.removeprefix(asked) for turn in turns]
    in_order = "An effusion. A nodule, large. Scars."
    assert 8 < given.count(in_order) < 35
    assert len(set(given)) > 3
    for text in given:
        assert sorted(s.strip(".") for s in text.split(". ")) == [
            "A nodule, large",
            "An effusion",
            "Scars",
        ]
    assert {turn.answer for turn in turns} == {"Effusion. Nodule, large."}
    assert [t.question for t in report_turns(other, [other] * 9, settings)[1:]] == [
        asked + in_order
    ] * 9, "a data set's own reports are asked for as they stand"
