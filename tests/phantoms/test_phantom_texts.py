"""Truth, reports and questions, without voxels."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest

from napari_ct_assistant.phantoms import DECLINED, draw_truth, parse_report, questions_to_decline
from napari_ct_assistant.phantoms.truth import LOBES
from napari_ct_assistant.report_text.finding_mentions import findings_in, named_findings
from napari_ct_assistant.report_text.findings import FINDINGS

SEEDS = range(20_000, 20_400)
TRUTHS = [draw_truth(seed) for seed in SEEDS]


def test_a_seed_keeps_its_texts() -> None:
    """Models were trained on them; another text for a seed makes its held-out seeds unknown."""
    digest = hashlib.sha256()
    for truth in TRUTHS[:100]:
        questions = [(q.question, q.answer, q.kind, q.finding) for q in truth.questions]
        digest.update(repr((truth.findings, truth.report, questions)).encode())
    assert digest.hexdigest() == "e2e11dd59ce8f2017d569eb9ab1781bc1c568cc9436af94a3b24da3bcd92e6f2"


def test_the_parser_inverts_the_grammar() -> None:
    for truth in TRUTHS:
        parsed = parse_report(truth.report)
        names = {t.name for t in truth.findings}
        assert parsed.present == names, truth.report
        assert parsed.impression == names, truth.report
        assert parsed.absent == set(FINDINGS) - names, truth.report
        assert parsed.contradictions == ()
        for t in truth.findings:
            assert parsed.side.get(t.name) == t.side
            assert parsed.lobe.get(t.name) == t.lobe
            assert parsed.size.get(t.name) == t.severity


@pytest.mark.parametrize("name", FINDINGS)
def test_one_finding_alone_is_read_back(name: str) -> None:
    for seed in range(30):
        parsed = parse_report(draw_truth(seed, [name]).report)
        assert parsed.present == parsed.impression == {name}


def test_the_lexicon_reads_the_grammar() -> None:
    for truth in TRUTHS:
        assert findings_in(truth.report) == {n: bool(v) for n, v in truth.labels.items()}
    for question in TRUTHS[0].questions:
        if question.kind == "yes_no":
            assert named_findings(question.question) == [question.finding]


def test_contradictions_are_seen() -> None:
    text = "Findings: There is no pleural effusion. Impression: Large left pleural effusion."
    assert parse_report(text).contradictions == ("Pleural effusion: in the impression only",)
    text = "Findings: There is a small hiatal hernia. No hiatal hernia is seen. Impression: "
    assert "denied" in parse_report(text + "Small hiatal hernia.").contradictions[0]
    text = "Findings: There is mild emphysema of both lungs. Impression: Severe emphysema."
    assert parse_report(text).contradictions == ("Emphysema: mild and severe",)
    parsed = parse_report("Impression: Mild cardiomegaly.")
    assert parsed.present == {"Cardiomegaly"}
    assert parse_report("").present == frozenset()


def test_prevalence_company_and_normals() -> None:
    n = len(TRUTHS)
    counts = Counter(t.name for truth in TRUTHS for t in truth.findings)
    for name in FINDINGS:
        assert 0.1 <= counts[name] / n <= 0.4, (name, counts[name] / n)
    normal = sum(not truth.findings for truth in TRUTHS) / n
    assert 0.05 <= normal <= 0.17
    wet = [t for t in TRUTHS if t.labels["Pleural effusion"]]
    dry = [t for t in TRUTHS if not t.labels["Pleural effusion"]]
    share = [sum(t.labels["Atelectasis"] for t in group) / len(group) for group in (wet, dry)]
    assert share[0] > share[1] + 0.1


def test_one_seed_keeps_everything_but_the_finding() -> None:
    changed: list[int] = []
    for seed in range(40):
        without = draw_truth(seed, ["Cardiomegaly", "Emphysema"])
        with_ = draw_truth(seed, ["Cardiomegaly", "Emphysema", "Lung nodule"])
        assert [t for t in with_.findings if t.name != "Lung nodule"] == list(without.findings)
        old = re.split(r"(?<=\.) ", without.report)
        new = re.split(r"(?<=\.) ", with_.report)
        changed.append(len(set(new) - set(old)))
    # The nodule's own sentence, its organ's negatives, the impression.
    assert max(changed) <= 3


def test_words_are_few_and_reports_short() -> None:
    words = Counter(w for t in TRUTHS for w in re.findall(r"[a-z-]+", t.report.lower()))
    assert len(words) < 700
    lengths = sorted(len(t.report.split()) for t in TRUTHS)
    assert 80 <= lengths[len(lengths) // 2] <= 140
    assert lengths[-1] < 240
    assert len({t.report for t in TRUTHS}) > 0.97 * len(TRUTHS)


def test_questions_agree_with_the_labels() -> None:
    for truth in TRUTHS[:150]:
        asked = {q.finding for q in truth.questions if q.kind == "yes_no"}
        assert asked == set(FINDINGS)
        assert 20 <= len(truth.questions) <= 60
        by_name = {t.name: t for t in truth.findings}
        for q in truth.questions:
            if q.kind == "yes_no":
                assert q.finding is not None
                assert q.answer.startswith("Yes" if q.finding in by_name else "No")
            elif q.kind == "decline":
                assert q.answer == DECLINED
            elif q.kind == "multiple_choice":
                assert f". {q.answer.removesuffix('.').lower()}" in q.question
            elif q.kind in ("where", "how_large"):
                assert q.finding in by_name
                t = by_name[q.finding]
                if q.kind == "how_large":
                    assert q.answer.lower().startswith(str(t.severity))
                elif t.lobe and "lobe" in q.answer:
                    assert t.lobe in q.answer


def test_declined_questions_are_split() -> None:
    train, test = set(questions_to_decline("train")), set(questions_to_decline("test"))
    assert len(train | test) >= 600
    assert len(test) >= 200
    assert not train & test
    asked = {q.question for t in TRUTHS for q in t.questions if q.kind == "decline"}
    assert asked <= train


def test_focal_findings_do_not_share_a_lobe() -> None:
    focal = ("Consolidation", "Lung nodule", "Lung opacity", "Bronchiectasis")
    for seed in range(100):
        lobes = [t.lobe for t in draw_truth(seed, focal).findings]
        assert len(set(lobes)) == 4
        assert set(lobes) <= set(LOBES)


def test_an_unknown_finding_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown finding 'Nodule'; choose from Medical material"):
        draw_truth(1, ["Nodule"])
