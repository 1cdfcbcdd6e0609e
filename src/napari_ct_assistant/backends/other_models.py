"""What is stated of a folder that holds another kind of model. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from napari_ct_assistant.backends.slice_model.sizes import MODEL_TYPES
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

_TEXT_HEADS: Final = ("ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForSeq2SeqLM")


def refuse_other_model(config: Mapping[str, Any], name: str) -> None:
    """Refuse a model of a kind that no family reads; do nothing where the kind is not known.

    Parameters
    ----------
    config
        Content of `config.json`, of no known family.
    name : str
        Of the model, for the error.

    Raises
    ------
    ModelLoadError
        If it asks for its own code, reads videos or text only, or is an image-text model of
        another architecture.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or "mm_projector_type" in config:
        return
    named = config.get("architectures")
    heads = [str(head) for head in named] if isinstance(named, list) else []
    way_out = f"use an image-text model of transformers ({', '.join(MODEL_TYPES)})"
    if config.get("auto_map"):
        raise ModelLoadError(
            said(
                "{name}: config.json asks to run the folder's own code (auto_map), which is "
                "never run; {way_out}",
                name=name,
                way_out=way_out,
            )
        )
    if "video" in f"{kind} {' '.join(heads)}".lower():
        raise ModelLoadError(
            said(
                "{name}: a video model ({kind}), which takes slices for moments in time; {way_out}",
                name=name,
                kind=kind,
                way_out=way_out,
            )
        )
    images = isinstance(config.get("vision_config"), Mapping)
    if images and isinstance(config.get("text_config"), Mapping):
        raise ModelLoadError(
            said(
                "{name}: an image-text model of another architecture ({kind}); {way_out}",
                name=name,
                kind=kind,
                way_out=way_out,
            )
        )
    if not images and any(head.endswith(_TEXT_HEADS) for head in heads):
        raise ModelLoadError(
            said(
                "{name}: a text-only model ({kind}), which sees no images; {way_out}",
                name=name,
                kind=kind,
                way_out=way_out,
            )
        )
