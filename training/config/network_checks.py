"""Check what only the network itself can tell about a recipe: sizes, names, the prompt.

The network is built without weights (torch's meta device), which is fast at any size.
"""

from __future__ import annotations

import sys
from typing import Any, get_type_hints

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import TypeAdapter, ValidationError

from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.model.mae import MaskedAutoencoder3D
from napari_ct_assistant.model.perceivers import PERCEIVERS
from napari_ct_assistant.model.processor import check_prompt
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.training.config.encoders import PRESETS
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe

CHAT = "chat"  # as the prompt: take the language model's own chat template


class WrongValueError(CTAssistantError, ValueError):
    """A value that the network cannot have; `keys` is its path in the recipe."""

    def __init__(self, keys: tuple[str, ...], message: str):
        super().__init__(message)
        self.keys = keys


def check(recipe: Recipe) -> None:
    """Refuse a recipe whose network cannot be built, before any data is read.

    Raises
    ------
    WrongValueError
    """
    _check_choices(recipe)
    config = _check_encoder(recipe)
    if config is None:
        return
    if recipe.stage == "mae":
        try:
            with torch.device("meta"):
                MaskedAutoencoder3D(make_encoder(config), **recipe.mae.model_dump())
        except ValueError as error:
            raise WrongValueError(
                ("mae", _named(error, recipe.mae.model_dump())), str(error)
            ) from None
    if recipe.joins:
        perceiver = recipe.perceiver
        if perceiver.concepts_only and not getattr(config, "num_concepts", 0):
            raise WrongValueError(
                ("perceiver", "concepts_only"), "the encoder has no patch-level concepts"
            )
        try:
            with torch.device("meta"):
                PERCEIVERS[perceiver.kind](
                    config.output_size, 8, config.grid, perceiver.kernel, perceiver.bias
                )
        except ValueError as error:
            raise WrongValueError(("perceiver", "kernel"), str(error)) from None


def _check_choices(recipe: Recipe) -> None:
    if recipe.train_encoder and recipe.stage not in ("align", "instruct"):
        raise WrongValueError(
            ("train_encoder",), f"is for stages align and instruct, not {recipe.stage}"
        )
    if recipe.stage == "language" and recipe.validation.share:
        raise WrongValueError(
            ("validation", "share"), "stage language has no patients to hold out; leave it out"
        )
    masked = isinstance(recipe.data, PhantomData) or recipe.data.masks is not None
    if recipe.stage in ("ground", "oracle_maps") and not masked:
        raise WrongValueError(
            ("data",), f"stage {recipe.stage} learns from masks; add data.masks (docs/datasets.md)"
        )
    if recipe.perceiver.kind not in PERCEIVERS:
        raise WrongValueError(
            ("perceiver", "kind"),
            f"{recipe.perceiver.kind!r} is none of {', '.join(PERCEIVERS)}",
        )
    if recipe.prompt != CHAT:
        try:
            check_prompt(recipe.prompt)
        except ValueError as error:
            raise WrongValueError(("prompt",), str(error)) from None


def _check_encoder(recipe: Recipe) -> VisionConfig3D | None:
    """Return the encoder's sizes, None where they come from a folder of weights."""
    choice = recipe.encoder
    if choice is None or choice.preset is None:
        if choice is not None and choice.changes:
            raise WrongValueError(
                ("encoder", "changes"),
                "an encoder with weights (start) keeps its sizes; leave this out",
            )
        return None
    preset = PRESETS[choice.preset]()
    hints = _setting_types(type(preset))
    for key, value in choice.changes.items():
        if key not in hints:
            raise WrongValueError(("encoder", "changes", key), "is no setting of the encoder")
        try:
            TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            message = f"{error.errors()[0]['msg']} (got {value!r})"
            raise WrongValueError(("encoder", "changes", key), message) from None
    try:
        config = type(preset)(**(preset.to_dict() | choice.changes))
        with torch.device("meta"):
            make_encoder(config)
    except (ValueError, TypeError, StrictDataclassError) as error:
        text = " ".join(str(error).split())
        raise WrongValueError(("encoder", "changes", _named(error, choice.changes)), text) from None
    return config


def _setting_types(kind: type[VisionConfig3D]) -> dict[str, Any]:
    """Return the type of each of an encoder's own settings, without those of transformers."""
    hints: dict[str, Any] = {}
    for base in kind.__mro__:
        if issubclass(base, VisionConfig3D):
            own = type("Own", (), {"__annotations__": base.__annotations__})
            hints |= get_type_hints(own, vars(sys.modules[base.__module__]))
    return hints


def _named(error: Exception, settings: dict[str, object]) -> str:
    """Return the setting that an error names first."""
    text = str(error)
    return min((k for k in settings if k in text), key=text.index, default="")
