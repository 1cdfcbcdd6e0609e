"""Stage `ground`: the operating points that its head ends with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from napari_ct_assistant.model import VisionTransformer3D
from napari_ct_assistant.model.presets import demo_vision
from napari_ct_assistant.training.concepts import FINDING_CONCEPTS, Concept
from napari_ct_assistant.training.recipe import Ground
from napari_ct_assistant.training.stages.align import merged_patches
from napari_ct_assistant.training.stages.ground import (
    GroundingModel,
    operating_point,
    patch_loss,
    set_concepts,
    set_operating_points,
)
from napari_ct_assistant.training.store_conversations import map_tokens
from napari_ct_assistant.training.volumes import CropDataset
from tests.training.balls import Balls

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
    set_operating_points(model, store, range(6))
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
    paired = demo_vision(
        image_size=SHAPE, hidden_size=24, stem="linear", concept_pairs=[[0, 1], [0, 2]]
    )
    tokens = map_tokens(OneBrightPatch().patch_labels(1), paired)
    assert tokens[:, 42:].nonzero().tolist() == [[4, 0]]


def test_a_word_is_shared_out_among_the_patches_that_say_it() -> None:
    class Store(OneBrightPatch):
        def __len__(self) -> int:
            return 4

        def patch_labels(self, index: int) -> np.ndarray:
            labels = super().patch_labels(index)
            labels[2] = index % 2  # fills all eight patches of its token
            return labels

    config = demo_vision(
        image_size=SHAPE, hidden_size=24, stem="linear", concept_pairs=[[0, 2], [2, 2]]
    )
    counts = merged_patches(Store(), config, kernel=2)
    assert counts[:4].tolist() == [1, 1, 8, 1]
    assert counts[18:].tolist() == [1, 8]


def test_new_concepts_leave_what_the_head_knows() -> None:
    encoder = VisionTransformer3D(demo_vision(image_size=SHAPE, hidden_size=24, stem="linear"))
    assert isinstance(encoder.concepts, torch.nn.Linear)
    torch.nn.init.normal_(encoder.concepts.bias)
    known = encoder.concepts.weight[3].clone()
    names = [c.name for c in FINDING_CONCEPTS]
    set_concepts(encoder, names)
    assert encoder.concepts.out_features == 18, "nothing new, nothing done"
    set_concepts(encoder, ["left upper lobe", *names])
    assert encoder.config.num_concepts == 19
    assert encoder.config.output_size == 24 + 19
    assert torch.equal(encoder.concepts.weight[4], known)
    assert encoder.concepts.bias[0] == -4.0


def test_a_degree_is_told_from_other_degrees_of_the_same_finding() -> None:
    """Another degree's patches weigh more than all that is not the finding."""
    torch.manual_seed(0)
    concepts = (*FINDING_CONCEPTS, Concept("large lung nodule", "Lung nodule"))
    encoder = VisionTransformer3D(
        demo_vision(image_size=SHAPE, hidden_size=24, num_hidden_layers=1, stem="linear")
    )
    labels = torch.zeros(1, 19, *GRID, dtype=torch.uint8)
    nodule = [c.name for c in concepts].index("Lung nodule")
    pixels = torch.rand(1, 1, *SHAPE)

    def degree_gradient(contrast: float) -> torch.Tensor:
        model = GroundingModel(encoder, Ground(contrast_weight=contrast, volume_weight=0), concepts)
        model.zero_grad()
        with torch.no_grad():
            model.concepts.bias[-1] = 1.0
        model(pixels, labels)["loss"].backward()
        return model.concepts.weight.grad[-1].norm()

    without = degree_gradient(100.0), degree_gradient(1.0)
    assert torch.equal(*without), "no nodule, no other degree of it"
    labels[0, nodule, 1, 1, 1] = 1  # a nodule that is not large
    encoder.stem.projection.weight.data.mul_(4)
    assert not torch.allclose(degree_gradient(100.0), degree_gradient(1.0))


def test_the_loss_is_one_figure_a_concept() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.0, -3.0]]).reshape(1, 2, 1, 1, 2)
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).reshape(1, 2, 1, 1, 2)
    loss = patch_loss(logits, labels, torch.ones_like(labels), negative_weight=8.0)
    positive = np.log1p(np.exp(-2.0))
    negative = 8 * 0.5 * np.log(2.0)  # a half-sure negative counts half
    assert np.isclose(float(loss[0]), positive + negative)
    easy = [1 / (1 + np.exp(1.0)), 1 / (1 + np.exp(3.0))]
    losses = [np.log1p(np.exp(-1.0)), np.log1p(np.exp(-3.0))]
    assert np.isclose(float(loss[1]), 8 * np.dot(easy, losses) / 2)


def test_crops_leave_out_the_volumes_that_were_kept_back(tmp_path: Path) -> None:
    def drawn(count: int | None) -> set[int]:
        crops = CropDataset(Kept(tmp_path), 40, 0, (8, 16, 16), 3, count=count)
        return {int(crops[k]["volume"]) for k in range(40)}

    assert drawn(None) == {0, 1, 2}
    assert drawn(2) == {0, 1}


class Kept(Balls):
    """Its volumes need no file."""

    def crop(self, index: int, start: np.ndarray, size: np.ndarray) -> np.ndarray:
        box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
        return self.volume(index)[box]
