"""What a bundled model claims, and from which probability on: chosen on phantoms set apart."""

from __future__ import annotations

import numpy as np

from napari_ct_assistant.findings import FINDINGS
from napari_ct_assistant.training.bundle import find_thresholds, find_untaught


def screen(separation: float, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and probabilities [count, 18] whose logits differ by `separation`."""
    rng = np.random.default_rng(0)
    truth = rng.random((count, len(FINDINGS))) < 0.25
    logits = rng.normal(0, 1, truth.shape) + separation * truth
    return truth, 1 / (1 + np.exp(-logits))


def test_a_finding_is_claimed_only_where_its_auroc_is_surely_high() -> None:
    assert find_untaught(*screen(4.0)) == []
    # An AUROC of 0.76 on average: above the limit by luck where it is.
    assert len(find_untaught(*screen(1.0))) >= 16
    assert find_untaught(*screen(0.0)) == list(FINDINGS)


def test_a_finding_that_no_phantom_shows_is_not_claimed() -> None:
    truth, probability = screen(4.0)
    truth[:, 3] = False
    assert find_untaught(truth, probability) == [FINDINGS[3]]
    assert FINDINGS[3] not in find_thresholds(truth, probability)


def test_the_threshold_parts_scans_with_a_finding_from_others() -> None:
    truth, probability = screen(8.0)
    for number, (name, cut) in enumerate(find_thresholds(truth, probability).items()):
        assert name == FINDINGS[number]
        said = probability[:, number] > cut
        assert (said == truth[:, number]).mean() > 0.97
