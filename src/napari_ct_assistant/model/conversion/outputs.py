"""The two results of an import: the folder of a whole model, or of an encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.conversion.model_card import write_card
from napari_ct_assistant.model.conversion.sources import Source, origin
from napari_ct_assistant.model.conversion.tensors import Entry
from napari_ct_assistant.model.conversion.writing import Progress, new_folder, write_weights
from napari_ct_assistant.model.encoders import PERCEIVER
from napari_ct_assistant.model.folder import check_tensors, compare
from napari_ct_assistant.model.format import FORMAT_VERSION
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.model.vit import VisionTransformer3D

PROVENANCE = "imported.json"


@dataclass(frozen=True)
class Writing:
    """How the weights are written: see `importing.import_model`."""

    out: Path
    dtype: torch.dtype | None
    shard_bytes: int
    progress: Progress | None

    def weights(self, folder: Path, entries: Mapping[str, Entry]) -> None:
        """Write tensors by our names."""
        write_weights(
            folder,
            entries,
            dtype=self.dtype,
            shard_bytes=self.shard_bytes,
            progress=self.progress,
        )


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Attributes
    ----------
    folder : Path
    kind : "model" or "encoder"
    layout : str
        Whose tensor names the source has: "m3d_lamed", "m3d_clip", "vit", "radfm", "ours" or
        "adapter".
    parameters : int
    bytes : int
        Of the tensors, as stored in the source.
    skipped : tuple of str
        Tensors that were left out because the network does not use them.
    adapted : int
        Number of weights with a merged adapter.
    """

    folder: Path
    kind: str
    layout: str
    parameters: int
    bytes: int
    skipped: tuple[str, ...]
    adapted: int


@dataclass(frozen=True)
class ModelParts:
    """All that a whole model consists of; the tensors have our names."""

    config: VolumeLanguageConfig
    processor: VolumeLanguageProcessor
    generation: GenerationConfig
    entries: dict[str, Entry]


def write_encoder(
    source: Source,
    name: str,
    writing: Writing,
    config: VisionConfig3D,
    entries: Mapping[str, Entry],
    skipped: Sequence[str],
    perceiver: Mapping[str, Entry] | None = None,
) -> Imported:
    """Write the folder of a `VisionTransformer3D`, from which training starts.

    Parameters
    ----------
    perceiver : mapping, optional
        A perceiver's tensors, without prefix, to be kept beside the encoder's.
    """
    perceiver = perceiver or {}
    with torch.device("meta"):
        expected = {k: tuple(t.shape) for k, t in VisionTransformer3D(config).state_dict().items()}
    compare({key: entry.shape for key, entry in entries.items()}, expected, name)
    both = {**entries, **{f"perceiver.{key}": entry for key, entry in perceiver.items()}}
    with new_folder(writing.out, _bytes(both, writing.dtype)) as part:
        config.architectures = ["VisionTransformer3D"]
        config.save_pretrained(part)
        writing.weights(part, entries)
        if perceiver:
            tensors = {k: e.read().to(writing.dtype or e.dtype) for k, e in perceiver.items()}
            copied = {key: tensor.clone().contiguous() for key, tensor in tensors.items()}
            save_file(copied, part / PERCEIVER, metadata={"format": "pt"})
        _write_provenance(part, source, None, skipped, 0)
    return _imported(writing.out, "encoder", source, both, skipped, 0)


def write_model(
    source: Source,
    name: str,
    writing: Writing,
    parts: ModelParts,
    skipped: Sequence[str],
    *,
    base: Source | None = None,
    adapted: int = 0,
    trained_on: str = "",
) -> Imported:
    """Write the folder of a whole model, after its tensors are compared with its network."""
    config, entries = parts.config, dict(parts.entries)
    if config.tie_word_embeddings:
        entries.pop("language_model.lm_head.weight", None)
    check_tensors({key: entry.shape for key, entry in entries.items()}, config, name)
    config.trained_on = trained_on or config.trained_on
    config.format_version = FORMAT_VERSION
    config.architectures = ["VolumeLanguageModel"]
    stored = {entry.dtype for entry in entries.values() if entry.dtype.is_floating_point}
    config.dtype = writing.dtype or (stored.pop() if len(stored) == 1 else torch.float32)
    with new_folder(writing.out, _bytes(entries, writing.dtype)) as part:
        config.save_pretrained(part)
        parts.generation.save_pretrained(part)
        parts.processor.save_pretrained(part)
        writing.weights(part, entries)
        parameters = sum(torch.Size(entry.shape).numel() for entry in entries.values())
        write_card(part, config, writing.out.name, source.folder.name, parameters)
        _write_provenance(part, source, base, skipped, adapted)
    return _imported(writing.out, "model", source, entries, skipped, adapted)


def _bytes(entries: Mapping[str, Entry], dtype: torch.dtype | None) -> int:
    if dtype is None:
        return sum(entry.bytes for entry in entries.values())
    return sum(torch.Size(entry.shape).numel() * dtype.itemsize for entry in entries.values())


def _imported(
    out: Path,
    kind: str,
    source: Source,
    entries: Mapping[str, Entry],
    skipped: Sequence[str],
    adapted: int,
) -> Imported:
    return Imported(
        folder=out,
        kind=kind,
        layout=source.layout or "adapter",
        parameters=sum(torch.Size(entry.shape).numel() for entry in entries.values()),
        bytes=sum(entry.bytes for entry in entries.values()),
        skipped=tuple(skipped),
        adapted=adapted,
    )


def _write_provenance(
    folder: Path, source: Source, base: Source | None, skipped: Sequence[str], adapted: int
) -> None:
    """Record where the weights came from: folders by name, without their paths."""
    content = {
        "source": origin(source.folder),
        "base": None if base is None else origin(base.folder),
        "layout": source.layout,
        "skipped": list(skipped),
        "merged_adapters": adapted,
    }
    (folder / PROVENANCE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
