"""Translate RadFM (Wu et al. 2023): its 3D ViT, its perceiver resampler, its language model.

It follows RadFM's code (src/Model/RadFM: vit_3d, position_encoding, helpers, my_embedding_layer).
The published weights are one file without a configuration, so sizes come from the tensors, and the
rest from that code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.conversion import key_maps, m3d
from napari_ct_assistant.model.conversion.outputs import (
    Imported,
    ModelParts,
    Writing,
    write_encoder,
    write_model,
)
from napari_ct_assistant.model.conversion.sources import Source, load_tokenizer
from napari_ct_assistant.model.conversion.tensors import Entry
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.perceivers import resampler_sizes
from napari_ct_assistant.model.presets import radfm_vision
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.model.vision_configuration import Size3D, VisionConfig3D

Shapes = Mapping[str, tuple[int, ...]]

VIT = "embedding_layer.vision_encoder."
PATCHES = f"{VIT}to_patch_embedding."
# Axis of the volume (D, H, W) -> table of positions.
TABLES = {"dep_embed": 0, "row_embed": 1, "col_embed": 2}
HEADS = 8  # of the ViT; stated in the published code only
LANGUAGE = "lang_model."
EMBEDDINGS = ("embedding_layer.weight", "embedding_layer.figure_token_weight")
IMAGE_WORDS = ("<image>", "</image>", "<image0>")
LANGUAGE_FILES = "Language_files"  # RadFM's folder for tokenizer and configuration
# Of RadFM's caption prompts; its code draws one of many.
REPORT_QUESTION = "Please write a radiology report that explains this medical scan."
MAX_NEW_TOKENS = 200  # in its code


def import_radfm(
    source: Source, name: str, writing: Writing, trained_on: str, *, vision_only: bool
) -> Imported:
    """Write RadFM as a whole model, or its encoder and its perceiver alone.

    Raises
    ------
    ModelLoadError
        If a tensor is missing, unknown or of another shape, or the tokenizer is not beside it.
    """
    plain, shapes = source.plain, source.shapes
    skipped = [key for key, it in used(plain).items() if not it]
    vision = vision_config(source.config, shapes)
    encoder, perceiver = encoder_entries(plain, vision), perceiver_entries(plain)
    if vision_only:
        skipped += [key for key in plain if key.startswith((LANGUAGE, *EMBEDDINGS))]
        return write_encoder(source, name, writing, vision, encoder, skipped, perceiver)
    missing = next((key for key in EMBEDDINGS if key not in plain), None)
    if missing is not None:
        raise ModelLoadError(
            f"1 tensor(s) missing: {missing}; without the language model, give --vision-only"
        )
    folder = language_folder(source.folder)
    settings = read_json(folder / "config.json", name) if folder != source.folder else source.config
    config = whole_config(settings, shapes, vision)
    tokenizer = load_tokenizer(folder, name)
    add_image_words(tokenizer, config)
    space = m3d.adds_a_space(folder, name)
    entries = {f"vision_tower.{key}": entry for key, entry in encoder.items()}
    entries |= {f"projector.perceiver.{key}": entry for key, entry in perceiver.items()}
    entries |= language_entries(plain)
    processor = processor_for(config, tokenizer, space=space)
    parts = ModelParts(config, processor, generation_config(tokenizer), entries)
    return write_model(source, name, writing, parts, skipped, trained_on=trained_on)


def vision_config(config: Mapping[str, Any], shapes: Shapes) -> VisionConfig3D:
    """Return the encoder's configuration.

    Parameters
    ----------
    config : mapping
        `config.json` if there is one; its `image_size` and `patch_size` (D, H, W) replace RadFM's.
    shapes : mapping
        Shapes of all tensors by RadFM's names.
    """
    preset = radfm_vision()
    dim, values = _shape(shapes, f"{PATCHES}2.weight")
    patch = tuple(config.get("patch_size") or _patch(values, preset.in_channels))
    if len(patch) != 3 or math.prod(patch) * preset.in_channels != values:
        raise ModelLoadError(
            f"the patch embedding reads {values} values, but patch_size {patch} with "
            f"{preset.in_channels} channels has {math.prod(patch) * preset.in_channels}"
        )
    rows = [_shape(shapes, f"{VIT}pos_embedding.{table}.weight")[0] for table in TABLES]
    # The largest volume that RadFM's code makes, as far as the tables of positions go.
    image = config.get("image_size") or [
        min(size // p, count) * p
        for size, p, count in zip(preset.image_size, patch, rows, strict=True)
    ]
    inner = _shape(shapes, f"{VIT}transformer.layers.0.0.fn.to_qkv.weight")[0] // 3
    hidden = _shape(shapes, f"{VIT}transformer.layers.0.1.fn.net.0.weight")[0]
    settings = preset.to_dict() | {
        "image_size": tuple(image),
        "patch_size": patch,
        "hidden_size": dim,
        "num_hidden_layers": m3d.count_layers(shapes, f"{VIT}transformer.layers."),
        "num_attention_heads": HEADS,
        "head_dim": inner // HEADS,
        "mlp_ratio": (hidden + 0.5) / dim,  # rounded down again
    }
    del settings["model_type"]
    try:
        vision = VisionConfig3D(**settings)
    except (TypeError, ValueError) as error:
        raise ModelLoadError(f"encoder's settings: {' '.join(str(error).split())}") from error
    for count, positions in zip(vision.grid, rows, strict=True):
        if count > positions:
            raise ModelLoadError(
                f"image_size {tuple(image)} has {count} patches along an axis, but the encoder "
                f"knows {positions} positions; give a smaller image_size in config.json"
            )
    return vision


def encoder_entries(plain: Mapping[str, Entry], vision: VisionConfig3D) -> dict[str, Entry]:
    """Return the encoder's tensors by our names, without prefix."""
    ours: dict[str, Entry] = {}
    for key, entry in plain.items():
        name = key_maps.map_key(key, key_maps.RADFM_VIT)
        if name is None:
            continue
        channels, patch = vision.in_channels, tuple(vision.patch_size)
        if name == key_maps.PATCH_WEIGHT:
            shape = (entry.shape[0], channels, *patch)
            read = partial(_patch_weight, entry, channels, patch)
            ours[name] = replace(entry, shape=shape, read=read)
        elif name.startswith("patch_embed.norm_patch."):
            ours[name] = replace(entry, read=partial(_patch_norm, entry, channels, patch))
        else:
            ours[name] = entry
    tables = {name: plain[f"{VIT}pos_embedding.{name}.weight"] for name in TABLES}
    channels = sum(table.shape[1] for table in tables.values())
    if channels != vision.hidden_size:
        raise ModelLoadError(
            f"the positions have {channels} channels, but the encoder {vision.hidden_size}"
        )
    ours["pos_embed"] = replace(
        tables["row_embed"],
        shape=(1, math.prod(vision.grid), channels),
        read=partial(_positions, tables, vision.grid),
    )
    return ours


def perceiver_entries(plain: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the resampler's tensors by our names, without prefix."""
    named = {key_maps.map_key(key, key_maps.RADFM_PERCEIVER): entry for key, entry in plain.items()}
    return {name: entry for name, entry in named.items() if name is not None}


def language_entries(plain: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the language model's tensors by our names, with rows for the three image words.

    The first two are RadFM's; image tokens stand where the third does. The head has no rows for
    them: with zeros a word gets the logit 0, far below that of any likely word.
    """
    ours = {}
    for key, entry in plain.items():
        name = key_maps.map_key(key.removeprefix(LANGUAGE), key_maps.LLM)
        if key.startswith(LANGUAGE) and name is not None:
            ours[name] = entry
    words, figures = (plain[key] for key in EMBEDDINGS)
    count, dim = words.shape
    shape = (count + len(IMAGE_WORDS), dim)
    for name, parts in (
        ("language_model.model.embed_tokens.weight", (words, figures)),
        ("language_model.lm_head.weight", (ours["language_model.lm_head.weight"],)),
    ):
        read = partial(_padded, parts, shape[0])
        ours[name] = replace(parts[0], shape=shape, read=read)
    return ours


def whole_config(
    config: Mapping[str, Any], shapes: Shapes, vision: VisionConfig3D
) -> VolumeLanguageConfig:
    """Return the configuration of the whole RadFM; `config` is its language model's."""
    text = {k.removeprefix(LANGUAGE): s for k, s in shapes.items() if k.startswith(LANGUAGE)}
    words, dim = _shape(shapes, EMBEDDINGS[0])
    text["model.embed_tokens.weight"] = (words + len(IMAGE_WORDS), dim)
    settings = {
        "num_attention_heads": max(dim // 128, 1),
        "rms_norm_eps": 1e-6,
        **config,
    }  # LLaMA-13B's
    _shape(shapes, "embedding_layer.perceiver.layers.0.0.to_q.weight")
    latents = {
        name: _shape(shapes, theirs)
        for theirs in shapes
        if (name := key_maps.map_key(theirs, key_maps.RADFM_PERCEIVER)) is not None
    }
    return VolumeLanguageConfig(
        vision_config=vision,
        text_config=m3d.text_config(settings, text),
        perceiver="resampler",
        perceiver_kernel=1,
        **resampler_sizes(latents),
        image_token_id=words + IMAGE_WORDS.index("<image0>"),
    )


def add_image_words(tokenizer: PreTrainedTokenizerBase, config: VolumeLanguageConfig) -> None:
    """Add RadFM's image words to its tokenizer, as its code does on every start.

    Raises
    ------
    ModelLoadError
        If they do not get the ids that the embeddings have.
    """
    tokenizer.add_special_tokens({"additional_special_tokens": list(IMAGE_WORDS)})
    found = [int(i) for i in tokenizer.convert_tokens_to_ids(list(IMAGE_WORDS))]
    first = config.image_token_id - IMAGE_WORDS.index("<image0>")
    if found != [first + i for i in range(len(IMAGE_WORDS))]:
        raise ModelLoadError(
            f"its tokenizer gives {', '.join(IMAGE_WORDS)} the ids {found}, but the embeddings "
            f"have them from {first} on; copy tokenizer and weights of the same release"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token


def processor_for(
    config: VolumeLanguageConfig, tokenizer: Any, *, space: bool = False
) -> VolumeLanguageProcessor:
    """Return RadFM's preparation and prompt: image words, 32 image tokens, question.

    Its training scales a CT by its own minimum and maximum. space: see `m3d.adds_a_space`.
    """
    vision = config.vision_config
    return VolumeLanguageProcessor(
        tokenizer,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        num_image_tokens=config.perceiver_latents,
        preparation="minmax",
        image_token="<image0>",  # noqa: S106  a word of the vocabulary
        prompt=f"<image>{{image}}</image>{' ' if space else ''}{{question}}",
        answer_prefix=" ",
        report_questions={"report": REPORT_QUESTION},
        max_new_tokens=MAX_NEW_TOKENS,
    )


def generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Return the settings of generation: the tokenizer's end tokens, greedy."""
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
    )


def language_folder(folder: Path) -> Path:
    """Return the folder with the language model's configuration and tokenizer."""
    beside = folder / LANGUAGE_FILES
    return beside if beside.is_dir() else folder


def used(keys: Iterable[str]) -> dict[str, bool]:
    """Return for each tensor whether the network uses it.

    Raises
    ------
    ModelLoadError
        With the keys that RadFM does not have.
    """
    # Llama's rotary table, which older versions of transformers stored, is computed.
    wanted = [key for key in keys if not key.endswith("rotary_emb.inv_freq")]
    _, left_out = key_maps.map_keys(wanted, key_maps.RADFM, key_maps.SKIPPED["radfm"])
    unused = set(left_out).union(set(keys).difference(wanted))
    return {key: key not in unused for key in keys}


def _patch(values: int, channels: int) -> Size3D:
    """Return the patch (D, H, W): RadFM's 4x32x32, or a square one of another size."""
    depth = radfm_vision().patch_size[0]
    side = math.isqrt(values // (channels * depth))
    if side * side * depth * channels != values:
        raise ModelLoadError(
            f"the patch embedding reads {values} values, which is no square patch of {depth} "
            "slices; give patch_size in config.json"
        )
    return (depth, side, side)


def _patch_weight(entry: Entry, channels: int, patch: Sequence[int]) -> Tensor:
    """[C, ph*pw*pd*c] -> [C, c, pd, ph, pw]."""
    d, h, w = patch
    return entry.read().reshape(-1, h, w, d, channels).permute(0, 4, 3, 1, 2)


def _patch_norm(entry: Entry, channels: int, patch: Sequence[int]) -> Tensor:
    """[ph*pw*pd*c] -> [c*pd*ph*pw]."""
    d, h, w = patch
    return entry.read().reshape(h, w, d, channels).permute(3, 2, 0, 1).flatten()


def _positions(tables: Mapping[str, Entry], grid: Sequence[int]) -> Tensor:
    """Return the embedding of every patch, [1, d*h*w, C]: row, column and slice side by side.

    A grid smaller than a table takes every k-th of its rows (`PositionEmbeddingLearned3d`).
    """
    parts = []
    for name in ("row_embed", "col_embed", "dep_embed"):
        table, axis = tables[name].read(), TABLES[name]
        count = grid[axis]
        taken = table[(torch.arange(count) + 1) * (len(table) // count) - 1]
        shape = [1, 1, 1, table.shape[1]]
        shape[axis] = count
        parts.append(taken.reshape(shape).expand(*grid, -1))
    return torch.cat(parts, dim=-1).reshape(1, math.prod(grid), -1)


def _padded(parts: Sequence[Entry], count: int) -> Tensor:
    rows = torch.cat([part.read() for part in parts])
    return torch.cat([rows, rows.new_zeros(count - len(rows), rows.shape[1])])


def _shape(shapes: Shapes, key: str) -> tuple[int, ...]:
    if key not in shapes:
        raise ModelLoadError(f"1 tensor(s) missing: {key}")
    return shapes[key]
