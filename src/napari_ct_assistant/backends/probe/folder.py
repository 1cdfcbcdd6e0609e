"""The folder of heads: `config.json`, the numbers, and the encoder in `encoder/`.

Importing it brings no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.family import Family
from napari_ct_assistant.backends.i3resnet.family import ACTIVATIONS
from napari_ct_assistant.backends.i3resnet.folder import is_i3resnet
from napari_ct_assistant.backends.loading.sizes import Counts, header_shapes
from napari_ct_assistant.backends.probe.heads import POOLINGS
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import Verbatim, said

MODEL_TYPE: Final = "ct_probe"
FORMAT_VERSION: Final = 1
ENCODER: Final = "encoder"
NOTICE: Final = "Not evaluated clinically. Not for clinical use."
MOST_LABELS: Final = 10_000


def is_probe(config: Mapping[str, Any]) -> bool:
    """Return whether a `config.json` describes heads."""
    return config.get("model_type") == MODEL_TYPE


def labels_and_pooling(config: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], str]:
    """Return the findings and the pooling of a folder.

    Raises
    ------
    ModelLoadError
        If they are missing or no such thing.
    """
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelLoadError(
            said(
                "{name}: config.json says format_version {version}; this version reads "
                "{format_version}",
                name=name,
                version=Verbatim(str(version)[:20]),
                format_version=FORMAT_VERSION,
            )
        )
    labels = config.get("labels")
    if (
        not isinstance(labels, list)
        or not 0 < len(labels) <= MOST_LABELS
        or not all(isinstance(one, str) and one.strip() for one in labels)
    ):
        raise ModelLoadError(
            said("{name}: config.json has no list of labels; train the heads again", name=name)
        )
    if len(set(labels)) != len(labels):
        raise ModelLoadError(
            said("{name}: config.json names a label twice; train the heads again", name=name)
        )
    pooling = config.get("pooling")
    if pooling not in POOLINGS:
        raise ModelLoadError(
            said(
                "{name}: config.json says pooling {pooling}; expected one of {list}",
                name=name,
                pooling=repr(str(pooling)[:20]),
                list=", ".join(POOLINGS),
            )
        )
    return tuple(labels), pooling


def count_folder(folder: Path) -> tuple[Counts, int] | None:
    """Return the values of heads and encoder, and the encoder's tokens; None for a broken one."""
    try:
        shapes = header_shapes(folder / ENCODER)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        values = sum(math.prod(shape) for shape in shapes.values())
        width, tokens = (int(config["encoder"][key]) for key in ("width", "tokens"))
        encoder = json.loads((folder / ENCODER / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if is_i3resnet(encoder):
        return Counts(values, linear=0, cached=ACTIVATIONS, copies=1), 1
    return (Counts(values, linear=0, cached=10 * width, copies=1), tokens) if shapes else None


def _about(config: Mapping[str, Any]) -> tuple[str, str]:
    return str(config.get("trained_on", "")), str(config.get("notice", NOTICE))


PROBE: Final = Family(
    name="heads on a frozen encoder",
    module="napari_ct_assistant.backends.probe.loading",
    matches=is_probe,
    about=_about,
    count=count_folder,
    writes_text=False,
)
