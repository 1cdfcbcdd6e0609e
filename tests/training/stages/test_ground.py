"""Stage `ground`: its loss, its crops, and the concepts of its head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from napari_ct_assistant.model.grounded.vit import GroundedVisionTransformer3D
from napari_ct_assistant.model.presets import demo_vision
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.recipe import GroundSettings
from napari_ct_assistant.training.data.patch_concepts import FINDING_CONCEPTS, Concept
from napari_ct_assistant.training.data.volume_dataset import CropDataset
from napari_ct_assistant.training.stages.concept_words import merged_patches
from napari_ct_assistant.training.stages.ground import (
    GroundingModel,
    patch_loss,
    set_concepts,
)
from tests.training.balls import Balls
from tests.training.bright_patch import GRID, SHAPE, OneBrightPatch


def test_a_word_is_divided_by_the_patches_that_show_it() -> None:
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


def test_new_concepts_keep_the_weights_of_known_ones() -> None:
    encoder = GroundedVisionTransformer3D(
        demo_vision(image_size=SHAPE, hidden_size=24, stem="linear")
    )
    assert isinstance(encoder.concepts, torch.nn.Linear)
    torch.nn.init.normal_(encoder.concepts.bias)
    known = encoder.concepts.weight[3].clone()
    set_concepts(encoder, FINDING_CONCEPTS)
    assert encoder.concepts.out_features == 18, "nothing new, nothing done"
    assert encoder.details is None
    set_concepts(encoder, [Concept("left upper lobe"), *FINDING_CONCEPTS])
    assert encoder.config.num_concepts == 19
    assert encoder.config.output_size == 24 + 19
    assert encoder.details is None, "a place is no detail of a finding"
    assert torch.equal(encoder.concepts.weight[4], known)
    assert encoder.concepts.bias[0] == -4.0
    set_concepts(encoder, [*FINDING_CONCEPTS, Concept("large lung nodule", "Lung nodule")])
    assert encoder.config.concept_owners[17:] == [17, FINDINGS.index("Lung nodule")]
    assert encoder.details is not None


def test_a_degree_is_told_from_other_degrees_of_the_same_finding() -> None:
    """Patches of another degree weigh more than patches without the finding."""
    torch.manual_seed(0)
    concepts = (*FINDING_CONCEPTS, Concept("large lung nodule", "Lung nodule"))
    encoder = GroundedVisionTransformer3D(
        demo_vision(image_size=SHAPE, hidden_size=24, num_hidden_layers=1, stem="linear")
    )
    labels = torch.zeros(1, 19, *GRID, dtype=torch.uint8)
    nodule = [c.name for c in concepts].index("Lung nodule")
    pixels = torch.rand(1, 1, *SHAPE)

    def degree_gradient(contrast: float) -> torch.Tensor:
        model = GroundingModel(
            encoder, GroundSettings(contrast_weight=contrast, volume_weight=0), concepts
        )
        model.zero_grad()
        with torch.no_grad():
            model.concepts.bias[-1] = 1.0
        model(pixels, labels)["loss"].backward()
        return model.concepts.weight.grad[-1].norm()

    without = degree_gradient(100.0), degree_gradient(1.0)
    assert torch.equal(*without), "no nodule, no other degree of it"
    labels[0, nodule, 1, 1, 1] = 1  # a nodule that is not large
    encoder.patch_embed.proj.weight.data.mul_(4)
    assert not torch.allclose(degree_gradient(100.0), degree_gradient(1.0))


def test_the_loss_has_one_value_per_concept() -> None:
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
    def drawn(volumes: range | None) -> set[int]:
        crops = CropDataset(Kept(tmp_path), 40, 0, (8, 16, 16), 3, volumes=volumes)
        return {int(crops[k]["volume"]) for k in range(40)}

    assert drawn(None) == {0, 1, 2}
    assert drawn(range(2)) == {0, 1}


class Kept(Balls):
    """Its volumes need no file."""

    def crop(self, index: int, start: np.ndarray, size: np.ndarray) -> np.ndarray:
        box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
        return self.volume(index)[box]
