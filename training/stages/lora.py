"""LoRA on the language model of a volume-language model, by peft."""

from __future__ import annotations

from peft import LoraConfig, get_peft_model
from torch import nn

from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import LoraSettings

# The linear layers of attention in the language models of transformers, fused ones included.
ATTENTION = (
    *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj"),
    *("c_attn", "query_key_value", "Wqkv", "dense", "wqkv", "wo"),
)


def add_lora(model: VolumeLanguageModel, lora: LoraSettings) -> nn.Module:
    """Freeze the language model and put LoRA into it.

    The perceiver stays trainable, and the encoder where it is.

    Raises
    ------
    RecipeError
        If the language model has none of the layers that the recipe asks for.
    """
    targets = [
        f"language_model.{name}"
        for name, module in model.language_model.named_modules()
        if isinstance(module, nn.Linear)
        and module is not model.get_output_embeddings()
        and (lora.target == "all-linear" or name.rsplit(".", 1)[-1] in ATTENTION)
    ]
    if not targets:
        raise RecipeError(
            f"lora.target: {lora.target} finds no linear layer in a "
            f"{type(model.language_model).__name__}; use all-linear or leave LoRA out"
        )
    # Also what learns whole is kept by peft, so that a checkpoint has it. The perceiver by its
    # full name: a layer inside it may be called projector, too.
    whole = ["projector.perceiver"]
    if any(p.requires_grad for p in model.vision_tower.parameters()):
        whole.append("vision_tower")
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=whole,
        task_type=None,
    )
    return get_peft_model(model, config)
