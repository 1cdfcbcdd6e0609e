"""The folder of an I3ResNet: `config.json`, `model.safetensors`, and names of its outputs.

Importing it brings no torch.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.backends.i3resnet.input.chains import CHAINS, SIZE, SPACING_MM
from napari_ct_assistant.backends.i3resnet.releases import ASTRA, NOTICE, RELEASES
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

MODEL_TYPE: Final = "i3resnet"
FORMAT: Final = 1
OUTPUTS: Final = "phenotypes.json"  # the names of the classifier's outputs, in order
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class EncoderSettings:
    """The content of `config.json`.

    Attributes
    ----------
    release : str
        A key of `RELEASES`.
    chain : "chest" or "abdomen"
        How a scan is prepared where nobody chooses.
    size : (x, y, z)
        Voxels of the input.
    spacing : three floats, mm
        Of the chain "abdomen".
    trained_on, licence : str
    """

    release: str = ASTRA
    chain: str = "chest"
    size: Triple = SIZE
    spacing: tuple[float, float, float] = SPACING_MM
    trained_on: str = ""
    licence: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the content of `config.json`."""
        return {"model_type": MODEL_TYPE, "format_version": FORMAT, **asdict(self)}


def is_i3resnet(config: Mapping[str, Any]) -> bool:
    """Return whether the content of a `config.json` describes such an encoder."""
    return config.get("model_type") == MODEL_TYPE


def about(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return training data and notice."""
    return str(config.get("trained_on") or ""), NOTICE


def read_settings(config: Mapping[str, Any], name: str) -> EncoderSettings:
    """Return the settings that a `config.json` holds.

    Raises
    ------
    ModelLoadError
        If one is impossible.
    """
    version = config.get("format_version", FORMAT)
    if not isinstance(version, int) or version > FORMAT:
        raise ModelLoadError(
            said(
                "{name}: config.json says format_version {version}, this version of "
                "napari-ct-assistant reads up to {format}; update it",
                name=name,
                version=repr(version),
                format=FORMAT,
            )
        )
    release, chain = config.get("release", ASTRA), config.get("chain", "chest")
    if release not in RELEASES:
        raise ModelLoadError(
            said(
                "{name}: release {release} in config.json; expected one of {list}",
                name=name,
                release=repr(release),
                list=", ".join(RELEASES),
            )
        )
    if chain not in CHAINS:
        raise ModelLoadError(
            said(
                "{name}: chain {chain} in config.json; expected one of {list}",
                name=name,
                chain=repr(chain),
                list=", ".join(CHAINS),
            )
        )
    size, spacing = config.get("size", SIZE), config.get("spacing", SPACING_MM)
    if not (_three(size) and all(isinstance(n, int) and 32 <= n <= 1024 for n in size)):
        raise ModelLoadError(
            said(
                "{name}: size {size} in config.json; expected three of 32 to 1024",
                name=name,
                size=repr(size),
            )
        )
    if not (_three(spacing) and all(0 < float(mm) < 100 for mm in spacing)):
        raise ModelLoadError(
            said(
                "{name}: spacing {spacing} in config.json; expected three mm",
                name=name,
                spacing=repr(spacing),
            )
        )
    x, y, z = (int(n) for n in size)
    a, b, c = (float(mm) for mm in spacing)
    texts = [str(config.get(key) or "") for key in ("trained_on", "licence")]
    return EncoderSettings(release, chain, (x, y, z), (a, b, c), *texts)


def read_outputs(folder: Path, count: int, name: str) -> tuple[str, ...]:
    """Return the names of the classifier's outputs; numbers where the folder has no names.

    Raises
    ------
    ModelLoadError
        If there are not as many names as outputs.
    """
    file = folder / OUTPUTS
    if not file.is_file():
        return tuple(f"output {n}" for n in range(1, count + 1))
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelLoadError(
            said("{name}: {outputs} is damaged; import the model again", name=name, outputs=OUTPUTS)
        ) from error
    if not isinstance(names, list) or len(names) != count:
        raise ModelLoadError(
            said(
                "{name}: {outputs} does not name the model's {count} outputs",
                name=name,
                outputs=OUTPUTS,
                count=count,
            )
        )
    return tuple(str(one) for one in names)


def names_from_csv(file: Path, count: int) -> list[str]:
    """Return the names of the classifier's outputs from the CSV that Merlin publishes.

    One row for each output, in order, with or without a heading. Of several columns, the one
    that a heading calls a phenotype, name or description is taken, or else the last one with
    words in it.

    Raises
    ------
    ModelLoadError
        If it has not as many rows as the model has outputs.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelLoadError(
            said("{name}: cannot be read as CSV ({error})", name=file.name, error=error)
        ) from error
    heading = rows[0] if len(rows) == count + 1 else None
    if heading is None and len(rows) != count:
        raise ModelLoadError(
            said(
                "{name}: has {count} rows, the model has {count2} outputs; give the CSV that "
                "was published with it",
                name=file.name,
                count=len(rows),
                count2=count,
            )
        )
    body = rows[1:] if heading is not None else rows
    column = _name_column(heading, body)
    names = [row[column].strip() if column < len(row) else "" for row in body]
    return [one or f"output {n}" for n, one in enumerate(names, start=1)]


def _name_column(heading: Sequence[str] | None, body: Sequence[Sequence[str]]) -> int:
    for word in ("description", "phenotype", "name", "string"):
        for column, title in enumerate(heading or ()):
            worded = sum(any(c.isalpha() for c in row[column]) for row in body if column < len(row))
            if word in title.lower() and worded > len(body) / 2:
                return column
    width = max(map(len, body), default=1)
    shares = [
        sum(any(c.isalpha() for c in row[column]) for row in body if column < len(row))
        for column in range(width)
    ]
    best = max(shares, default=0)
    return max(column for column, share in enumerate(shares) if share == best) if shares else 0


def _three(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3
