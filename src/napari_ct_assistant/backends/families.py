"""The families of models that can be read with. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from napari_ct_assistant.backends.astra.family import ASTRA
from napari_ct_assistant.backends.colipri.family import COLIPRI
from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.i3resnet.family import I3RESNET
from napari_ct_assistant.backends.nv_reason_ct.family import NV_REASON_CT
from napari_ct_assistant.backends.probe.folder import PROBE
from napari_ct_assistant.backends.rev_ct.family import REV_CT
from napari_ct_assistant.backends.slice_model.family import SLICE_MODELS
from napari_ct_assistant.backends.volume_language.family import VOLUME_LANGUAGE

FAMILIES: Final[tuple[Family, ...]] = (
    VOLUME_LANGUAGE,
    NV_REASON_CT,
    SLICE_MODELS,
    COLIPRI,
    PROBE,
    REV_CT,
    I3RESNET,
    ASTRA,
)


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Return the family of the model that a `config.json` describes; None for other models."""
    return next((family for family in FAMILIES if family.matches(config)), None)
