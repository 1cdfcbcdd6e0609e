"""Convert a released checkpoint into a model folder.

Pipeline: files -> entries (named tensors, not yet read) -> adapters merged -> our names -> compared
with the network that the configuration describes -> written file by file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.conversion import lora_merge, m3d, radfm
from napari_ct_assistant.model.conversion.outputs import (
    Imported,
    ModelParts,
    Writing,
    write_encoder,
    write_model,
)
from napari_ct_assistant.model.conversion.sources import (
    Source,
    load_tokenizer,
    open_source,
    our_name,
    to_ours,
)
from napari_ct_assistant.model.conversion.tensors import Entry, forget
from napari_ct_assistant.model.conversion.writing import SHARD_BYTES, Progress
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import refuse_code
from napari_ct_assistant.model.format import FORMAT_VERSION
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.settings import read_json


def import_model(
    source: str | Path,
    out: str | Path,
    *,
    base: str | Path | None = None,
    dtype: torch.dtype | None = None,
    lora_alpha: float | None = None,
    trained_on: str = "",
    ignore_code: bool = False,
    vision_only: bool = False,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Imported:
    """Convert a released checkpoint into a model folder.

    Parameters
    ----------
    source
        A folder with the layout of M3D-LaMed, M3D-CLIP, M3D-CLIP's ViT or RadFM, a PEFT adapter, or
        part of one of our models (perceiver, adapter); or the one weight file of an encoder.
    out
        The folder to write.
    base
        The model that an adapter or a part belongs to: one of our folders, one with M3D-LaMed's
        layout, or the language model.
    dtype
        Of the written weights; as stored when absent.
    lora_alpha
        LoRA's alpha where there is no adapter_config.json; M3D's 32 when absent.
    trained_on
        What the weights have seen, to be shown beside what the model says.
    ignore_code
        Read the weights of a folder whose settings ask to run code. The code is not run.
    vision_only
        Of RadFM: write only its encoder and its perceiver, from which training starts.
    shard_bytes
        Size of the largest file to write; an import needs about as much memory.
    progress
        Called with a file's name, bytes done and bytes in total.

    Raises
    ------
    ModelLoadError
        One line: which folder, what is wrong, what to do.
    """
    # Not the folders above it, which may name a person.
    name, base_name = (Path(path).expanduser().resolve().name for path in (source, base or ""))
    writing = Writing(Path(out).expanduser(), dtype, shard_bytes, progress)
    try:
        own = open_source(Path(source).expanduser(), name, ignore_code=ignore_code)
        under = (
            None
            if base is None
            else open_source(Path(base).expanduser(), base_name, ignore_code=ignore_code)
        )
        if own.layout == "radfm":
            return radfm.import_radfm(own, name, writing, trained_on, vision_only=vision_only)
        if under is None and own.layout in {"m3d_clip", "vit"}:
            return _import_encoder(own, name, writing)
        return _import_whole(own, under, name, writing, lora_alpha, trained_on)
    except ModelLoadError as error:
        text = str(error)
        known = text.startswith((name, Path(out).name, *([base_name] if base else [])))
        raise ModelLoadError(text if known else f"{name}: {text}") from error.__cause__
    finally:
        forget()


def _import_encoder(source: Source, name: str, writing: Writing) -> Imported:
    """Write M3D-CLIP's ViT as the folder of a `VisionTransformer3D`, from which training starts."""
    prefix = "vision_encoder." if source.layout == "m3d_clip" else ""
    shapes = {k.removeprefix(prefix): s for k, s in source.shapes.items() if k.startswith(prefix)}
    config = m3d.vision_config(source.config, shapes)
    ours, skipped = to_ours(source, config)
    return write_encoder(source, name, writing, config, ours, skipped)


def _import_whole(
    source: Source,
    base: Source | None,
    name: str,
    writing: Writing,
    lora_alpha: float | None,
    trained_on: str,
) -> Imported:
    """Write a whole model: encoder, perceiver, language model and processor."""
    sources = [s for s in (source, base) if s is not None]
    ours_type = VolumeLanguageConfig.model_type
    finished = next((s for s in sources if s.config.get("model_type") == ours_type), None)
    whole = next((s for s in sources if s.layout == "m3d_lamed" and s.config), None)
    if finished is not None:
        config = _our_config(finished)
        processor = _our_processor(source, base)
        generation = _our_generation(finished, config, name)
    elif whole is None:
        raise ModelLoadError(_why_not(source, base))
    else:
        tokenizer = load_tokenizer(whole.folder, name)
        image = tokenizer.convert_tokens_to_ids(m3d.IMAGE_WORD)
        if image is None or image == tokenizer.unk_token_id:
            raise ModelLoadError(
                f"its tokenizer has no {m3d.IMAGE_WORD}, which M3D's prompt needs; copy the "
                "tokenizer of the release into the folder"
            )
        config = m3d.lamed_config(whole.config, whole.shapes, int(image))
        space = m3d.adds_a_space(whole.folder, name)
        processor = m3d.processor_for(config, tokenizer, space=space)
        generation = m3d.generation_config(whole.folder, config, name)
    ours: dict[str, Entry] = {}
    factors: dict[str, dict[str, Entry]] = {}
    skipped: list[str] = []
    adapter: dict[str, Any] = {}
    for part_of in reversed(sources):  # the base first: the source's tensors replace them
        entries, left_out = to_ours(part_of, config.vision_config)
        ours |= entries
        skipped += left_out
        if part_of.factors:
            if factors:
                raise ModelLoadError("the folder and its base have adapters; merge the base first")
            factors = {our_name(key): pair for key, pair in part_of.factors.items()}
            file = part_of.folder / "adapter_config.json"
            adapter = read_json(file, name) if file.is_file() else {}
    ours = lora_merge.merge(ours, factors, adapter, lora_alpha)
    parts = ModelParts(config, processor, generation, ours)
    return write_model(
        source,
        name,
        writing,
        parts,
        skipped,
        base=base,
        adapted=len(factors),
        trained_on=trained_on,
    )


def _our_processor(*sources: Source | None) -> VolumeLanguageProcessor:
    """Return the processor of the source or its base."""
    for source in filter(None, sources):
        if (source.folder / "processor_config.json").is_file():
            refuse_code(source.folder, source.folder.name)
            processor: VolumeLanguageProcessor = VolumeLanguageProcessor.from_pretrained(
                source.folder, local_files_only=True
            )
            return processor
    raise ModelLoadError("no processor_config.json in the folder or in its base")


def _our_config(source: Source) -> VolumeLanguageConfig:
    version = source.config.get("format_version", 1)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelLoadError(
            f"config.json says format_version {version!r}, this version of napari-ct-assistant "
            f"reads up to {FORMAT_VERSION}; update it"
        )
    try:
        config: VolumeLanguageConfig = VolumeLanguageConfig.from_dict(source.config)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelLoadError(f"config.json: {' '.join(str(error).split())[:200]}") from error
    return config


def _our_generation(source: Source, config: VolumeLanguageConfig, name: str) -> GenerationConfig:
    file = source.folder / "generation_config.json"
    if file.is_file():
        return GenerationConfig(**read_json(file, name))
    return m3d.generation_config(source.folder, config, name)


def _why_not(source: Source, base: Source | None) -> str:
    if source.factors and base is None:
        return "is an adapter; give the model that it belongs to with --base"
    if source.layout == "ours":
        return "is part of a model, but neither it nor its base has a config.json of ours"
    if source.layout == "m3d_lamed":
        return "has no config.json; copy the whole folder"
    kind = source.config.get("model_type")
    return (
        f"is not a model that can be imported (model_type {kind!r}); supported are M3D-LaMed, "
        "M3D-CLIP, RadFM, adapters of M3D's and our own folders"
    )
