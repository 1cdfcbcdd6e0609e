"""What a recipe says about masks: `masks: {folder: ..., concepts: {Lung nodule: 3}}`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_ct_assistant.report_text.findings import FINDINGS

Sources = tuple[int | str, ...]
Share = Annotated[float, Field(gt=0, le=1)]


class MaskData(BaseModel):
    """Which masks a scan has, and what of them is which concept.

    Where: `folder` and `pattern` ({name} is the scan's name without its ending), or the column
    `masks` of a table. What: `concepts`, from a name to a label of one file (3), to a file of a
    folder (lung_upper_lobe_left), to a category that `index` tells of each channel of a 4D file
    ("2d", ReXGroundingCT), or to a list of such.

    grid: "own" believes the mask's header; "scan" takes its voxels for those of the scan's file.
    cover: least share of a patch that labels it, `cover_of` for single concepts; the best
    covered patch is labelled in any case. missing: what a folder without a structure's file is.
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
        """Check each concept here: pydantic's words for a union of types name no remedy."""
        if not isinstance(concepts, dict):
            return concepts
        found = {name: _listed(value) for name, value in concepts.items()}
        known = {name.lower(): name for name in FINDINGS}
        for name, values in found.items():
            true = known.get(str(name).lower(), name)
            if true != name:
                raise ValueError(f"{name!r} is written {true!r} among the 18 findings")
            if not values or not all(_is_source(value) for value in values):
                raise ValueError(
                    f"{name}: {concepts[name]!r} is neither a label from 1 to 32767, nor the "
                    "name of a file or category, nor a list of such"
                )
        if len({type(value) for values in found.values() for value in values}) > 1:
            raise ValueError("either labels of one file (numbers) or names, not both")
        return found

    @model_validator(mode="after")
    def _clear(self) -> MaskData:
        if unknown := [name for name in self.cover_of if name not in self.concepts]:
            raise ValueError(f"cover_of: {unknown[0]!r} is none of the concepts")
        if "{name}" not in self.pattern:
            raise ValueError(f"pattern: {self.pattern!r} lacks {{name}}, the scan's name")
        if self.index is not None:
            if self.folder is None or self.by_label:
                raise ValueError("index: needs `folder`, and a category (2d) for each concept")
            if self.grid != "scan":
                raise ValueError("index: such files say nothing of their place; set grid: scan")
        return self

    @property
    def by_label(self) -> bool:
        """Whether concepts are labels of one file, not names."""
        return isinstance(next(iter(self.concepts.values()))[0], int)


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_source(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return 1 <= value <= 32767
    return isinstance(value, str) and bool(value)
