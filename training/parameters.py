"""Count the parameters of a network and those that a stage trains.

The network is built on torch's meta device, which holds no weights, so even the networks of paper
size need no memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, LlamaConfig, PreTrainedConfig

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import PERCEIVERS
from napari_ct_assistant.model.presets import e3d_gpt, vit3d_llama3
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.training.config.encoders import PRESETS as ENCODERS
from napari_ct_assistant.training.config.encoders import encoder_config
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import LoraSettings, MaeSettings, Recipe
from napari_ct_assistant.training.stages.lora import add_lora

PAPER_LORA = LoraSettings()  # r 16, all linear layers, as in both papers


@dataclass(frozen=True)
class ParameterCount:
    """The number of parameters of one part of a network."""

    part: str
    parameters: int
    note: str = ""


def llama_2_7b() -> LlamaConfig:
    """Return the sizes of Llama-2-7B and Vicuna-7B (lmsys/vicuna-7b-v1.5's config.json)."""
    return LlamaConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=4096,
    )


def llama_3_8b() -> LlamaConfig:
    """Return the sizes of Llama-3-8B and Asclepius-Llama3-8B (their config.json)."""
    return LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    )


# Language models whose sizes are known without their files.
KNOWN = {
    "lmsys/vicuna-7b-v1.5": llama_2_7b,
    "meta-llama/Llama-2-7b-hf": llama_2_7b,
    "meta-llama/Meta-Llama-3-8B": llama_3_8b,
    "starmpcc/Asclepius-Llama3-8B": llama_3_8b,
}
PRESETS = ("e3d_gpt", "vit3d_llama3", "m3d_llama2")


def count_preset(name: str, perceiver: str | None = None) -> list[ParameterCount]:
    """Count a published architecture, one of `PRESETS`."""
    if name == "e3d_gpt":
        config = e3d_gpt()
        mae = MaeSettings()
    else:
        text = llama_3_8b() if name == "vit3d_llama3" else llama_2_7b()
        config = vit3d_llama3(text, image_token_id=text.vocab_size)
        mae = None
    if perceiver is not None:
        config.perceiver = perceiver
    return count_network(config, lora=PAPER_LORA, mae=mae, encoder_learns=name == "vit3d_llama3")


def count_recipe(recipe: Recipe) -> list[ParameterCount]:
    """Count what the stage of a recipe builds and trains.

    Raises
    ------
    RecipeError
        If the recipe's language model is neither on this machine nor one of `KNOWN`, or its
        stage builds no network to count.
    """
    if recipe.stage == "mae":
        with torch.device("meta"):
            encoder = make_encoder(_vision(recipe))
            mae = MaskedAutoencoder3D(encoder, **recipe.mae.model_dump())
        return _of_mae(mae)
    if recipe.joins:
        assert recipe.model is not None  # noqa: S101  checked with the recipe
        text = text_config(str(recipe.model), recipe.path(recipe.model))
        config = VolumeLanguageConfig(
            vision_config=_vision(recipe),
            text_config=text,
            perceiver=recipe.perceiver.kind,
            perceiver_kernel=recipe.perceiver.kernel,
            perceiver_bias=recipe.perceiver.bias,
            perceiver_concepts_only=recipe.perceiver.concepts_only,
            image_token_id=text.vocab_size,
        )
    elif recipe.stage == "instruct" and recipe.model is not None:
        folder = recipe.path(recipe.model)
        if not (folder / "config.json").is_file():
            raise RecipeError(f"{folder}: not there; run the stage that writes it first")
        config = VolumeLanguageConfig.from_pretrained(folder)
    else:
        raise RecipeError(f"stage {recipe.stage}: only mae, align and instruct are counted")
    lora = recipe.lora if recipe.stage == "instruct" else None
    return count_network(
        config,
        lora=lora,
        encoder_learns=recipe.train_encoder,
        whole_language_model=recipe.stage == "instruct" and lora is None,
    )


def _vision(recipe: Recipe) -> VisionConfig3D:
    """Return the encoder's sizes, those of its preset if an earlier stage has yet to write it."""
    start = recipe.encoder.start if recipe.encoder else None
    if start is None or (recipe.path(start) / "config.json").is_file():
        return encoder_config(recipe)
    family = {"m3d": "vit3d_llama3"}.get(recipe.root.name, recipe.root.name)
    if family not in ENCODERS:
        raise RecipeError(
            f"{recipe.path(start)}: not there; run the stage that writes it first, or add "
            "'encoder={preset: e3d_gpt}'"
        )
    return ENCODERS[family]()


def text_config(name: str, folder: Path) -> PreTrainedConfig:
    """Return a language model's sizes, from its folder or by its name."""
    if (folder / "config.json").is_file():
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    if name in KNOWN:
        return KNOWN[name]()
    raise RecipeError(
        f"model {name}: no such folder, and no model of known size; known are {', '.join(KNOWN)}"
    )


def count_network(
    config: VolumeLanguageConfig,
    *,
    lora: LoraSettings | None = None,
    mae: MaeSettings | None = None,
    encoder_learns: bool = False,
    whole_language_model: bool = False,
    trains: bool = True,
) -> list[ParameterCount]:
    """Count a network part by part.

    Parameters
    ----------
    config : VolumeLanguageConfig
    lora
        Also count these adapters on the language model.
    mae
        Also count the decoder that the encoder's pre-training needs.
    encoder_learns, whole_language_model
        Whether these are trained, too, besides perceiver and adapters.
    trains
        Also give the sum of what is trained.
    """
    with torch.device("meta"):
        model = VolumeLanguageModel(config)
        decoder = (
            0 if mae is None else _size(MaskedAutoencoder3D(model.vision_tower, **mae.model_dump()))
        )
    d, h, w = config.vision_config.grid
    encoder, perceiver = _size(model.vision_tower), _size(model.projector)
    language, total = _size(model.language_model), _size(model)
    counts = [
        ParameterCount("encoder", encoder, f"3D ViT, {d * h * w} tokens"),
        ParameterCount(
            "perceiver", perceiver, f"{config.perceiver}, {model.num_image_tokens} image tokens"
        ),
        ParameterCount("language model", language, config.text_config.model_type),
        ParameterCount("whole network", total),
    ]
    if decoder:
        counts.append(ParameterCount("MAE decoder", decoder - encoder, "pre-training only"))
    trained = perceiver + encoder_learns * encoder + whole_language_model * language
    if lora is not None:
        with torch.device("meta"), warnings.catch_warnings():
            # peft reads a deprecated property of transformers.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted = add_lora(model, lora)
        extra = sum(p.numel() for n, p in adapted.named_parameters() if ".lora_" in n)
        counts.append(ParameterCount("LoRA", extra, f"r {lora.r}, {lora.target}"))
        trained += extra
    if trains:
        counts.append(ParameterCount("trained", trained, "encoder too" if encoder_learns else ""))
    return counts


def _of_mae(mae: MaskedAutoencoder3D) -> list[ParameterCount]:
    encoder, whole = _size(mae.encoder), _size(mae)
    d, h, w = mae.encoder.config.grid
    return [
        ParameterCount("encoder", encoder, f"3D ViT, {d * h * w} tokens"),
        ParameterCount("MAE decoder", whole - encoder, "pre-training only"),
        ParameterCount("trained", whole),
    ]


def _size(module: nn.Module) -> int:
    """Count a module's parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_parameters(
    what: str, overrides: Sequence[str] = (), *, perceiver: str | None = None
) -> list[ParameterCount]:
    """Count a preset, a recipe or a model of this machine.

    Parameters
    ----------
    what
        One of `PRESETS`, a recipe, or the name or folder of a model.
    overrides
        `key=value`, for a recipe.
    perceiver
        Count with this perceiver instead of the network's own.

    Raises
    ------
    RecipeError
        If `what` is none of these, or there is no such perceiver.
    """
    if perceiver is not None and perceiver not in PERCEIVERS:
        raise RecipeError(f"perceiver {perceiver}: choose one of {', '.join(PERCEIVERS)}")
    if what in PRESETS:
        return count_preset(what, perceiver)
    if what.endswith((".yaml", ".yml")) or ("/" in what and not Path(what).is_dir()):
        kind = [f"perceiver.kind={perceiver}"] if perceiver else []
        return count_recipe(load_recipe(what, [*overrides, *kind]))
    from napari_ct_assistant.assistant.models.installed import find_model

    try:
        config = VolumeLanguageConfig.from_pretrained(find_model(what), local_files_only=True)
    except (ModelLoadError, OSError, ValueError):
        raise RecipeError(
            f"{what}: neither a preset ({', '.join(PRESETS)}), a recipe, nor a model's folder"
        ) from None
    if perceiver is not None:
        config.perceiver = perceiver
    return count_network(config, trains=False)
