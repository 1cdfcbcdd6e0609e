"""Load an Astra folder onto a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from napari_ct_assistant.backends.astra.backend import AstraBackend
from napari_ct_assistant.backends.astra.configuration import (
    MAX_NEW_TOKENS,
    VISION,
    AstraSettings,
    AstraSizes,
    read_config,
    read_shapes,
)
from napari_ct_assistant.backends.astra.modeling import AstraModel
from napari_ct_assistant.backends.astra.prompts import END, IMAGE_TOKEN, PROMPT, QUESTIONS
from napari_ct_assistant.backends.i3resnet.encoder import place, read_network
from napari_ct_assistant.backends.i3resnet.folder import about
from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.backends.loading.failures import load_failures
from napari_ct_assistant.backends.loading.memory import check_memory
from napari_ct_assistant.backends.loading.sizes import QUESTION_TOKENS, count
from napari_ct_assistant.backends.loading.tensors import read_tensors
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.conversion.sources import load_tokenizer
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    check_hashes,
    compare,
    refuse_code,
    settings_sha256,
    weights_of,
)
from napari_ct_assistant.model.format import WEIGHTS
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.settings import check_files, check_settings, read_json
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import said

FINDING_QUESTION: Final = "Is there {finding} in this CT image? Answer only Yes or No."


def load(
    folder: Path,
    name: str,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
    quantize: Any = None,
    device_map: Any = None,
) -> AstraBackend:
    """Load an Astra folder; the options are those of `load_assistant`.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do; `NotEnoughMemoryError` where it does not
        fit in memory.
    """
    for option, value in (("quantize", quantize), ("device_map", device_map)):
        if value is not None:
            raise ModelLoadError(
                said(
                    "{name}: {option} is not available for this model; leave it out",
                    name=name,
                    option=option,
                )
            )
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    check_files(folder, name)
    config = read_json(folder / "config.json", name)
    check_settings(folder, name)
    refuse_code(folder, name)
    stated = read_config(config, name)
    shapes = {key: header.shape for key, header in weights_of(folder, name).items()}
    check_hashes(folder, name)
    sizes = read_shapes(shapes, stated.heads, name)
    tokenizer = load_tokenizer(folder, name)
    image, end = (tokenizer.convert_tokens_to_ids(word) for word in (IMAGE_TOKEN, END))
    for word, number in ((IMAGE_TOKEN, image), (END, end)):
        if number is None or number == tokenizer.unk_token_id:
            raise ModelLoadError(
                said(
                    "{name}: its tokenizer does not have {word}; give Qwen2.5-VL's with --base",
                    name=name,
                    word=word,
                )
            )
    try:
        with torch.device("meta"):
            network = AstraModel(sizes, stated, int(image), sorted({int(end), *_ends(tokenizer)}))
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelLoadError(
            said("{name}: config.json describes no such model ({reason})", name=name, reason=reason)
        ) from error
    compare(shapes, expected_shapes(network), name)
    counts = count(shapes, dict(stated.text))
    tokens = sizes.latents + 3 * QUESTION_TOKENS + MAX_NEW_TOKENS
    with load_failures(name, folder, target):
        check_memory(name, counts, target, precision, tokens=tokens)
        _fill(network, sizes, folder, name, target, precision)
    network.encoder_settings = stated.encoder
    processor = processor_for(tokenizer, sizes, stated)
    trained_on, notice = about(config)
    info = ModelInfo(
        name=name,
        trained_on=trained_on,
        notice=notice,
        findings=FINDINGS,
        files=tuple(sorted(folder.glob(WEIGHTS))),
        settings_sha256=settings_sha256(folder),
        untaught=("finding", "choice", "question"),
    )
    loaded = cast("Any", use_onednn(network.eval()))
    return AstraBackend(loaded, processor, info, None, settings or GenerationSettings())


def expected_shapes(network: AstraModel) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each tensor of a folder."""
    own = {k: tuple(t.shape) for k, t in network.state_dict().items()}
    own = {key: shape for key, shape in own.items() if not key.startswith(VISION)}
    if network.config.text_config.tie_word_embeddings:
        own.pop("language_model.lm_head.weight", None)
    vision = network.vision_tower.sizes.shapes()
    return own | {VISION + key: shape for key, shape in vision.items()}


def processor_for(
    tokenizer: Any, sizes: AstraSizes, stated: AstraSettings
) -> VolumeLanguageProcessor:
    """Return what renders Astra's questions; scans are prepared by the encoder's chains."""
    x, y, z = stated.encoder.size
    return VolumeLanguageProcessor(
        tokenizer,
        image_size=(z, y, x),
        patch_size=(z, y, x),
        num_image_tokens=sizes.latents,
        image_token=IMAGE_TOKEN,
        prompt=PROMPT,
        answer_prefix="",
        report_questions=QUESTIONS,
        finding_question=FINDING_QUESTION,
        max_new_tokens=MAX_NEW_TOKENS,
    )


def _ends(tokenizer: Any) -> list[int]:
    return [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]


def _fill(
    network: AstraModel,
    sizes: AstraSizes,
    folder: Path,
    name: str,
    target: torch.device,
    precision: torch.dtype,
) -> None:
    """Read the weights straight to the device; the encoder's are folded and stay in float32."""
    encoder = read_network(sizes.encoder, folder, name, VISION)
    network.vision_tower = place(encoder, target, torch.float32)
    places = {
        key: (owner, own)
        for module, owner in network.named_modules()
        for own in owner._parameters
        if owner._parameters[own] is not None and (key := f"{module}.{own}".lstrip("."))
    }

    def wanted(key: str, shape: tuple[int, ...]) -> Tensor | None:
        if key.startswith(VISION):
            return None
        owner, own = places[key]
        tensor = torch.empty(shape, dtype=precision, device=target)
        owner._parameters[own] = nn.Parameter(tensor, requires_grad=False)
        return tensor

    for file in sorted(folder.glob(WEIGHTS)):
        for _ in read_tensors(file, name, wanted):
            pass
    if network.config.text_config.tie_word_embeddings:
        network.language_model.lm_head.weight = network.language_model.model.embed_tokens.weight
    rotary = network.language_model.model.rotary_emb
    network.language_model.model.rotary_emb = type(rotary)(network.config.text_config).to(target)
