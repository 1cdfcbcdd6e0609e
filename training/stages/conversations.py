"""Train a model on conversations about scans and write it; used by several stages."""

from __future__ import annotations

from collections.abc import Callable

import torch
from peft import PeftModel
from torch import nn

from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.questions import FINDINGS_THEN_IMPRESSION
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.token_cache import StandInTokens, TokenCache
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import main_first, process_state
from napari_ct_assistant.training.release.stage_card import notice, trained_on
from napari_ct_assistant.training.sequences.collator import Collator
from napari_ct_assistant.training.sequences.conversation_dataset import (
    ConversationDataset,
)
from napari_ct_assistant.training.sequences.store_conversations import StoreConversations
from napari_ct_assistant.training.sequences.taught import taught_questions
from napari_ct_assistant.training.stages.job import Job, validation_samples
from napari_ct_assistant.training.stages.lora import add_lora
from napari_ct_assistant.training.stages.trainer import StageTrainer, whole_weights


def _with_lora(recipe: Recipe, model: VolumeLanguageModel) -> nn.Module:
    """Return the model with LoRA where the recipe asks for it."""
    if recipe.lora is None or recipe.stage != "instruct":
        return model
    return add_lora(model, recipe.lora)


def conversation_job(
    recipe: Recipe,
    model: VolumeLanguageModel,
    processor: VolumeLanguageProcessor,
    store: VolumeStore,
) -> Job:
    """Return the training of a model's trainable parts on a store's conversations."""
    cache: TokenCache | StandInTokens | None = None
    if recipe.conversation.cache_tokens and not recipe.train_encoder:
        if store.stand_in is not None:
            cache = StandInTokens(model.vision_tower)
        else:
            with main_first():
                cache = TokenCache(store.folder / "tokens", model.vision_tower, store)
                cache.fill()
    source = StoreConversations(store, recipe.conversation, cache)
    taught_questions(source, store.report_questions(recipe.conversation)).keep_in(processor)
    return model_job(recipe, model, processor, source)


def model_job(
    recipe: Recipe,
    model: VolumeLanguageModel,
    processor: VolumeLanguageProcessor,
    source: StoreConversations,
) -> Job:
    """Return the training of a model's trainable parts, which writes the whole model."""
    trained = _with_lora(recipe, model)
    return text_job(
        recipe,
        trained,
        processor,
        source,
        lambda trainer: save_model(recipe, model, processor, trainer),
    )


def text_job(
    recipe: Recipe,
    model: nn.Module,
    processor: VolumeLanguageProcessor,
    source: StoreConversations,
    save: Callable[[StageTrainer], None],
) -> Job:
    """Return the training of a module on the conversations of a source."""
    collate = Collator(processor.tokenizer.pad_token_id, packed=recipe.conversation.packed)
    asked, t = recipe.conversation, recipe.training
    held_out = None
    if source.store.validation:
        whole = t.model_copy(update={"samples": None, "epochs": 1})
        try:
            held_out = ConversationDataset(source.held_out(), processor, asked, whole, recipe.seed)
        except RecipeError:
            raise RecipeError(
                "validation.share: the held-out patients have neither a report nor a question that "
                "the recipe asks for; set another share, or 0"
            ) from None
        held_out.samples = validation_samples(recipe, held_out.samples)
    return Job(
        model,
        ConversationDataset(source, processor, asked, t, recipe.seed),
        save,
        collate,
        validation=held_out,
        store=source.store,
    )


def save_model(
    recipe: Recipe,
    model: VolumeLanguageModel,
    processor: VolumeLanguageProcessor,
    trainer: StageTrainer,
) -> None:
    """Write a trained model, its LoRA merged, from the main process."""
    weights = whole_weights(trainer)
    if not process_state().is_main_process:
        return
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if weights is not None:
        # The model is sharded: a copy on the meta device takes the gathered weights.
        with torch.device("meta"):
            model = VolumeLanguageModel(model.config)
            model.vision_tower.requires_grad_(recipe.train_encoder)
            trained = _with_lora(recipe, model)
        trained.load_state_dict(weights, assign=True)
    if isinstance(trained, PeftModel):
        model = trained.merge_and_unload()
    model.requires_grad_(True)
    if recipe.conversation.report and recipe.conversation.impressions:
        if isinstance(recipe.data, PhantomData):
            processor.report_questions = dict(FINDINGS_THEN_IMPRESSION)
        model.config.skills = ["impression"]
    # A start from an earlier stage brings what that one was trained on.
    before = model.config.trained_on
    trained = trained_on(recipe, before)
    said = model.config.notice if not recipe.notice and trained == before else ""
    said = said or notice(recipe, trained)
    model.config.trained_on, model.config.notice = trained, said
    # The thresholds were measured with the weights that training began from. What those could not
    # tell is kept: nothing shows yet that these can.
    model.config.finding_thresholds = {}
    model.save_pretrained(recipe.folder)
    processor.save_pretrained(recipe.folder)
