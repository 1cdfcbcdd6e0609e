"""Configuration of an encoder with a concept head and, if wanted, a convolution stem."""

from __future__ import annotations

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig

from napari_ct_assistant.model.vision_configuration import Size3D, VisionConfig3D


@strict
class GroundedVisionConfig3D(VisionConfig3D):
    """`VisionConfig3D` and what the concept head and the convolution stem need.

    Attributes
    ----------
    stem : "linear" or "convolution"
        "linear" embeds patches as the papers do. "convolution" is a small pyramid whose levels
        are max-pooled into the same token grid, which keeps findings smaller than a patch.
    stem_windows : list of [low, high]
        Value windows that become the stem's input channels, in units of `pixel_values`.
    stem_channels, stem_depths : list of int
        Channels, and number of 3x3x3 convolutions, of each pyramid level.
    num_concepts : int
        Patch-level concepts whose probabilities are appended to each token (stage `ground`).
    concept_names : list of str
        Their names: the 18 findings first, then what was taught beside them (a finding's degree,
        a lobe). Empty where a checkpoint does not tell.
    concept_owners : list of int
        For each concept, the index of the finding that it is a detail of; its own index for all
        others. Details are then decided for the whole volume. Empty: patch by patch.
    concept_pairs : list of [int, int]
        A finding and a place (lobe, side). The probability that the finding lies there is
        appended too, so that the language model need not work out which of a scan's lobes is
        meant.
    concept_scale : float
        Factor on the appended probabilities; the features have unit variance.
    """

    model_type = "ct_grounded_vision_3d"

    stem: Literal["linear", "convolution"] = "linear"
    stem_windows: list[Any] | tuple[Any, ...] = ((0.0, 1.0),)
    stem_channels: Size3D = (8, 16, 48, 96)
    stem_depths: Size3D = (1, 2, 2, 1)
    num_concepts: int = 0
    concept_names: list[str] | tuple[str, ...] = ()
    concept_owners: list[int] | tuple[int, ...] = ()
    concept_pairs: list[Any] | tuple[Any, ...] = ()
    concept_scale: float = 8.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        count = self.num_concepts
        if self.concept_names and len(self.concept_names) != count:
            raise ValueError(
                f"concept_names has {len(self.concept_names)} names for num_concepts {count}"
            )
        if self.concept_owners and (
            len(self.concept_owners) != count
            or not all(0 <= owner < count for owner in self.concept_owners)
        ):
            raise ValueError(
                f"concept_owners {list(self.concept_owners)} must give one of the {count} "
                "concepts for each of them"
            )
        for pair in self.concept_pairs:
            if len(pair) != 2 or not all(0 <= concept < count for concept in pair):
                raise ValueError(
                    f"concept_pairs: {list(pair)} is not a pair of the {count} concepts"
                )

    @property
    def output_size(self) -> int:
        """Channels of an output token: features, concepts, pairs."""
        return self.hidden_size + self.num_concepts + len(self.concept_pairs)


AutoConfig.register(GroundedVisionConfig3D.model_type, GroundedVisionConfig3D)
