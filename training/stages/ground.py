"""Stage `ground`: the encoder learns from masks which concept lies in which patch.

This stage is not in the papers. A small encoder needs it: in two short trials, labels per volume
left it at chance. Phantoms come with masks; for real scans there are masks of findings
(ReXGroundingCT on CT-RATE) and of organs (TotalSegmentator).

Crops teach quickly what can be seen locally, whole volumes what needs the whole view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from napari_ct_assistant.model.encoders import with_concepts
from napari_ct_assistant.model.grounded.concept_maps import DetailReadout
from napari_ct_assistant.model.grounded.vit import GroundedVisionTransformer3D
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import GroundSettings, Recipe
from napari_ct_assistant.training.data.patch_concepts import FINDING_CONCEPTS, Concept, owners_of
from napari_ct_assistant.training.data.volume_dataset import CropDataset, VolumeDataset
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import mean_over_processes, process_state
from napari_ct_assistant.training.parallel.sharding import launched_sharded
from napari_ct_assistant.training.stages.calibration import calibrate
from napari_ct_assistant.training.stages.job import Job, validation_samples
from napari_ct_assistant.training.stages.trainer import StageTrainer, save_encoder


class GroundingModel(nn.Module):
    """An encoder with the patch-level loss, for the Trainer."""

    _no_split_modules: ClassVar[list[str]] = ["Block"]

    def __init__(
        self,
        encoder: GroundedVisionTransformer3D,
        settings: GroundSettings,
        concepts: Sequence[Concept] = FINDING_CONCEPTS,
        annotated: NDArray[np.bool_] | None = None,
    ):
        super().__init__()
        set_concepts(encoder, concepts)
        self.encoder = encoder
        self.settings = settings
        owner = owners_of(concepts)
        findings = [c.name in FINDINGS for c in concepts]
        weight = torch.tensor([1.0 if f else settings.detail_weight for f in findings])
        if annotated is not None:  # a concept without masks is unknown, not absent
            weight = weight * torch.from_numpy(annotated)
        self.register_buffer("owner", torch.tensor(owner), persistent=False)
        self.register_buffer("weight", weight, persistent=False)
        if settings.freeze_stem:
            encoder.patch_embed.requires_grad_(False)
        if encoder.details is not None:  # fitted by the calibration
            encoder.details.requires_grad_(False)

    @property
    def concepts(self) -> nn.Linear:
        """The encoder's patch-level head."""
        head = self.encoder.concepts
        assert isinstance(head, nn.Linear)  # noqa: S101  checked above
        return head

    def train(self, mode: bool = True) -> GroundingModel:
        """Switch to training; a frozen stem keeps its batch statistics."""
        super().train(mode)
        if self.settings.freeze_stem:
            self.encoder.patch_embed.eval()
        return self

    def forward(
        self, pixel_values: Tensor, patch_labels: Tensor, start: Tensor | None = None
    ) -> dict[str, Any]:
        """Return the loss of a batch.

        pixel_values: [B, 1, D, H, W], patch_labels: [B, concepts, d, h, w], 0 or 1; start:
        [B, 3], the first patch of a crop in the token grid. Labels beyond the model's concepts
        are ignored.
        """
        patch_labels = patch_labels[:, : len(self.owner)]
        labels = patch_labels.permute(0, 2, 3, 4, 1).float()  # [B, d, h, w, concepts]
        weights = ring_weights(patch_labels, self.settings.ring_weight)
        other_degree = (labels[..., self.owner] > 0) & (labels == 0)
        weights = weights.masked_fill(other_degree, self.settings.contrast_weight)
        encoder = self.encoder
        if start is None:
            tokens = encoder.embed(pixel_values)
        else:
            tokens = encoder.embed_crops(pixel_values, start)
        tokens = encoder.encode(tokens)
        logits = self.concepts(tokens).reshape(labels.shape)
        if start is not None:
            m = self.settings.margin  # patches at a crop's border lack context
            inner = (slice(None), *(slice(m, n - m) for n in logits.shape[1:4]))
            logits, labels, weights = logits[inner], labels[inner], weights[inner]
        loss = patch_loss(logits, labels, weights, self.settings.negative_weight)
        if start is None:
            # The score of a volume is that of its highest patch, which decides yes or no later.
            score = logits.flatten(1, 3).amax(dim=1)
            present = labels.flatten(1, 3).amax(dim=1)
            volume = nn.functional.binary_cross_entropy_with_logits(
                score, present, reduction="none"
            )
            loss = loss + self.settings.volume_weight * volume.mean(0)
        return {"loss": (loss * self.weight).sum() / self.weight.sum()}


def set_concepts(encoder: GroundedVisionTransformer3D, concepts: Sequence[Concept]) -> None:
    """Give an encoder's patch-level head these concepts; it keeps the weights of known ones."""
    config, head = encoder.config, encoder.concepts
    names = [concept.name for concept in concepts]
    if any(concept.of for concept in concepts) and list(config.concept_owners) != owners_of(
        concepts
    ):
        config.concept_owners = owners_of(concepts)
        encoder.details = DetailReadout(config.concept_owners)
    known = list(config.concept_names) or list(FINDINGS[: config.num_concepts])
    if isinstance(head, nn.Linear) and known == names:
        if not head.bias.any():  # fresh weights: start at a low probability, findings are rare
            nn.init.constant_(head.bias, -4.0)
        return
    wider = nn.Linear(config.hidden_size, len(names))
    nn.init.trunc_normal_(wider.weight, std=config.initializer_range)
    nn.init.constant_(wider.bias, -4.0)
    if isinstance(head, nn.Linear) and head.bias.any():
        kept = [(row, known.index(name)) for row, name in enumerate(names) if name in known]
        with torch.no_grad():
            for row, old in kept:
                wider.weight[row] = head.weight[old]
                wider.bias[row] = head.bias[old]
    encoder.concepts = wider
    config.concept_names, config.num_concepts = names, len(names)


def ring_weights(patch_labels: Tensor, weight: float) -> Tensor:
    """Give the patches next to a finding less weight, since their labels are arbitrary.

    patch_labels: [B, concepts, d, h, w] -> [B, d, h, w, concepts]
    """
    labels = patch_labels.float()
    near = nn.functional.max_pool3d(labels, 3, stride=1, padding=1)
    weights = torch.where((near > 0) & (labels == 0), weight, 1.0)
    return weights.permute(0, 2, 3, 4, 1)


def patch_loss(logits: Tensor, labels: Tensor, weights: Tensor, negative_weight: float) -> Tensor:
    """Return for each concept the mean loss of its patches plus that of all others, weighted.

    All arguments but the last: [B, d, h, w, concepts] -> [concepts]. Easy negatives count less
    (focal loss).
    """
    dims = (0, 1, 2, 3)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    # Counts over all processes, so that several learn what one process would.
    count = mean_over_processes(labels.sum(dims))
    negatives = (1 - labels) * weights
    others = mean_over_processes(negatives.sum(dims))
    smallest = 1 / process_state().num_processes
    positive = (loss * labels).sum(dims) / count.clamp_min(smallest)
    easy = logits.detach().sigmoid()
    negative = (loss * easy * negatives).sum(dims) / others.clamp_min(smallest)
    return positive + negative_weight * negative


def job(recipe: Recipe, store: VolumeStore) -> Job:
    """Return the training of the encoder on patch-level concepts, which writes it."""
    torch.manual_seed(recipe.seed)
    settings, samples = recipe.ground, recipe.training.length(len(store.training))
    encoder = with_concepts(build_encoder(recipe))
    concepts = store.concepts if settings.details else store.concepts[: len(FINDINGS)]
    annotated = store.annotated[: len(concepts)]
    if not annotated.any():
        raise RecipeError(
            "data.masks.concepts: none of the 18 findings; set ground.details=true to learn other "
            "concepts"
        )
    model = GroundingModel(encoder, settings, concepts, annotated)
    if settings.details:
        encoder.config.concept_pairs = list(store.concept_pairs)
    kept, spare = store.training, settings.operating_points
    if spare and launched_sharded():
        raise RecipeError(
            f"ground.operating_points: {spare}, but they are measured with a whole model, and this "
            "launch splits it; set 0, or start without FSDP and DeepSpeed"
        )
    if len(kept) - spare < 1:
        raise RecipeError(
            f"ground.operating_points: {spare} of {len(kept)} volumes leave none for training"
        )
    chosen = kept[len(kept) - spare :]
    learned = kept[: len(kept) - spare]

    def dataset(volumes: range, samples: int) -> Dataset[Any]:
        if settings.crop is None:
            return VolumeDataset(store, samples, recipe.seed, labels=True, volumes=volumes)
        patch, crop = tuple(encoder.config.patch_size), settings.crop
        focus = settings.focus
        return CropDataset(store, samples, recipe.seed, patch, crop, focus, volumes=volumes)

    def save(trainer: StageTrainer) -> None:
        if settings.operating_points:
            calibrate(encoder, store, chosen)
        encoder.requires_grad_(True)
        save_encoder(recipe, encoder, trainer)

    held_out = validation_samples(recipe, len(store.validation))
    return Job(
        model,
        dataset(learned, samples),
        save,
        validation=dataset(store.validation, held_out) if held_out else None,
        store=store,
    )
