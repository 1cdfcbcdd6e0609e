"""Join an encoder, a perceiver and a causal language model into one model, as a recipe says."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import shorten

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.encoders import with_concepts
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import LETTER_FIRST, VolumeLanguageProcessor
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.phantoms import CHOICE_ANSWER
from napari_ct_assistant.training.config.checks import CHAT
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.concept_words import start_at_words
from napari_ct_assistant.training.stages.ground import set_concepts
from napari_ct_assistant.training.stages.tokenizer import IMAGE


def assemble(
    recipe: Recipe, store: VolumeStore | None = None
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Put an encoder, a fresh perceiver and a causal language model together.

    A `model` that has a perceiver already (stage `oracle_maps`) keeps it and gets the encoder. With
    a `store`, the encoder's patch-level head is one for all that its labels hold.
    """
    encoder = build_encoder(recipe)
    if store is not None:
        encoder = with_concepts(encoder)
        set_concepts(encoder, store.concepts)
        encoder.config.concept_pairs = list(store.concept_pairs)
    assert recipe.model is not None  # noqa: S101  checked with the recipe
    local = recipe.path(recipe.model)
    source = str(local if local.is_dir() else recipe.model)
    if (local / "processor_config.json").is_file():
        return with_encoder(local, encoder)
    try:
        language_model = AutoModelForCausalLM.from_pretrained(
            source, revision=recipe.language.revision
        )
        tokenizer = AutoTokenizer.from_pretrained(source, revision=recipe.language.revision)
    except OSError:
        raise RecipeError(
            f"model {source}: neither a folder with a language model nor one to be had from the hub"
        ) from None
    if tokenizer.eos_token_id is None:
        raise RecipeError(f"model {source}: its tokenizer has no EOS, which ends an answer")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if IMAGE not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    config = VolumeLanguageConfig(
        vision_config=encoder.config,
        text_config=language_model.config,
        perceiver=recipe.perceiver.kind,
        perceiver_kernel=recipe.perceiver.kernel,
        perceiver_bias=recipe.perceiver.bias,
        perceiver_pos_embed_scale=recipe.perceiver.pos_embed_scale,
        perceiver_concepts_only=recipe.perceiver.concepts_only,
        image_token_id=int(tokenizer.convert_tokens_to_ids(IMAGE)),
        trained_on=recipe.trained_on,
        notice=recipe.notice,
    )
    model = VolumeLanguageModel(config)
    model.vision_tower.load_state_dict(encoder.state_dict())
    model.language_model.load_state_dict(language_model.state_dict())
    model.generation_config = language_model.generation_config
    if recipe.perceiver.concept_words:
        start_at_words(model, tokenizer, store)
    processor = VolumeLanguageProcessor(
        tokenizer,
        image_size=encoder.config.image_size,
        patch_size=encoder.config.patch_size,
        num_image_tokens=model.num_image_tokens,
        image_token=IMAGE,
        prompt=chat_prompt(tokenizer) if recipe.prompt == CHAT else recipe.prompt,
        answer_prefix=recipe.answer_prefix,
        choice_answer=CHOICE_ANSWER if isinstance(recipe.data, PhantomData) else LETTER_FIRST,
        preparation=getattr(recipe.data, "preparation", "spacing"),
        spacing=getattr(recipe.data, "spacing", (3.0, 1.5, 1.5)),
    )
    return model, processor


def chat_prompt(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a question's prompt in the language model's own chat template.

    Raises
    ------
    RecipeError
        If its tokenizer has none.
    """
    if tokenizer.chat_template is None:
        raise RecipeError(
            "prompt: chat, but the language model has no chat template; write one out"
        )
    turn = [{"role": "user", "content": "{image}\n{question}"}]
    text: str = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    ids = tokenizer("a")["input_ids"]
    if tokenizer.bos_token and ids[0] == tokenizer.bos_token_id:
        # The tokenizer puts it there itself; twice is not what the model has seen.
        text = text.removeprefix(tokenizer.bos_token)
    return text


def with_encoder(
    folder: Path, encoder: VisionTransformer3D
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Return the model in `folder` with this encoder.

    Raises
    ------
    RecipeError
        If its tokens are not of the form that the model has learned to read.
    """
    model = VolumeLanguageModel.from_pretrained(folder)
    known, given = model.config.vision_config, encoder.config
    # What it is made of is its own affair; its channels must be what the perceiver learned.
    for name in ("output_size", "grid", "concept_names", "concept_pairs"):
        ours, theirs = (json.dumps(getattr(config, name, ())) for config in (given, known))
        if ours != theirs:
            raise RecipeError(
                f"encoder: its {name} is not that of the encoder that {folder.name} was made "
                f"for: {shorten(ours, 60)} instead of {shorten(theirs, 60)}"
            )
    model.vision_tower = encoder
    model.config.vision_config = given
    return model, VolumeLanguageProcessor.from_pretrained(folder)
