"""Which of a scan's questions make one training sample."""

from __future__ import annotations

from collections import Counter

import numpy as np

from napari_ct_assistant.phantoms import DECLINED, draw_truth
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.sequences.conversation import choose_turns


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
