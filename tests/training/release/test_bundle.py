"""What a bundled model claims, and from which probability on: chosen on phantoms set apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.release.bundle import (
    find_thresholds,
    find_unreliable_findings,
    stage_seconds,
)


def screen(separation: float, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and probabilities [count, 18] whose logits differ by `separation`."""
    rng = np.random.default_rng(0)
    truth = rng.random((count, len(FINDINGS))) < 0.25
    logits = rng.normal(0, 1, truth.shape) + separation * truth
    return truth, 1 / (1 + np.exp(-logits))


def test_a_finding_is_claimed_only_where_its_auroc_is_surely_high() -> None:
    assert find_unreliable_findings(*screen(4.0)) == []
    # An AUROC of 0.76 on average: above the limit by luck where it is.
    assert len(find_unreliable_findings(*screen(1.0))) >= 16
    assert find_unreliable_findings(*screen(0.0)) == list(FINDINGS)


def test_a_finding_that_no_phantom_shows_is_not_claimed() -> None:
    truth, probability = screen(4.0)
    truth[:, 3] = False
    assert find_unreliable_findings(truth, probability) == [FINDINGS[3]]
    assert FINDINGS[3] not in find_thresholds(truth, probability)


def test_the_threshold_parts_scans_with_a_finding_from_others() -> None:
    truth, probability = screen(8.0)
    for number, (name, cut) in enumerate(find_thresholds(truth, probability).items()):
        assert name == FINDINGS[number]
        said = probability[:, number] >= cut
        assert (said == truth[:, number]).mean() > 0.97


def test_equal_probabilities_fall_on_one_side_of_the_threshold() -> None:
    truth = np.zeros((8, len(FINDINGS)), bool)
    truth[:4] = True
    probability = np.full(truth.shape, 0.2)
    probability[:3] = 0.6  # the fourth is at 0.2, as those without the finding
    for cut in find_thresholds(truth, probability).values():
        assert 0.2 < cut < 0.6


def test_a_tiny_threshold_is_not_rounded_to_zero() -> None:
    truth, probability = screen(8.0)
    cuts = find_thresholds(truth, probability * 1e-8)
    assert all(0 < cut < 1e-8 for cut in cuts.values())


def test_stages_are_told_in_their_order(tmp_path: Path) -> None:
    for number, name in ((2, "2-ground"), (10, "10-instruct"), (1, "1-mae")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "done").write_text(f"{number}00 s\n")
    (tmp_path / "phantoms").mkdir()
    assert list(stage_seconds(tmp_path).items()) == [
        ("1-mae", 100),
        ("2-ground", 200),
        ("10-instruct", 1000),
    ]
