"""The keys of a recipe's `data`, e.g. `data: {kind: ct_rate, root: ..., split: train}`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from napari_ct_assistant.training.data.masks.specs import MaskData

Split = Literal["train", "validation", "test", "all"]

HELD_OUT = 0.1  # share of the patients that is test where a data set has no split (E3D-GPT)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShardData(_Strict):
    """Shards that `ct-assistant prepare --shards` wrote, read in place of the store's volumes.

    address: a folder, or https://, s3:// or another address of fsspec; cache: bytes of volumes that
    are kept on this machine, e.g. "200 GB"; cache_folder: where, by default in the store. Instead
    of these keys, a recipe may have the address alone.
    """

    address: str = Field(min_length=1)
    cache: ByteSize = ByteSize(0)
    cache_folder: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _address_alone(cls, values: Any) -> Any:
        return {"address": values} if isinstance(values, str) else values


class _Scans(_Strict):
    """Keys of every data set of real scans.

    store: the folder for prepared volumes; shards: where they are read from if they were put into
    shards; unreadable: whether a sample that cannot be read is an
    error or skipped; preparation: "spacing" resamples and crops centrally (E3D-GPT), "minmax"
    scales by the volume's own range and stretches it (M3D, ViT3D-LLaMA3); spacing: mm (D, H, W);
    questions: JSONL files from `ct-assistant instructions`; label_questions: also ask for each
    labelled finding, in the words that E3D-GPT's diagnosis is tested with (Table 4), so that the
    test is no longer of unseen questions; by_region: divide a whole report into chest, abdomen and
    pelvis, by the organs that each sentence of its findings names (ViT3D-LLaMA3 does so with
    CT-RATE); limit: the number of scans, from the first; masks: for stage `ground`.
    """

    store: Path = Path("volumes")
    shards: ShardData | None = None
    split: Split = "train"
    unreadable: Literal["error", "skip"] = "error"
    preparation: Literal["spacing", "minmax"] = "spacing"
    spacing: tuple[float, float, float] = (3.0, 1.5, 1.5)
    questions: tuple[Path, ...] = ()
    label_questions: bool = False
    by_region: bool = False
    limit: int | None = Field(None, ge=1)
    masks: MaskData | None = None


class TableData(_Scans):
    """A CSV with the columns `image` and `report`; paths are relative to the CSV.

    Optional columns: `patient`, `split`, any of the 18 findings (0 or 1), and `masks` (a file or
    folder; needed if `masks` names no folder). Without a `split` column, a share `held_out` of the
    patients is test. reports: false reads images only. name: identifies the table's scans in place
    of its folder, so that its shards can be read where the table is in another folder.
    """

    kind: Literal["table"]
    name: str | None = Field(None, pattern=r"^[\w.-]+$")
    table: Path
    held_out: float = Field(HELD_OUT, gt=0, lt=1)
    reports: bool = True


class CtRateData(_Scans):
    """CT-RATE. version: "fixed" for the v2 files, which are in HU; "original" for the v1 files."""

    kind: Literal["ct_rate"]
    root: Path
    version: Literal["fixed", "original"] = "fixed"
    reconstructions: Literal["all", "first"] = "all"
    vqa: bool = True


class BimcvRData(_Scans):
    """BIMCV-R. It has no split: a share `held_out` of the patients is test (as in E3D-GPT)."""

    kind: Literal["bimcv_r"]
    root: Path
    held_out: float = Field(HELD_OUT, gt=0, lt=1)


class AmosMmData(_Scans):
    """AMOS-MM: reports by region and multiple-choice questions."""

    kind: Literal["amos_mm"]
    root: Path
    vqa: bool = True


class M3dCapData(_Scans):
    """M3D-Cap as M3D's script writes it (.npy); with `vqa`, also the rows of M3D-VQA's CSV."""

    kind: Literal["m3d_cap"]
    root: Path
    preparation: Literal["minmax"] = "minmax"
    masks: None = None
    vqa: Path | None = None


class M3dVqaData(_Scans):
    """M3D-VQA without captions: the images that its CSV names."""

    kind: Literal["m3d_vqa"]
    root: Path
    table: Path
    preparation: Literal["minmax"] = "minmax"
    masks: None = None


OneDataset = Annotated[
    TableData | CtRateData | BimcvRData | AmosMmData | M3dCapData | M3dVqaData,
    Field(discriminator="kind"),
]


class SeveralData(_Strict):
    """Several data sets as one, prepared in the same way into one store."""

    kind: Literal["several"]
    parts: tuple[OneDataset, ...] = Field(min_length=1)
    store: Path = Path("volumes")
    shards: ShardData | None = None

    @model_validator(mode="after")
    def _alike(self) -> SeveralData:
        ways = {(part.preparation, part.spacing) for part in self.parts}
        if len(ways) > 1:
            shown = ", ".join(f"{way} {spacing}" for way, spacing in sorted(ways))
            raise ValueError(f"the parts are prepared differently: {shown}")
        concepts = {tuple(part.masks.concepts) if part.masks else () for part in self.parts}
        if len(concepts) > 1:
            shown = " and ".join(", ".join(names) or "none" for names in sorted(concepts))
            raise ValueError(f"the parts have masks of different concepts: {shown}")
        return self

    @property
    def masks(self) -> MaskData | None:
        """The masks of the first part; all parts have the same concepts."""
        return self.parts[0].masks

    @property
    def preparation(self) -> Literal["spacing", "minmax"]:
        """The preparation of all parts."""
        return self.parts[0].preparation

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The spacing of all parts, mm (D, H, W)."""
        return self.parts[0].spacing


ScanData = TableData | CtRateData | BimcvRData | AmosMmData | M3dCapData | M3dVqaData | SeveralData
KINDS = ("table", "ct_rate", "bimcv_r", "amos_mm", "m3d_cap", "m3d_vqa", "several")
