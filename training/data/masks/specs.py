"""The keys of a recipe's masks, e.g. `masks: {folder: ..., concepts: {Lung nodule: 3}}`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_ct_assistant.report_text.findings import FINDINGS

Sources = tuple[int | str, ...]
Share = Annotated[float, Field(gt=0, le=1)]


class MaskData(BaseModel):
    """The masks of each scan, and which of them make up which concept.

    The files are found by `folder` and `pattern` ({name} is the scan's name without its ending), or
    by the column `masks` of a table. `concepts` maps a name to a label in one file (3), a file in
    a folder (lung_upper_lobe_left), a category that `index` gives for each channel of a 4D file
    ("2d", ReXGroundingCT), or a list of these.

    grid: "own" reads the position from the mask's header, "scan" takes the mask's voxels for those
    of the scan's file. cover: the least share of a patch that labels it, `cover_of` for single
    concepts; the best covered patch is always labelled. missing: whether a missing file in a folder
    is an error or an empty mask.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = None
    pattern: str = "{name}.nii.gz"
    index: Path | None = None
    index_split: Literal["train", "val"] = "train"
    grid: Literal["own", "scan"] = "own"
    missing: Literal["error", "empty"] = "error"
    concepts: dict[str, Sources] = Field(min_length=1)
    cover: Share = 0.02
    cover_of: dict[str, Share] = {}

    @field_validator("concepts", mode="before")
    @classmethod
    def _sources(cls, concepts: Any) -> Any:
        """Check each concept here: pydantic's message for a union of types names no remedy."""
        if not isinstance(concepts, dict):
            return concepts
        found = {name: _listed(value) for name, value in concepts.items()}
        known = {name.lower(): name for name in FINDINGS}
        for name, values in found.items():
            true = known.get(str(name).lower(), name)
            if true != name:
                raise ValueError(f"{name!r} must be written {true!r}, as in the 18 findings")
            if not values or not all(_is_source(value) for value in values):
                raise ValueError(
                    f"{name}: {concepts[name]!r} is neither a label from 1 to 32767, nor the "
                    "name of a file or category, nor a list of such"
                )
        if len({type(value) for values in found.values() for value in values}) > 1:
            raise ValueError("give either numbers (labels of one file) or names, not both")
        return found

    @model_validator(mode="after")
    def _clear(self) -> MaskData:
        if unknown := [name for name in self.cover_of if name not in self.concepts]:
            raise ValueError(f"cover_of: {unknown[0]!r} is not one of the concepts")
        if "{name}" not in self.pattern:
            raise ValueError(f"pattern: {self.pattern!r} needs {{name}}, the scan's name")
        if self.index is not None:
            if self.folder is None or self.by_label:
                raise ValueError("index: needs `folder`, and a category (2d) for each concept")
            if self.grid != "scan":
                raise ValueError("index: such files have no position of their own; set grid: scan")
        return self

    @property
    def by_label(self) -> bool:
        """Whether concepts are labels of one file and not names."""
        return isinstance(next(iter(self.concepts.values()))[0], int)


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_source(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return 1 <= value <= 32767
    return isinstance(value, str) and bool(value)
