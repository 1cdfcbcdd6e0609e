"""Find the masks of each scan: by a table's column, in a folder, or by ReXGroundingCT's index.

ReXGroundingCT's `dataset.json` lists, under `train` and `val`,

    {"name": "train_1_a_1.nii.gz", "findings": {"0": "..."}, "categories": {"0": "2d"}, ...}

and `segmentations/train_1_a_1.nii.gz` has a channel for each finding, on the first of four axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.files import Skips, read_json
from napari_ct_assistant.training.data.datasets.record import ScanMasks, ScanRecord
from napari_ct_assistant.training.data.masks.specs import MaskData


def with_masks(records: Sequence[ScanRecord], data: MaskData, skips: Skips) -> list[ScanRecord]:
    """Return the records with their masks; only the index is read.

    A scan that is not in the index is left out, because the index defines the data set.

    Raises
    ------
    RecipeError
        If a scan has no mask and the recipe does not say `unreadable: skip`, or if the index is
        not in the expected form.
    """
    index = _read_index(data) if data.index is not None else None
    whole = _scan_masks(data)
    found = []
    for record in records:
        name = _bare(Path(record.name).name)
        if index is not None and name not in index:
            continue
        if data.folder is not None:
            path = data.folder / data.pattern.format(name=name)
        elif record.masks is not None:
            path = record.masks.path
        else:
            skips.add(
                f"{record.dataset} {record.name}",
                "no masks: fill in the table's column `masks`, or set data.masks.folder",
            )
            continue
        masks = replace(whole, path=path)
        if index is not None:
            masks = replace(masks, kind="channels", parts=_channels(data, index[name]))
        found.append(replace(record, masks=masks))
    if not found and index is not None:
        raise RecipeError(f"{data.index}: contains none of the {len(records)} scans")
    return found


def _scan_masks(data: MaskData) -> ScanMasks:
    """Return the settings that are the same for all scans."""
    parts = tuple((name, values, _cover(data, name)) for name, values in data.concepts.items())
    kind: Literal["labels", "files"] = "labels" if data.by_label else "files"
    return ScanMasks(Path(), kind, parts, data.grid, data.missing)


def _cover(data: MaskData, name: str) -> float:
    return data.cover_of.get(name, data.cover)


def _channels(
    data: MaskData, categories: dict[int, str]
) -> tuple[tuple[str, tuple[int | str, ...], float], ...]:
    """Return the channels of each concept; none if the scan does not show it."""
    return tuple(
        (name, tuple(c for c, told in categories.items() if told in values), _cover(data, name))
        for name, values in data.concepts.items()
    )


def _read_index(data: MaskData) -> dict[str, dict[int, str]]:
    """Return {scan: {channel: category}} of an index's split."""
    file = data.index
    assert file is not None  # noqa: S101  the caller looked
    content = read_json(file)
    entries = content.get(data.index_split) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise RecipeError(f"{file}: has no list of scans {data.index_split!r}")
    index = {}
    for number, entry in enumerate(entries):
        try:
            index[_bare(entry["name"])] = {
                int(channel): str(category) for channel, category in entry["categories"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RecipeError(
                f"{file}: entry {number} of {data.index_split!r} has no `name` with `categories` "
                'like {"0": "2d"}; expected the dataset.json of ReXGroundingCT'
            ) from None
    known = sorted({category for told in index.values() for category in told.values()})
    for name, values in data.concepts.items():
        if unknown := [value for value in values if value not in known]:
            raise RecipeError(
                f"data.masks.concepts: {name}: no finding in {file} has the category "
                f"{unknown[0]!r}; the categories are {', '.join(known)}"
            )
    return index


def _bare(name: Any) -> str:
    return str(name).removesuffix(".gz").removesuffix(".nii")
