"""Import COLIPRI from its published file: the weights alone, with the vocabulary beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from napari_ct_assistant.backends.colipri.configuration import (
    IMAGE,
    INPUT_SIZE,
    MODEL_TYPE,
    NUM_HEADS,
    SPACING,
    TEMPERATURE,
    TEXT,
    UNUSED,
    colipri_sizes,
)
from napari_ct_assistant.backends.colipri.family import NOTICE, TEXT_FILES, TRAINED_ON
from napari_ct_assistant.backends.colipri.network import Colipri
from napari_ct_assistant.backends.colipri.words import load_words
from napari_ct_assistant.backends.loading.shapes import Shapes, check_shapes
from napari_ct_assistant.model.conversion.outputs import PROVENANCE, Imported, Writing
from napari_ct_assistant.model.conversion.tensors import Entry
from napari_ct_assistant.model.conversion.writing import new_folder
from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said

SETTINGS: Final = ("orientation", "revision", "spacing", "input_size", "num_heads")
CARD: Final = """# {name}

COLIPRI ({source}), an encoder of chest CT and text with {parameters:.1f} million parameters,
imported for napari-ct-assistant. It ranks findings and writes no text.

Licence: MIT. Trained on: {trained_on}. Input: {orientation}, pinned to revision {revision}.

{notice}
"""


def has_colipri(shapes: Shapes) -> bool:
    """Return whether tensors are COLIPRI's, under their published names."""
    return f"{IMAGE}backbone.down_projection.proj.weight" in shapes


def import_colipri(
    entries: Mapping[str, Entry],
    source: Path,
    name: str,
    writing: Writing,
    *,
    settings: Mapping[str, Any] | None = None,
    trained_on: str = "",
) -> Imported:
    """Write a COLIPRI folder.

    Parameters
    ----------
    entries : mapping of stored name to entry
    source : Path
        The weight file, or its folder; a vocabulary that lies there is copied.
    name : str
        Of the model, for errors.
    settings : mapping, optional
        "orientation" (RAS when absent, as the package since 0.1.2), "revision" of the hub,
        "spacing", "input_size" and "num_heads", where they differ from the release's.
    trained_on : str
        Instead of what the release says.

    Raises
    ------
    ModelLoadError
        One line: what is unknown or missing.
    """
    stated = dict(settings or {})
    if unknown := sorted(set(stated) - set(SETTINGS)):
        raise ModelLoadError(
            said(
                "{name}: --set {unknown} is no setting of COLIPRI; give one of {list}",
                name=name,
                unknown=unknown[0],
                list=", ".join(SETTINGS),
            )
        )
    folder = source if source.is_dir() else source.parent
    revision = str(stated.get("revision", _revision(folder)))
    heads = stated.get("num_heads", NUM_HEADS)
    config: dict[str, Any] = {
        "model_type": MODEL_TYPE,
        "image_encoder": {"num_heads": heads, "pooler_heads": heads},
        "text_encoder": {"num_heads": heads, "pooler_heads": heads},
        "preprocessing": {
            "orientation": stated.get("orientation", "RAS"),
            "spacing": stated.get("spacing", SPACING),
            "input_size": stated.get("input_size", INPUT_SIZE),
        },
        "revision": revision,
    }
    ours = {
        key: entry
        for key, entry in entries.items()
        if key.startswith((IMAGE, TEXT)) or key == TEMPERATURE
    }
    skipped = tuple(sorted(set(entries) - set(ours) | (set(UNUSED) & set(ours))))
    ours = {key: entry for key, entry in ours.items() if key not in UNUSED}
    shapes = {key: entry.shape for key, entry in ours.items()}
    if others := sorted(set(skipped) - set(UNUSED)):
        raise ModelLoadError(
            said(
                "{name}: {count} tensor(s) unknown: {listing}; not the published file",
                name=name,
                count=len(others),
                listing=listing(others, 4),
            )
        )
    sizes = colipri_sizes(config, shapes, name)
    with torch.device("meta"):
        expected = {key: tuple(t.shape) for key, t in Colipri(sizes).state_dict().items()}
    check_shapes(shapes, expected, name)
    if sizes.text is not None:
        load_words(folder, sizes.text, name)  # a wrong vocabulary is an error here already
    parameters = sum(torch.Size(entry.shape).numel() for entry in ours.values())
    needed = sum(
        torch.Size(e.shape).numel() * (writing.dtype or e.dtype).itemsize for e in ours.values()
    )
    with new_folder(writing.out, needed) as part:
        _write(part / "config.json", config)
        _copy_words(folder, part, name)
        writing.weights(part, ours)
        card = CARD.format(
            name=writing.out.name,
            source=name,
            parameters=parameters / 1e6,
            trained_on=trained_on or TRAINED_ON,
            orientation=config["preprocessing"]["orientation"],
            revision=revision,
            notice=NOTICE,
        )
        (part / "README.md").write_text(card, encoding="utf-8")
        _write(
            part / PROVENANCE,
            {
                "source": {"name": name, "revision": revision},
                "layout": MODEL_TYPE,
                "skipped": list(skipped),
            },
        )
    return Imported(
        folder=writing.out,
        kind="model",
        layout=MODEL_TYPE,
        parameters=parameters,
        bytes=sum(entry.bytes for entry in ours.values()),
        skipped=skipped,
        adapted=0,
    )


def _copy_words(folder: Path, part: Path, name: str) -> None:
    """Copy the vocabulary, and of its settings the only one that is read: letters' case."""
    vocabulary, settings = TEXT_FILES
    if (folder / vocabulary).is_file():
        shutil.copyfile(folder / vocabulary, part / vocabulary)
    if (folder / settings).is_file():
        # The published file names code, which is never run.
        stated = read_json(folder / settings, name)
        _write(part / settings, {"do_lower_case": bool(stated.get("do_lower_case", True))})


def _revision(folder: Path) -> str:
    """Return the commit that a snapshot of the hub's cache is named by, else "unknown"."""
    name = folder.resolve().name
    hexadecimal = len(name) == 40 and all(c in "0123456789abcdef" for c in name)
    return name if hexadecimal else "unknown"


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
