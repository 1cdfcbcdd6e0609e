"""Stage `language`: a small language model learns the language of reports from text.

In place of the image, the text names what the scan shows, in random order: as a list, or scattered
among as many blanks as a scan has image tokens. The model thus learns to read findings before it
sees any. The stage can also train the language model of a whole model on tasks without an image,
such as summing up findings.

This stage is for the demonstration model, which has no pre-training. A pre-trained language model
starts at stage `align`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.presets import demo
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.phantoms import draw_truth
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.phantom_store import PhantomStore
from napari_ct_assistant.training.distributed import process_state
from napari_ct_assistant.training.sequences.store_conversations import StoreConversations
from napari_ct_assistant.training.stages.conversations import model_job, text_job
from napari_ct_assistant.training.stages.job import Job
from napari_ct_assistant.training.stages.tokenizer import IMAGE, train_tokenizer
from napari_ct_assistant.training.stages.trainer import StageTrainer


def job(recipe: Recipe) -> Job:
    """Return the training of a language model on texts, which writes it with its tokenizer."""
    torch.manual_seed(recipe.seed)
    data = recipe.data
    if not isinstance(data, PhantomData):
        raise RecipeError(
            "data.kind: stage language reads the texts of phantoms; write data: {kind: phantoms}"
        )
    store = PhantomStore(recipe.path(data.store), data.first_seed, recipe.language.texts)
    source = StoreConversations(store, recipe.conversation, text_only=True)
    start = recipe.language.start
    if start is not None and (recipe.path(start) / "processor_config.json").is_file():
        return _go_on(recipe, source, recipe.path(start))
    if start is not None:
        folder = recipe.path(start)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
    else:
        texts = (text for seed in store.seeds for text in _texts(seed))
        tokenizer = train_tokenizer(texts, recipe.language.vocab_size)
        config = demo(
            vocab_size=len(tokenizer),
            image_token_id=int(tokenizer.convert_tokens_to_ids(IMAGE)),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        model = AutoModelForCausalLM.from_config(config.text_config)
    processor = VolumeLanguageProcessor(
        tokenizer, prompt=recipe.prompt, answer_prefix=recipe.answer_prefix, image_token=IMAGE
    )

    def save(_: StageTrainer) -> None:
        if process_state().is_main_process:
            model.save_pretrained(recipe.folder)
            tokenizer.save_pretrained(recipe.folder)

    return text_job(recipe, model, processor, source, save)


def _go_on(recipe: Recipe, source: StoreConversations, folder: Path) -> Job:
    """Train the language model of a whole model; encoder and perceiver are frozen."""
    model = VolumeLanguageModel.from_pretrained(folder)
    processor = VolumeLanguageProcessor.from_pretrained(folder)
    model.requires_grad_(False)
    model.language_model.requires_grad_(True)
    return model_job(recipe, model, processor, source)


def _texts(seed: int) -> list[str]:
    truth = draw_truth(seed)
    return [truth.report, *(t for q in truth.questions for t in (q.question, q.answer))]
