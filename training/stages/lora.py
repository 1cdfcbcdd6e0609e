"""LoRA on the language model of a volume-language model, with peft."""

from __future__ import annotations

from peft import LoraConfig, get_peft_model
from torch import nn

from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import LoraSettings

# Names of the attention's linear layers in transformers' language models, fused layers included.
ATTENTION = (
    *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj"),
    *("c_attn", "query_key_value", "Wqkv", "dense", "wqkv", "wo"),
)


def add_lora(model: VolumeLanguageModel, lora: LoraSettings) -> nn.Module:
    """Freeze the language model and add LoRA to it.

    The perceiver stays trainable, and so does an encoder that is trainable.

    Raises
    ------
    RecipeError
        If the language model has no layer of the kind that the recipe asks for.
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
            f"lora.target: a {type(model.language_model).__name__} has no layer for "
            f"{lora.target}; use all-linear or leave LoRA out"
        )
    # peft keeps fully trained parts as well, so that checkpoints contain them. The perceiver is
    # given by its full name, because a layer inside it may also be called projector.
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
