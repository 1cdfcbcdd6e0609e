"""Stage `align`: the perceiver learns to speak to the language model (E3D-GPT, stage 1).

Encoder and language model are frozen; only the perceiver is trained (and, with
`train_encoder`, the encoder).
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import shorten

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from napari_ct_assistant.model.configuration import VisionConfig3D, VolumeLanguageConfig
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import ConvolutionPerceiver
from napari_ct_assistant.model.processor import LETTER_FIRST, VolumeLanguageProcessor
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.phantoms import CHOICE_ANSWER
from napari_ct_assistant.training.config.checks import CHAT
from napari_ct_assistant.training.config.encoders import build_encoder
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe, RecipeError
from napari_ct_assistant.training.data.oracle_maps import map_tokens
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.stages.ground import set_concepts
from napari_ct_assistant.training.stages.instruct import train_conversations
from napari_ct_assistant.training.stages.tokenizer import IMAGE


def assemble(
    recipe: Recipe, store: VolumeStore | None = None
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Put an encoder, a fresh perceiver and a causal language model together.

    A `model` that has a perceiver already (stage `maps`) keeps it and gets the encoder. With
    a `store`, the encoder's patch-level head is one for all that its labels hold.
    """
    encoder = build_encoder(recipe)
    if store is not None:
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
        perceiver_position=recipe.perceiver.position,
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
        size=encoder.config.image_size,
        patch=encoder.config.patch_size,
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
        ours, theirs = (json.dumps(getattr(config, name)) for config in (given, known))
        if ours != theirs:
            raise RecipeError(
                f"encoder: its {name} is not that of the encoder that {folder.name} was made "
                f"for: {shorten(ours, 60)} instead of {shorten(theirs, 60)}"
            )
    model.vision_tower = encoder
    model.config.vision_config = given
    return model, VolumeLanguageProcessor.from_pretrained(folder)


def start_at_words(
    model: VolumeLanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    store: VolumeStore | None = None,
) -> None:
    """Let the perceiver start by saying each patch-level concept in the language model's words.

    The weights from a concept's probability are the mean embedding of its name, so that
    patches that certainly show it make an image token like the word. With a `store`, as many
    of the merged patches as its scans typically show it in make one word: what fills all of
    them (a lobe, emphysema) would else be eight words loud and drown what fills one. Weights
    from all other features start small beside that.

    Raises
    ------
    RecipeError
        If the perceiver is no convolution, or the encoder does not name its concepts.
    """
    vision, perceiver = model.config.vision_config, model.projector.perceiver
    if not isinstance(perceiver, ConvolutionPerceiver) or not vision.concept_names:
        raise RecipeError(
            "perceiver.concept_words needs the convolution and an encoder with named concepts, "
            f"got {model.config.perceiver} and {vision.num_concepts} concepts, "
            f"{len(vision.concept_names)} of them named"
        )
    names = list(vision.concept_names)
    names += [f"{names[first]} {names[second]}" for first, second in vision.concept_pairs]
    typical_fill = np.ones(len(names))
    if store is not None:
        typical_fill = merged_patches(store, vision, perceiver.kernel)
    embeddings = model.get_input_embeddings().weight.data
    weight = perceiver.convolution.weight.data  # [outputs, inputs, k, k, k]
    typical = embeddings.norm(dim=1).mean() / embeddings.shape[1] ** 0.5
    fan_in = vision.hidden_size * perceiver.kernel**3
    torch.nn.init.normal_(weight, std=0.1 * float(typical) / fan_in**0.5)
    first = vision.hidden_size - model.config.first_channel
    for number, name in enumerate(names, start=first):
        ids = tokenizer(f" {name.lower()}", add_special_tokens=False)["input_ids"]
        word = embeddings[ids].mean(0) / (
            vision.concept_scale * float(typical_fill[number - first])
        )
        weight[:, number] = word[:, None, None, None]
    if perceiver.convolution.bias is not None:
        # What shows nothing is the blank that stood there in stage `language`.
        perceiver.convolution.bias.data.copy_(embeddings[model.config.image_token_id])


def merged_patches(
    store: VolumeStore, config: VisionConfig3D, kernel: int, volumes: int = 200
) -> NDArray[np.float64]:
    """Count in how many of the merged patches a concept lies, where it lies in any of them.

    Returns
    -------
    [concepts + pairs], means over the first `volumes` scans, 1 to kernel^3; 1 for what none
    shows.
    """
    shown, tokens = 0.0, 0.0
    for index in range(min(volumes, len(store))):
        maps = map_tokens(store.patch_labels(index), config)[:, config.hidden_size :]
        labels = (maps > 0).float().T.unflatten(1, config.grid)[None]
        # The mean over the cell times its size is a count.
        cells = torch.nn.functional.avg_pool3d(labels, kernel)[0].flatten(1) * kernel**3
        shown = shown + cells.sum(1).numpy()
        tokens = tokens + (cells > 0).sum(1).numpy()
    means: NDArray[np.float64] = np.maximum(shown / np.maximum(tokens, 1), 1.0)
    return means


def run(recipe: Recipe, store: VolumeStore) -> None:
    """Train the perceiver and write the model."""
    torch.manual_seed(recipe.seed)
    model, processor = assemble(recipe)
    model.requires_grad_(False)
    model.projector.requires_grad_(True)
    model.vision_tower.requires_grad_(recipe.train_encoder)
    train_conversations(recipe, model, processor, store)
