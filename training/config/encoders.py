"""The encoder that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.encoders import (
    load_encoder,
    load_encoder_config,
    make_encoder,
    make_encoder_config,
)
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.presets import demo_vision, e3d_gpt_vision, vit3d_llama3_vision
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe

PRESETS: dict[str, Callable[[], VisionConfig3D]] = {
    "demo": demo_vision,
    "e3d_gpt": e3d_gpt_vision,
    "vit3d_llama3": vit3d_llama3_vision,
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
        folder = recipe.path(choice.start)
        if _is_whole_model(folder):
            whole: VisionConfig3D = VolumeLanguageConfig.from_pretrained(folder).vision_config
            return whole
        return load_encoder_config(folder)
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
        folder = recipe.path(choice.start)
        if _is_whole_model(folder):
            whole = VolumeLanguageModel.from_pretrained(folder, local_files_only=True)
            tower: VisionTransformer3D = whole.vision_tower.float()
            return tower
        return load_encoder(folder)
    return make_encoder(encoder_config(recipe))


def _is_whole_model(folder: Path) -> bool:
    return (folder / "processor_config.json").is_file()
