"""Join an encoder, a perceiver and a causal language model into one model."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import shorten

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.encoders import load_perceiver, with_concepts
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import LAST_LAYER, resampler_sizes
from napari_ct_assistant.model.processor import LETTER_FIRST, VolumeLanguageProcessor
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.phantoms import CHOICE_ANSWER
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.network_checks import CHAT
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.concept_words import start_at_words
from napari_ct_assistant.training.stages.ground import set_concepts
from napari_ct_assistant.training.stages.tokenizer import IMAGE


def assemble(
    recipe: Recipe, store: VolumeStore | None = None
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Join a recipe's encoder, a fresh perceiver and its language model.

    Parameters
    ----------
    recipe : Recipe
        If its `model` has a perceiver already (it was written by stage `oracle_maps`), the model
        keeps it and gets the encoder.
    store : VolumeStore, optional
        If given, the encoder's patch-level head gets an output for each concept of the store.

    Raises
    ------
    RecipeError
        If the language model cannot be loaded, or does not fit the encoder or the prompt.
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
            f"model {source}: neither a folder with a language model nor a model on the hub"
        ) from None
    if tokenizer.eos_token_id is None:
        raise RecipeError(
            f"model {source}: its tokenizer has no end-of-sequence token, which answers end with"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if IMAGE not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    start = perceiver_start(recipe)
    config = VolumeLanguageConfig(
        vision_config=encoder.config,
        text_config=language_model.config,
        perceiver=recipe.perceiver.kind,
        perceiver_kernel=recipe.perceiver.kernel,
        perceiver_bias=recipe.perceiver.bias,
        perceiver_pos_embed_scale=recipe.perceiver.pos_embed_scale,
        perceiver_concepts_only=recipe.perceiver.concepts_only,
        **(resampler_sizes({k: t.shape for k, t in start.items()}) if "latents" in start else {}),
        image_token_id=int(tokenizer.convert_tokens_to_ids(IMAGE)),
        trained_on=recipe.trained_on,
        notice=recipe.notice,
    )
    model = VolumeLanguageModel(config)
    model.vision_tower.load_state_dict(encoder.state_dict())
    model.language_model.load_state_dict(language_model.state_dict())
    model.generation_config = language_model.generation_config
    if start:
        start_perceiver(model, start, str(recipe.perceiver.start))
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


def load_trainable(folder: Path) -> VolumeLanguageModel:
    """Return the model in `folder`, in float32 if its weights are in float16.

    Released models are often in float16, in which optimizers lose small steps, and which has no
    pooling on a CPU.
    """
    model: VolumeLanguageModel = VolumeLanguageModel.from_pretrained(folder)
    return model.float() if model.dtype == torch.float16 else model


def perceiver_start(recipe: Recipe) -> dict[str, Tensor]:
    """Return the tensors of the perceiver that a recipe's starts from; {} for a fresh one.

    Raises
    ------
    RecipeError
        If its folder has no perceiver.
    """
    if recipe.perceiver.start is None:
        return {}
    tensors = load_perceiver(recipe.path(recipe.perceiver.start))
    if not tensors:
        raise RecipeError(f"perceiver.start: no perceiver in {recipe.perceiver.start}")
    return tensors


def start_perceiver(model: VolumeLanguageModel, tensors: dict[str, Tensor], name: str) -> None:
    """Give a model's perceiver these weights.

    Its last layer leads into the language model; for one of another width it stays fresh.

    Raises
    ------
    RecipeError
        If they are those of another perceiver.
    """
    perceiver = model.projector.perceiver
    own = {key: tuple(tensor.shape) for key, tensor in perceiver.state_dict().items()}
    last = [key for key in own if key.startswith(LAST_LAYER)]
    given = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if any(given.get(key) != own[key] for key in last):
        tensors = {key: tensor for key, tensor in tensors.items() if key not in last}
    off = sorted(key for key in own.keys() | given.keys() if given.get(key) != own.get(key))
    if off := [key for key in off if key not in last]:
        raise RecipeError(
            f"perceiver.start: the perceiver in {name} is another one ({shorten(off[0], 60)})"
        )
    perceiver.load_state_dict(tensors, strict=False)


def chat_prompt(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the prompt of a question in the language model's own chat template.

    Raises
    ------
    RecipeError
        If its tokenizer has no chat template.
    """
    if tokenizer.chat_template is None:
        raise RecipeError(
            "prompt: chat needs a language model with a chat template; write the prompt out instead"
        )
    turn = [{"role": "user", "content": "{image}\n{question}"}]
    text: str = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    ids = tokenizer("a")["input_ids"]
    if tokenizer.bos_token and ids[0] == tokenizer.bos_token_id:
        # The tokenizer adds it again, and the model has never seen it twice.
        text = text.removeprefix(tokenizer.bos_token)
    return text


def with_encoder(
    folder: Path, encoder: VisionTransformer3D
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Return the model in `folder` with another encoder.

    Raises
    ------
    RecipeError
        If the encoder's tokens differ in shape or meaning from those the model was trained on.
    """
    model = load_trainable(folder)
    known, given = model.config.vision_config, encoder.config
    # Its layers may differ; its channels must be those that the perceiver was trained on.
    for name in ("output_size", "grid", "concept_names", "concept_pairs"):
        ours, theirs = (json.dumps(getattr(config, name, ())) for config in (given, known))
        if ours != theirs:
            raise RecipeError(
                f"encoder: {folder.name} was trained with another {name}: "
                f"{shorten(theirs, 60)}, not {shorten(ours, 60)}"
            )
    model.vision_tower = encoder
    model.config.vision_config = given
    return model, VolumeLanguageProcessor.from_pretrained(folder)
