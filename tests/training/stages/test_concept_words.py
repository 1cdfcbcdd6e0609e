"""A perceiver that starts from the language model's embeddings of the concepts' names."""

from __future__ import annotations

import pytest
import torch

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.stages.concept_words import start_at_words
from tests.tiny_model import tiny_model, tiny_vision

VISION = tiny_vision(num_concepts=3, concept_names=FINDINGS[:3], concept_scale=2.0)


@pytest.mark.parametrize("concepts_only", [False, True])
def test_a_certain_patch_gives_the_embedding_of_its_concept(concepts_only: bool) -> None:
    model, processor = tiny_model(vision_config=VISION, perceiver_concepts_only=concepts_only)
    start_at_words(model, processor.tokenizer)
    tokens = torch.zeros(1, 64, 24 + 3)
    tokens[0, 0, 24 + 1] = 2.0  # probability 1, times the scale
    embeddings = model.get_input_embeddings().weight
    word = embeddings[processor.text_ids(f" {FINDINGS[1].lower()}")].mean(0)
    blank = embeddings[processor.image_token_id]
    with torch.no_grad():
        image = model.get_image_features(vision_tokens=tokens)[0]
        torch.testing.assert_close(image[0], word + blank)
        torch.testing.assert_close(image[1:], blank.expand(7, -1))


def test_other_perceivers_are_refused() -> None:
    model, processor = tiny_model(vision_config=VISION, perceiver="max_pooling")
    with pytest.raises(RecipeError, match="needs the convolution and an encoder with named"):
        start_at_words(model, processor.tokenizer)
