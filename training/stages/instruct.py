"""Stage `instruct`: perceiver and language model learn to answer (E3D-GPT, stage 2).

The encoder is frozen. A published LLM gets LoRA (merged into the weights at the end); the
small one that has no pre-training is trained whole.
"""

from __future__ import annotations

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.training.conversation import Collator, ConversationDataset
from napari_ct_assistant.training.recipe import Lora, Recipe
from napari_ct_assistant.training.store_conversations import StoreConversations
from napari_ct_assistant.training.token_cache import TokenCache
from napari_ct_assistant.training.trainer import finish, train
from napari_ct_assistant.training.volume_store import VolumeStore


def add_lora(model: VolumeLanguageModel, lora: Lora) -> nn.Module:
    """Freeze the model, put LoRA into its language model, leave the perceiver trainable."""
    attention = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
    targets = [
        f"language_model.{name}"
        for name, module in model.language_model.named_modules()
        if isinstance(module, nn.Linear)
        and module is not model.get_output_embeddings()
        and (lora.target == "all-linear" or name.rsplit(".", 1)[-1] in attention)
    ]
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=["projector"],
        task_type=None,
    )
    return get_peft_model(model, config)


def train_conversations(
    recipe: Recipe,
    model: VolumeLanguageModel,
    processor: VolumeLanguageProcessor,
    store: VolumeStore,
) -> None:
    """Train what is trainable on a store's conversations, and write model and processor."""
    cache = None
    if recipe.conversation.cache_tokens:
        cache = TokenCache(store.folder / "tokens", model.vision_tower, store)
        cache.fill()
    source = StoreConversations(store, recipe.conversation, cache)
    dataset = ConversationDataset(
        source, processor, recipe.conversation, recipe.training.samples, recipe.seed
    )
    collate = Collator(processor.tokenizer.pad_token_id, packed=recipe.conversation.packed)
    trained: nn.Module = model
    if recipe.lora is not None and recipe.stage == "instruct":
        trained = add_lora(model, recipe.lora)
    trainer = train(recipe, trained, dataset, collate)
    if trained is not model:
        model = trained.merge_and_unload()
    model.requires_grad_(True)
    model.save_pretrained(recipe.folder)
    processor.save_pretrained(recipe.folder)
    finish(recipe, trainer)


def run(recipe: Recipe, store: VolumeStore) -> None:
    """Train perceiver and language model and write the model."""
    torch.manual_seed(recipe.seed)
    assert recipe.model is not None  # noqa: S101  checked with the recipe
    folder = recipe.path(recipe.model)
    model = VolumeLanguageModel.from_pretrained(folder)
    processor = VolumeLanguageProcessor.from_pretrained(folder)
    model.requires_grad_(True)
    model.vision_tower.requires_grad_(False)
    train_conversations(recipe, model, processor, store)
