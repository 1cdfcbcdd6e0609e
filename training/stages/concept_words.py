"""Initialize a perceiver so that each patch-level concept starts as the word for it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import ConvolutionPerceiver
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.oracle_tokens import map_tokens
from napari_ct_assistant.training.data.volume_store import VolumeStore


def start_at_words(
    model: VolumeLanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    store: VolumeStore | None = None,
) -> None:
    """Start the perceiver's weights at the language model's embeddings of the concepts' names.

    The weights of a concept's probability are the mean embedding of its name, so patches that
    certainly show the concept give an image token like the word. The weights of all other features
    start small.

    Parameters
    ----------
    model : VolumeLanguageModel
        Its perceiver is changed in place.
    tokenizer
    store : VolumeStore, optional
        If given, a concept's weights are divided by the number of merged patches that it typically
        fills. Otherwise a concept that fills all of them (a lobe, emphysema) would add up to eight
        words and drown one that fills a single patch.

    Raises
    ------
    RecipeError
        If the perceiver is not the convolution, or the encoder does not name its concepts.
    """
    vision, perceiver = model.config.vision_config, model.projector.perceiver
    named = isinstance(vision, GroundedVisionConfig3D) and bool(vision.concept_names)
    if not isinstance(perceiver, ConvolutionPerceiver) or not named:
        raise RecipeError(
            "perceiver.concept_words needs the convolution and an encoder with named concepts, "
            f"got {model.config.perceiver} and {model.config.num_concepts} concepts, "
            f"{'all' if named else 'none'} of them named"
        )
    names = list(vision.concept_names)
    names += [f"{names[first]} {names[second]}" for first, second in vision.concept_pairs]
    typical_fill = np.ones(len(names))
    if store is not None:
        typical_fill = merged_patches(store, vision, perceiver.kernel)
    embeddings = model.get_input_embeddings().weight.data
    weight = perceiver.convolution.weight.data  # [outputs, inputs, k, k, k]
    typical = embeddings.norm(dim=1).mean() / embeddings.shape[1] ** 0.5
    fan_in = vision.hidden_size * perceiver.kernel**3
    torch.nn.init.normal_(weight, std=0.1 * float(typical) / fan_in**0.5)
    first = vision.hidden_size - model.config.first_channel
    for number, name in enumerate(names, start=first):
        ids = tokenizer(f" {name.lower()}", add_special_tokens=False)["input_ids"]
        word = embeddings[ids].mean(0) / (
            vision.concept_scale * float(typical_fill[number - first])
        )
        weight[:, number] = word[:, None, None, None]
    if perceiver.convolution.bias is not None:
        # A patch without concepts gives the blank that stage `language` was trained with.
        perceiver.convolution.bias.data.copy_(embeddings[model.config.image_token_id])


def merged_patches(
    store: VolumeStore, config: GroundedVisionConfig3D, kernel: int, volumes: int = 200
) -> NDArray[np.float64]:
    """Return how many of the patches that are merged into one token a concept typically fills.

    Returns
    -------
    float64 [concepts + pairs], from 1 to kernel^3
        Means over the tokens that show the concept, in the first `volumes` scans; 1 for a concept
        that none of them shows.
    """
    shown, tokens = 0.0, 0.0
    for index in range(min(volumes, len(store))):
        maps = map_tokens(store.patch_labels(index), config)[:, config.hidden_size :]
        labels = (maps > 0).float().T.unflatten(1, config.grid)[None]
        # The mean over the cell times its size is a count.
        cells = torch.nn.functional.avg_pool3d(labels, kernel)[0].flatten(1) * kernel**3
        shown = shown + cells.sum(1).numpy()
        tokens = tokens + (cells > 0).sum(1).numpy()
    means: NDArray[np.float64] = np.maximum(shown / np.maximum(tokens, 1), 1.0)
    return means
