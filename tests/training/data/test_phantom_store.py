"""Training turns about a phantom, and its tags for training on text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ct_assistant.phantoms import draw_truth, parse_report, write_excerpt
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.phantom_store import PhantomStore

STORE = PhantomStore(Path("unused"), 0, 40)
TWO_TURNS = ConversationSettings(questions=4, impressions=1)


def test_each_draw_has_another_wording() -> None:
    for index in range(len(STORE)):
        true = {finding.name for finding in draw_truth(index).findings}
        answers = set()
        for draw in range(3):
            turns = STORE.turns(index, TWO_TURNS, np.random.default_rng([index, draw]))
            answers.add(turns[0].answer)
            assert parse_report(turns[0].answer).present == true
        assert len(answers) > 1


def test_an_impression_agrees_with_the_quoted_findings() -> None:
    same = 0
    for index in range(len(STORE)):
        asked = STORE.turns(index, TWO_TURNS, np.random.default_rng(index))[1]
        given = asked.question.split(": ", 1)[1]
        read = parse_report(f"Findings: {given} Impression: {asked.answer}")
        assert not read.contradictions
        same += read.present == {finding.name for finding in draw_truth(index).findings}
    assert same < 10


def test_the_impression_of_an_excerpt_agrees_with_it() -> None:
    lengths, fewer = set(), 0
    settings = ConversationSettings(questions=0, impressions=1, excerpts=1.0)
    for index in range(len(STORE)):
        asked = STORE.turns(index, settings, np.random.default_rng(index))[1]
        given = asked.question.split(": ", 1)[1]
        assert given
        assert not parse_report(f"Findings: {given} Impression: {asked.answer}").contradictions
        lengths.add(given.count("."))
    assert min(lengths) == 1
    assert max(lengths) > 8
    for seed in range(40):
        truth = draw_truth(seed)
        read = parse_report(write_excerpt(seed, truth.findings, np.random.default_rng(seed)))
        names = {finding.name for finding in truth.findings}
        assert read.present <= names
        fewer += read.present < names
    assert fewer > 20


def test_excerpts_grow_from_one_finding_to_whole_reports() -> None:
    settings = ConversationSettings(questions=0, impressions=1, growing=0.5)
    longest = []
    for progress in (0.0, 0.2, 0.49, 0.5):
        now = settings.at(progress)
        turns = [STORE.turns(0, now, np.random.default_rng(draw))[1] for draw in range(60)]
        said = [parse_report(turn.question.split(": ", 1)[1]).present for turn in turns]
        longest.append(max(map(len, said)))
    assert longest[0] == 1
    assert longest[0] < longest[1] < longest[2]
    assert settings.at(0.5) == settings, "then as the recipe says: whole ones, here"


def test_unpacked_turns_are_of_all_kinds() -> None:
    settings = ConversationSettings(questions=2, impressions=3, packed=False)
    turns = [STORE.turns(0, settings, np.random.default_rng(draw))[0] for draw in range(60)]
    summed = sum(turn.text_only for turn in turns)
    assert 20 < summed < 40, "three of six"
    assert len({turn.question for turn in turns if turn.text_only}) == summed


def test_tags_name_findings_with_degrees_and_places() -> None:
    finding = draw_truth(0).findings
    tags = STORE.tags(0)
    assert [f.name.lower() for f in finding] == tags[: len(finding)]
    for one in finding:
        for word in (one.severity, one.lobe):
            assert word is None or any(word in tag and one.name.lower() in tag for tag in tags)
