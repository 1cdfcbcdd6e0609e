"""What a RevCT folder says of its heads, and what it leaves out. Importing it brings no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.backends.colipri.configuration import ORIENTATIONS
from napari_ct_assistant.backends.loading.shapes import Shapes
from napari_ct_assistant.backends.probe.heads import POOLINGS
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.support.translation import said

HEADS_FILE: Final = "heads.json"
PATCHES: Final = "backbone.down_projection.proj.weight"
MODEL_TYPES: Final = re.compile(r"(?i)rev[_-]?ct")
LABEL_KEYS: Final = ("labels", "label_names", "findings", "id2label")


@dataclass(frozen=True)
class HeadLayout:
    """One linear layer for all findings, and what stands behind it.

    Attributes
    ----------
    prefix : str
        Before the names of the encoder's tensors ("image_encoder." in COLIPRI).
    labels : tuple of str
    weight, bias : str
        Names of the head's tensors.
    pooling : str
        What of the encoder's places it reads.
    slope, shift : tuple of float
        Of Platt's calibration; 1 and 0 without one.
    thresholds : tuple of float
    """

    prefix: str
    labels: tuple[str, ...]
    weight: str
    bias: str
    pooling: str
    slope: tuple[float, ...]
    shift: tuple[float, ...]
    thresholds: tuple[float, ...]


def is_rev_ct(config: Mapping[str, Any]) -> bool:
    """Return whether a `config.json` describes RevCT."""
    names = [config.get("model_type"), *_texts(config.get("architectures"))]
    return any(isinstance(one, str) and MODEL_TYPES.match(one) for one in names)


def head_layout(stated: Mapping[str, Any], shapes: Shapes, name: str) -> HeadLayout:
    """Return the layout of a folder's heads.

    Parameters
    ----------
    stated
        Content of `config.json`, with that of `heads.json` in its place where both say something:
        "labels" (or "id2label"), "features" (mean, max, mean_max), "calibration" ("none", or
        {"slope": [...], "shift": [...]}), "thresholds", "preprocessing": {"orientation": ...},
        and "head": {"weight": name, "bias": name} where the tensors do not tell.
    shapes
        Of the tensors.
    name
        Of the model, for errors.

    Raises
    ------
    ModelLoadError
        One line with everything that is missing, and where to say it.
    """
    prefix = next((key.removesuffix(PATCHES) for key in shapes if key.endswith(PATCHES)), None)
    if prefix is None:
        raise ModelLoadError(
            said(
                "{name}: no tensor of COLIPRI's image encoder (*{patches}) in the file, which "
                "RevCT is built on; copy the model again",
                name=name,
                patches=PATCHES,
            )
        )
    missing: list[str] = []
    labels = _labels(stated)
    if not labels:
        missing.append("labels (a list in the head's order)")
    others = {key: shape for key, shape in shapes.items() if not key.startswith(prefix)}
    head = stated.get("head") if isinstance(stated.get("head"), Mapping) else {}
    weight, bias = (_tensor(head, part, others, len(labels)) for part in ("weight", "bias"))
    if not weight or not bias:
        missing.append("head (the names of its weight and bias, of one linear layer)")
    pooling = stated.get("features")
    if pooling not in POOLINGS:
        missing.append(f"features (one of {', '.join(POOLINGS)})")
    calibration = stated.get("calibration")
    slope, shift = _calibration(calibration, len(labels))
    if not slope and labels:
        missing.append('calibration ("none", or slope and shift for each label)')
    thresholds = _numbers(stated.get("thresholds"), labels)
    if not thresholds and labels:
        missing.append("thresholds (one for each label)")
    preparation = stated.get("preprocessing")
    orientation = preparation.get("orientation") if isinstance(preparation, Mapping) else None
    if orientation not in ORIENTATIONS:
        missing.append("preprocessing.orientation (RAS or SAR)")
    if missing:
        raise ModelLoadError(
            said(
                "{name}: its head is unknown; missing: {list}. Say it in {heads_file} beside "
                "config.json. Tensors beside the encoder: {value}",
                name=name,
                list="; ".join(missing),
                heads_file=HEADS_FILE,
                value=listing(sorted(others), 4) or "none",
            )
        )
    assert isinstance(pooling, str)  # noqa: S101  one of POOLINGS
    return HeadLayout(prefix, labels, weight, bias, pooling, slope, shift, thresholds)


def _labels(stated: Mapping[str, Any]) -> tuple[str, ...]:
    for key in LABEL_KEYS:
        found = stated.get(key)
        if isinstance(found, Mapping):  # {"0": "Medical material", ...}
            order = sorted(found, key=lambda number: int(number) if str(number).isdigit() else -1)
            found = [found[number] for number in order]
        texts = _texts(found)
        if texts and texts == found and len(set(texts)) == len(texts):
            return tuple(texts)
    return ()


def _tensor(head: Any, part: str, others: Shapes, labels: int) -> str:
    """Return the tensor that is named, or the only one of its shape; "" without one."""
    named = head.get(part)
    if isinstance(named, str):
        return named if named in others else ""
    axes = 2 if part == "weight" else 1
    fits = [key for key, shape in others.items() if len(shape) == axes and shape[0] == labels]
    own = [key for key in fits if key.endswith(f".{part}")]
    return own[0] if labels and len(own) == 1 and len(fits) == 1 else ""


def _calibration(stated: Any, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if stated == "none":
        return (1.0,) * count, (0.0,) * count
    if not isinstance(stated, Mapping):
        return (), ()
    slope, shift = (_numbers(stated.get(key), ("",) * count) for key in ("slope", "shift"))
    return (slope, shift) if slope and shift else ((), ())


def _numbers(stated: Any, labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return a number for each label, from a list or {label: number}; () for anything else."""
    if isinstance(stated, Mapping):
        stated = [stated.get(label) for label in labels]
    fits = isinstance(stated, list) and len(stated) == len(labels)
    if not fits or not all(type(one) in (int, float) for one in stated):
        return ()
    return tuple(float(one) for one in stated)


def _texts(stated: Any) -> list[str]:
    return [one for one in stated if isinstance(one, str)] if isinstance(stated, list) else []
