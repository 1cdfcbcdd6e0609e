"""The encoder that a recipe names."""

from __future__ import annotations

from collections.abc import Callable

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.encoders import (
    load_encoder,
    load_encoder_config,
    make_encoder,
    make_encoder_config,
)
from napari_ct_assistant.model.presets import (
    demo_vision,
    e3d_gpt_vision,
    radfm_vision,
    vit3d_llama3_vision,
)
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe

PRESETS: dict[str, Callable[[], VisionConfig3D]] = {
    "demo": demo_vision,
    "e3d_gpt": e3d_gpt_vision,
    "vit3d_llama3": vit3d_llama3_vision,
    "radfm": radfm_vision,
}


def encoder_config(recipe: Recipe) -> VisionConfig3D:
    """Return the configuration of a recipe's encoder, or of its model's."""
    choice = recipe.encoder
    if choice is None:
        assert recipe.model is not None  # noqa: S101  checked with the recipe
        config = VolumeLanguageConfig.from_pretrained(recipe.path(recipe.model))
        vision: VisionConfig3D = config.vision_config
        return vision
    if choice.start is not None:
        return load_encoder_config(recipe.path(choice.start))
    assert choice.preset is not None  # noqa: S101
    settings = PRESETS[choice.preset]().to_dict() | choice.changes
    try:
        return make_encoder_config(settings)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"encoder: {error}") from None


def build_encoder(recipe: Recipe) -> VisionTransformer3D:
    """Return the encoder in a folder or of the model there, or a preset's with fresh weights."""
    choice = recipe.encoder
    assert choice is not None  # noqa: S101  checked with the recipe
    if choice.start is not None:
        return load_encoder(recipe.path(choice.start))
    return make_encoder(encoder_config(recipe))
