"""Stage `align`: the perceiver learns to speak to the language model (E3D-GPT, stage 1).

Encoder and language model are frozen; only the perceiver is trained (and, with
`train_encoder`, the encoder).
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from napari_ct_assistant.findings import FINDINGS
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import ConvolutionPerceiver
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.vit import VisionTransformer3D
from napari_ct_assistant.training.encoders import build_encoder
from napari_ct_assistant.training.recipe import Recipe, RecipeError
from napari_ct_assistant.training.recipe_checks import CHAT
from napari_ct_assistant.training.stages.instruct import train_conversations
from napari_ct_assistant.training.tokenizer import IMAGE
from napari_ct_assistant.training.volume_store import VolumeStore


def assemble(recipe: Recipe) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Put an encoder, a fresh perceiver and a causal language model together.

    A `model` that has a perceiver already (stage `maps`) keeps it and gets the encoder.
    """
    encoder = build_encoder(recipe)
    assert recipe.model is not None  # noqa: S101  checked with the recipe
    local = recipe.path(recipe.model)
    source = str(local if local.is_dir() else recipe.model)
    if (local / "processor_config.json").is_file():
        return _with_encoder(local, encoder)
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
        image_token_id=int(tokenizer.convert_tokens_to_ids(IMAGE)),
        trained_on=recipe.trained_on,
        notice=recipe.notice,
    )
    model = VolumeLanguageModel(config)
    model.vision_tower.load_state_dict(encoder.state_dict())
    model.language_model.load_state_dict(language_model.state_dict())
    model.generation_config = language_model.generation_config
    if recipe.perceiver.concept_words:
        start_at_words(model, tokenizer)
    processor = VolumeLanguageProcessor(
        tokenizer,
        size=encoder.config.image_size,
        patch=encoder.config.patch_size,
        num_visual_tokens=model.num_image_tokens,
        visual_token=IMAGE,
        prompt=chat_prompt(tokenizer) if recipe.prompt == CHAT else recipe.prompt,
        answer_prefix=recipe.answer_prefix,
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


def _with_encoder(
    folder: Path, encoder: VisionTransformer3D
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Return the model in `folder` with this encoder's weights."""
    model = VolumeLanguageModel.from_pretrained(folder)
    try:
        model.vision_tower.load_state_dict(encoder.state_dict())
    except RuntimeError:
        raise RecipeError(
            f"encoder: its sizes are not those of the encoder that {folder.name} was made for"
        ) from None
    return model, VolumeLanguageProcessor.from_pretrained(folder)


def start_at_words(model: VolumeLanguageModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let the perceiver start by saying each patch-level finding in the language model's words.

    The weights from a finding's probability are the mean embedding of its name, so that a
    patch that certainly shows it makes an image token like the word. Weights from all other
    features start small beside that.

    Raises
    ------
    RecipeError
        If the perceiver is no convolution, or the encoder was not taught the 18 findings.
    """
    vision, perceiver = model.config.vision_config, model.projector.perceiver
    if not isinstance(perceiver, ConvolutionPerceiver) or vision.num_concepts != len(FINDINGS):
        raise RecipeError(
            f"perceiver.concept_words needs the convolution and {len(FINDINGS)} concepts, got "
            f"{model.config.perceiver} and {vision.num_concepts}"
        )
    embeddings = model.get_input_embeddings().weight.data
    weight = perceiver.convolution.weight.data  # [outputs, inputs, k, k, k]
    typical = embeddings.norm(dim=1).mean() / embeddings.shape[1] ** 0.5
    fan_in = vision.hidden_size * perceiver.kernel**3
    torch.nn.init.normal_(weight, std=0.1 * float(typical) / fan_in**0.5)
    for number, name in enumerate(FINDINGS):
        ids = tokenizer(f" {name.lower()}", add_special_tokens=False)["input_ids"]
        word = embeddings[ids].mean(0) / vision.concept_scale
        weight[:, vision.hidden_size + number] = word[:, None, None, None]
    if perceiver.convolution.bias is not None:
        # What shows nothing is the blank that stood there in stage `language`.
        perceiver.convolution.bias.data.copy_(embeddings[model.config.image_token_id])


def run(recipe: Recipe, store: VolumeStore) -> None:
    """Train the perceiver and write the model."""
    torch.manual_seed(recipe.seed)
    model, processor = assemble(recipe)
    model.requires_grad_(False)
    model.projector.requires_grad_(True)
    model.vision_tower.requires_grad_(recipe.train_encoder)
    train_conversations(recipe, model, processor, store)
