"""Import Astra's report generator from its checkpoint, and Qwen2.5-VL's tokenizer beside it.

The published file is a pickle of 16 GB; it is opened as tensors only, mapped from the disk, and
written file by file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from napari_ct_assistant.backends.astra.configuration import (
    FORMAT,
    MODEL_TYPE,
    VISION,
    read_config,
    read_shapes,
    text_settings,
)
from napari_ct_assistant.backends.astra.prompts import END, IMAGE_TOKEN
from napari_ct_assistant.backends.i3resnet.importing import settings_for
from napari_ct_assistant.backends.i3resnet.layouts import encoder_keys, unwrapped
from napari_ct_assistant.model.conversion import lora_merge
from napari_ct_assistant.model.conversion.outputs import PROVENANCE, Imported, Writing
from napari_ct_assistant.model.conversion.sources import load_tokenizer
from napari_ct_assistant.model.conversion.tensors import Entry, read_entries
from napari_ct_assistant.model.conversion.writing import new_folder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import compare, refuse_code
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said

LORA_ALPHA: Final = 64.0  # of rank 32, in the release's training
_LAYER: Final = {
    "0.norm_media": "norm_tokens",
    "0.norm_latents": "norm_latents",
    "0.to_q": "query",
    "0.to_kv": "key_value",
    "0.to_out": "projection",
    "1.0": "mlp.0",
    "1.1": "mlp.1",
    "1.3": "mlp.3",
}
_IN_LAYER: Final = re.compile(r"perceiver\.layers\.(\d+)\.(.+)\.(weight|bias)$")
LANGUAGE: Final = "language_model."
CARD: Final = """# {name}

Astra (zzzwzh/Astra_CTRG on the Hugging Face hub): I3ResNet-152, a perceiver and Qwen2.5-7B, in the
format of napari-ct-assistant, imported from `{source}`. {parameters:.2f} billion parameters.

    ct-assistant report SCAN.nii.gz --model FOLDER

Licence: {licence}.

Trained on: {trained_on}.

For research only. It is no medical device; every output has to be reviewed.
"""


def import_astra(
    entries: Mapping[str, Entry],
    base: Path | None,
    name: str,
    writing: Writing,
    *,
    settings: Mapping[str, Any] | None = None,
    trained_on: str = "",
    lora_alpha: float | None = None,
    ignore_code: bool = False,
) -> Imported:
    """Write the folder of a whole model.

    Parameters
    ----------
    entries : mapping of stored name to entry
    base : Path
        A folder of Qwen2.5-VL: its tokenizer and `config.json`, and its language model where the
        checkpoint has none. Its vision tower is not used.
    settings : mapping, optional
        Entries of `config.json` that differ from the release's, `perceiver_heads` among them.
    lora_alpha
        Of adapters that are not merged yet; 64 when absent.

    Raises
    ------
    ModelLoadError
        One line: what is missing, unknown or of the wrong shape.
    """
    if base is None or not base.is_dir():
        raise ModelLoadError(
            said(
                "needs the tokenizer and config.json of Qwen2.5-VL-7B-Instruct; give their "
                "folder with --base"
            )
        )
    if not ignore_code:
        refuse_code(base, base.name)
    changes = dict(settings or {})
    heads = changes.pop("perceiver_heads", 8)
    keys = encoder_keys({key: entry.shape for key, entry in entries.items()})
    ours = {VISION + published: entries[key] for key, published in keys.mapped.items()}
    ours |= {our_name(key): entries[key] for key in keys.others if our_name(key)}
    language, skipped = _language(entries, base, lora_alpha)
    ours |= language
    text = text_settings(read_json(base / "config.json", base.name))
    if text.get("tie_word_embeddings"):
        ours.pop("language_model.lm_head.weight", None)
    chosen = settings_for(keys, changes, name, trained_on)
    config = {
        **chosen.to_json(),
        "model_type": MODEL_TYPE,
        "format_version": FORMAT,
        "perceiver_heads": heads,
        "text_config": text,
    }
    stated = read_config(config, name)
    from napari_ct_assistant.backends.astra.loading import expected_shapes
    from napari_ct_assistant.backends.astra.modeling import AstraModel

    shapes = {key: entry.shape for key, entry in ours.items()}
    with torch.device("meta"):
        network = AstraModel(read_shapes(shapes, stated.heads, name), stated)
    compare(shapes, expected_shapes(network), name)
    tokenizer = load_tokenizer(base, base.name)
    for word in (IMAGE_TOKEN, END):
        if word not in tokenizer.get_vocab():
            raise ModelLoadError(
                said(
                    "the tokenizer of {name} does not have {word}; give Qwen2.5-VL's",
                    name=base.name,
                    word=word,
                )
            )
    parameters = sum(torch.Size(entry.shape).numel() for entry in ours.values())
    needed = sum(
        torch.Size(e.shape).numel() * (writing.dtype or e.dtype).itemsize for e in ours.values()
    )
    with new_folder(writing.out, needed) as part:
        content = json.dumps(config, indent=2) + "\n"
        (part / "config.json").write_text(content, encoding="utf-8")
        tokenizer.save_pretrained(part)
        writing.weights(part, ours)
        card = CARD.format(
            name=writing.out.name,
            source=name,
            parameters=parameters / 1e9,
            licence=chosen.licence or "not stated",
            trained_on=chosen.trained_on or "not stated",
        )
        (part / "README.md").write_text(card, encoding="utf-8")
        record = {
            "source": {"name": name, "revision": None},
            "base": {"name": base.resolve().name, "revision": None},
            "layout": "astra",
            "skipped": sorted(skipped),
        }
        content = json.dumps(record, indent=2) + "\n"
        (part / PROVENANCE).write_text(content, encoding="utf-8")
    return Imported(
        folder=writing.out,
        kind="model",
        layout="astra",
        parameters=parameters,
        bytes=sum(entry.bytes for entry in ours.values()),
        skipped=tuple(skipped),
        adapted=0,
    )


def our_name(key: str) -> str:
    """Return our name of a tensor between encoder and language model; "" for any other."""
    own = unwrapped(key)
    match = _IN_LAYER.match(own)
    if match:
        part = _LAYER.get(match[2])
        return f"projector.perceiver.layers.{match[1]}.{part}.{match[3]}" if part else ""
    if own.startswith("llama_proj."):
        return f"projector.perceiver.projection.{own.removeprefix('llama_proj.')}"
    if own.startswith(("perceiver.latents", "perceiver.norm.", "layer_norm.")):
        return f"projector.{own}"
    return ""


def _language(
    entries: Mapping[str, Entry], base: Path, lora_alpha: float | None
) -> tuple[dict[str, Entry], list[str]]:
    """Return the language model's tensors by our names, and the names of those left out."""
    stored = {
        unwrapped(key).removeprefix(LANGUAGE): entry
        for key, entry in entries.items()
        if unwrapped(key).startswith(LANGUAGE)
    }
    skipped = [key for key in entries if unwrapped(key).startswith("embed_tokens.")]
    if not stored:
        stored = read_entries(base, base.name)
    plain, factors = lora_merge.split_lora(stored)
    found: dict[str, Entry] = {}
    for key, entry in plain.items():
        name = _text_name(key)
        if name:
            found[LANGUAGE + name] = entry
        else:
            skipped.append(LANGUAGE + key)
    pairs = {LANGUAGE + (_text_name(key) or key): pair for key, pair in factors.items()}
    return lora_merge.merge(found, pairs, {}, lora_alpha or LORA_ALPHA), skipped


def _text_name(key: str) -> str:
    """Return Qwen2's name of a tensor of Qwen2.5-VL's; "" for those of its vision tower."""
    if key.startswith(("visual.", "model.visual.")):
        return ""
    return re.sub(r"^model\.language_model\.", "model.", key)
