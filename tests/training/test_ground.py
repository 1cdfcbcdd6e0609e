"""Stage `ground`: the operating points that its head ends with."""

from __future__ import annotations

import numpy as np
import torch

from napari_ct_assistant.model import VisionTransformer3D
from napari_ct_assistant.model.presets import demo_vision
from napari_ct_assistant.training.recipe import Ground
from napari_ct_assistant.training.stages.ground import (
    GroundingModel,
    operating_point,
    set_operating_points,
)
from napari_ct_assistant.training.store_conversations import map_tokens

SHAPE, GRID = (16, 32, 32), (2, 2, 2)


class OneBrightPatch:
    """Volumes of air; every other one is bright in one patch and labelled there."""

    def volume(self, index: int) -> np.ndarray:
        hu = np.full(SHAPE, -1000, np.int16)
        if index % 2:
            hu[8:, :16, :16] = 1000
        return hu

    def patch_labels(self, index: int) -> np.ndarray:
        labels = np.zeros((18, *GRID), np.uint8)
        labels[:2, 1, 0, 0] = index % 2
        return labels


def test_separable_scores_are_cut_in_the_middle_of_the_gap() -> None:
    score = np.array([-5.0, -4.0, -3.0, 3.0, 4.0])
    present = np.array([False, False, False, True, True])
    threshold, slope = operating_point(score, present)
    assert threshold == 0.0
    assert slope == 1.0  # the median negative is already below -3


def test_close_scores_are_stretched() -> None:
    score = np.array([0.0, 0.1, 0.2, 0.8, 0.9])
    threshold, slope = operating_point(score, np.array([0, 0, 0, 1, 1], bool))
    assert threshold == 0.5
    assert np.isclose(slope * (0.1 - threshold), -3.0)


def test_operating_points_change_the_level_but_not_the_order() -> None:
    torch.manual_seed(0)
    encoder = VisionTransformer3D(
        demo_vision(
            image_size=SHAPE, hidden_size=24, num_hidden_layers=1, stem="linear", position="none"
        )
    )
    model = GroundingModel(encoder, Ground())
    store = OneBrightPatch()
    pixels = torch.full((1, 1, *SHAPE), 0.0)
    pixels[:, :, 8:, :16, :16] = 1.0
    with torch.no_grad():
        tokens = encoder.eval().encode(encoder.embed(pixels))
        before = model.concepts(tokens)[0]
        bright = before[4]  # patch (1, 0, 0)
        # Two findings that this fresh encoder happens to score higher where they are.
        assert (bright != before[0]).all()
        sign = torch.sign(bright - before[0])
        model.concepts.weight *= sign[:, None]
        before = model.concepts(tokens)[0]
    set_operating_points(model, store, 6)
    with torch.no_grad():
        after = model.concepts(tokens)[0]
    assert torch.equal(after.argsort(dim=0)[-1], before.argsort(dim=0)[-1])
    assert (after[4, :2] > 0).all(), "with the finding: above even odds"
    assert (after[0, :2] < 0).all(), "without it: below"
    assert torch.equal(after[:, 2:], before[:, 2:]), "never shown, never moved"


def test_true_maps_have_the_encoders_form() -> None:
    config = demo_vision(image_size=SHAPE, hidden_size=24, stem="linear", concept_scale=2.0)
    tokens = map_tokens(OneBrightPatch().patch_labels(1), config)
    assert tokens.shape == (8, config.output_size)
    assert not tokens[:, :24].any()
    where = tokens[:, 24:].nonzero().tolist()
    assert where == [[4, 0], [4, 1]]
    assert tokens[4, 24] == 2.0
