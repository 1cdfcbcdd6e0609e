"""The end of stage `ground`: operating points, and details read over the whole volume."""

from __future__ import annotations

import numpy as np
import torch

from napari_ct_assistant.model.grounded.concept_maps import DetailReadout
from napari_ct_assistant.model.grounded.vit import GroundedVisionTransformer3D
from napari_ct_assistant.model.presets import demo_vision
from napari_ct_assistant.training.config.recipe import GroundSettings
from napari_ct_assistant.training.stages.calibration import calibrate, fit_details, operating_point
from napari_ct_assistant.training.stages.ground import GroundingModel
from tests.training.bright_patch import SHAPE, OneBrightPatch


def test_separable_scores_are_cut_in_the_middle_of_the_gap() -> None:
    score = np.array([-5.0, -4.0, -3.0, 3.0, 4.0])
    present = np.array([False, False, False, True, True])
    threshold, slope = operating_point(score, present)
    assert threshold == 0.0
    assert slope == 1.0  # the median negative is already below -3


def test_close_scores_are_scaled() -> None:
    score = np.array([0.0, 0.1, 0.2, 0.8, 0.9])
    threshold, slope = operating_point(score, np.array([0, 0, 0, 1, 1], bool))
    assert threshold == 0.5
    assert np.isclose(slope * (0.1 - threshold), -3.0)


def test_operating_points_change_the_level_but_not_the_order() -> None:
    torch.manual_seed(0)
    encoder = GroundedVisionTransformer3D(
        demo_vision(
            image_size=SHAPE, hidden_size=24, num_hidden_layers=1, stem="linear", pos_embed="none"
        )
    )
    model = GroundingModel(encoder, GroundSettings())
    pixels = torch.full((1, 1, *SHAPE), 0.0)
    pixels[:, :, 8:, :16, :16] = 1.0
    with torch.no_grad():
        tokens = encoder.eval().encode(encoder.embed(pixels))
        # Two findings whose score is higher in the bright patch, (1, 0, 0), than in a dark one.
        model.concepts.weight[:2] = tokens[0, 4] - tokens[0, 0]
        before = model.concepts(tokens)[0]
    calibrate(encoder, OneBrightPatch(), range(6))
    with torch.no_grad():
        after = model.concepts(tokens)[0]
    assert torch.equal(after.argsort(dim=0)[-1], before.argsort(dim=0)[-1])
    assert (after[4, :2] > 0).all(), "with the finding: above even odds"
    assert (after[0, :2] < 0).all(), "without it: below"
    assert torch.equal(after[:, 2:], before[:, 2:]), "never shown, never moved"


def test_a_degree_that_is_an_extent_is_learned_from_the_extent() -> None:
    """Large and small findings whose patches look alike; only their number differs."""
    rng = np.random.default_rng(0)
    readout = DetailReadout([0, 0, 0])  # a finding, "small", "large"

    def scan(large: bool) -> torch.Tensor:
        patches = torch.full((64, 3), 0.02)
        patches[: int(rng.integers(2, 6) + 12 * large)] = torch.tensor([0.9, 0.5, 0.5])
        return patches

    present = np.array([(1, large, 1 - large) for large in (0, 1) * 20], bool)[:, [0, 2, 1]]
    scans = [scan(bool(row[2])) for row in present]
    believed = readout(torch.stack(scans))
    assert torch.allclose(believed[..., 1], believed[..., 2]), "the patches cannot tell"
    fit_details(readout, scans, present)
    with torch.no_grad():
        small, large = readout(torch.stack([scan(False), scan(True)]))
    assert small[0, 1] > 0.6 > 0.3 > small[0, 2]
    assert large[0, 2] > 0.6 > 0.3 > large[0, 1]
    assert small[-1].max() < 0.05, "nothing where the finding is not"


def test_a_detail_with_too_few_examples_keeps_its_patch_score() -> None:
    readout = DetailReadout([0, 0, 0])
    before = [p.clone() for p in readout.parameters()]
    present = np.array([(1, 1, 0)] * 9 + [(1, 0, 1)] * 4, bool)
    fit_details(readout, [torch.rand(8, 3) for _ in present], present)
    assert all(torch.equal(a, b) for a, b in zip(before, readout.parameters(), strict=True))
