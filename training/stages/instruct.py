"""Stage `instruct`: perceiver and language model learn to answer (E3D-GPT, stage 2).

The encoder is frozen, or learns too (`train_encoder`, ViT3D-LLaMA3). A published LLM gets LoRA
(merged into the weights at the end); the small one that has no pre-training is trained whole.
"""

from __future__ import annotations

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.questions import FINDINGS_THEN_IMPRESSION
from napari_ct_assistant.training import distributed as processes
from napari_ct_assistant.training.config.recipe import Lora, Recipe, RecipeError
from napari_ct_assistant.training.data.token_cache import TokenCache
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.sequences.conversation import (
    Collator,
    ConversationDataset,
    ConversationSource,
)
from napari_ct_assistant.training.sequences.store_conversations import StoreConversations
from napari_ct_assistant.training.stages.trainer import StageTrainer, finish, train, whole_weights

# The linear layers of attention in the language models of transformers, fused ones included.
ATTENTION = (
    *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj"),
    *("c_attn", "query_key_value", "Wqkv", "dense", "wqkv", "wo"),
)


def add_lora(model: VolumeLanguageModel, lora: Lora) -> nn.Module:
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


def _with_lora(recipe: Recipe, model: VolumeLanguageModel) -> nn.Module:
    """Return the model as the recipe trains it."""
    if recipe.lora is None or recipe.stage != "instruct":
        return model
    return add_lora(model, recipe.lora)


def train_conversations(
    recipe: Recipe,
    model: VolumeLanguageModel,
    processor: VolumeLanguageProcessor,
    store: VolumeStore,
) -> None:
    """Train what is trainable on a store's conversations, and write model and processor."""
    cache = None
    if recipe.conversation.cache_tokens and not recipe.train_encoder:
        with processes.main_first():
            cache = TokenCache(store.folder / "tokens", model.vision_tower, store)
            cache.fill()
    source = StoreConversations(store, recipe.conversation, cache)
    trainer = train_on(source, recipe, _with_lora(recipe, model), processor)
    save_model(recipe, model, processor, trainer)
    finish(recipe, trainer)


def train_on(
    source: ConversationSource, recipe: Recipe, model: nn.Module, processor: VolumeLanguageProcessor
) -> StageTrainer:
    """Train what is trainable of a model on what a source asks and answers."""
    dataset = ConversationDataset(
        source, processor, recipe.conversation, recipe.training.samples, recipe.seed
    )
    collate = Collator(processor.tokenizer.pad_token_id, packed=recipe.conversation.packed)
    return train(recipe, model, dataset, collate)


def save_model(
    recipe: Recipe,
    model: VolumeLanguageModel,
    processor: VolumeLanguageProcessor,
    trainer: StageTrainer,
) -> None:
    """Write a trained model, its LoRA merged, from rank 0."""
    weights = whole_weights(trainer)
    if not processes.is_main():
        return
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if weights is not None:
        # Sharded: a copy without memory of its own takes the gathered weights.
        with torch.device("meta"):
            model = VolumeLanguageModel(model.config)
            model.vision_tower.requires_grad_(recipe.train_encoder)
            trained = _with_lora(recipe, model)
        trained.load_state_dict(weights, assign=True)
    if isinstance(trained, PeftModel):
        model = trained.merge_and_unload()
    model.requires_grad_(True)
    if recipe.conversation.report and recipe.conversation.impressions:
        processor.report_questions = dict(FINDINGS_THEN_IMPRESSION)
        model.config.skills = ["impression"]
    model.save_pretrained(recipe.folder)
    processor.save_pretrained(recipe.folder)


def run(recipe: Recipe, store: VolumeStore) -> None:
    """Train perceiver and language model and write the model."""
    torch.manual_seed(recipe.seed)
    assert recipe.model is not None  # noqa: S101  checked with the recipe
    if recipe.joins:
        from napari_ct_assistant.training.stages.align import assemble

        model, processor = assemble(recipe)
    else:
        folder = recipe.path(recipe.model)
        model = VolumeLanguageModel.from_pretrained(folder)
        processor = VolumeLanguageProcessor.from_pretrained(folder)
    model.requires_grad_(True)
    model.vision_tower.requires_grad_(recipe.train_encoder)
    train_conversations(recipe, model, processor, store)
