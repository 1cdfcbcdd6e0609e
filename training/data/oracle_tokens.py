"""True concept maps in the form of an encoder's tokens, with simulated errors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ct_assistant.model.grounded.concept_maps import with_places
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.recipe import OracleMapSettings


def map_tokens(patch_labels: NDArray[np.uint8], config: GroundedVisionConfig3D) -> Tensor:
    """Return the tokens of a perfect encoder: certain concepts, no features.

    patch_labels: [concepts, d, h, w], 0 or 1 -> float32 [d*h*w, output_size]
    """
    patch_labels = patch_labels[: config.num_concepts]
    labels = torch.from_numpy(patch_labels.astype(np.float32)).flatten(1).T
    labels = with_places(labels, config.concept_pairs, config.grid)
    features = torch.zeros(len(labels), config.hidden_size)
    return torch.cat([features, config.concept_scale * labels], dim=1)


def with_mistakes(
    tokens: Tensor,
    config: GroundedVisionConfig3D,
    mistakes: OracleMapSettings,
    rng: np.random.Generator,
) -> Tensor:
    """Hide some findings and blur the details and places of others.

    The text stays true. So the model does not learn to trust a detail that is no stronger than its
    alternatives, nor to write an impression from the map instead of the quoted findings.

    Parameters
    ----------
    tokens : Tensor [N, output_size]
        From `map_tokens`.
    config : GroundedVisionConfig3D
    mistakes : OracleMapSettings
    rng : numpy Generator

    Returns
    -------
    Tensor [N, output_size]
        A copy.
    """
    tokens = tokens.clone()
    maps = tokens[:, config.hidden_size :]  # a view
    for finding in range(min(len(FINDINGS), config.num_concepts)):
        hidden, unclear = rng.random(2) < (mistakes.hidden, mistakes.unclear)
        told = [c for c, o in enumerate(config.concept_owners) if o == finding and c != finding]
        first = config.num_concepts
        told += [first + n for n, (of, _) in enumerate(config.concept_pairs) if of == finding]
        if hidden:
            maps[:, [finding, *told]] = 0.0
        elif unclear and told:
            strength = torch.from_numpy(rng.random(len(told)).astype(np.float32))
            maps[:, told] = maps[:, finding, None] * strength
    return tokens
