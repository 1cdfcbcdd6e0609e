"""Masks of real scans as patch labels: where they land, when they are prepared, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel import Nifti1Image
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    ornt_transform,
)
from numpy.typing import NDArray

from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.phantoms.phantom import MIN_COVERAGE, Phantom
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.preparing import Box
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.datasets.specs import CtRateData, SeveralData, TableData
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.volume import CTReadError, write_nifti
from tests.training.data.datasets import layouts

NAMES = ("Cardiomegaly", "Lung nodule", "Pleural effusion")
BOX = Box((16, 32, 32), (8, 16, 16), "spacing", (8.0, 5.0, 6.0))
AFFINE = layouts.scan(0).affine


def write_mask(
    file: Path, values: NDArray[Any], affine: NDArray[np.float64], codes: str = "LPS"
) -> None:
    """Write an array (I, P, L) as NIfTI whose stored axes run as `codes` says."""
    turn = ornt_transform(axcodes2ornt(tuple("IPL")), axcodes2ornt(tuple(codes)))
    stored = apply_orientation(values.astype(np.uint8), turn)
    file.parent.mkdir(parents=True, exist_ok=True)
    Nifti1Image(stored, affine @ inv_ornt_aff(turn, values.shape)).to_filename(file)


def finer(mask: NDArray[Any], affine: NDArray[np.float64]) -> tuple[Any, NDArray[np.float64]]:
    """Split voxels in two along I, and leave 40 voxels out at the right and 8 at the top."""
    to_index = np.diag([0.5, 1.0, 1.0, 1.0])
    to_index[:3, 3] = (8 - 0.25, 0, 40)
    return np.repeat(mask[8:, :, 40:], 2, axis=0), affine @ to_index


def table_store(folder: Path, masks: dict[str, Any] | None, **more: Any) -> DatasetStore:
    """A store of `folder`'s scans.csv."""
    values = {
        "kind": "table",
        "table": folder / "scans.csv",
        "reports": False,
        "split": "all",
        "masks": masks,
    }
    records, skips = read_records(TableData.model_validate(values | more))
    return DatasetStore(folder / "store", records, BOX, skips)


def write_table(folder: Path, masks: list[str]) -> None:
    """A table of as many scans as masks, and the scans."""
    for number in range(len(masks)):
        layouts.write_scan(folder / f"{number}.nii.gz", number)
    rows = [(f"{number}.nii.gz", mask) for number, mask in enumerate(masks)]
    layouts.write_rows(folder / "scans.csv", ("image", "masks"), rows)


def block(value: int = 1) -> NDArray[np.uint8]:
    """The scan's bright block as a mask."""
    mask = np.zeros((16, 24, 20), np.uint8)
    mask[6:10, 10:14, 14:16] = value
    return mask


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    """Return a phantom with three findings that do not overlap."""
    phantom = make_phantom(1_000_003, findings=NAMES)
    taken = np.zeros(phantom.volume.shape, bool)
    masks = {}
    for name in NAMES:
        masks[name] = phantom.masks[name] & ~taken
        taken |= masks[name]
        assert masks[name].any()
    return replace(phantom, masks=masks)


@pytest.fixture(scope="module")
def phantom_file(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the phantom's scan as NIfTI, stored L, P, I."""
    folder = tmp_path_factory.mktemp("phantom")
    write_nifti(phantom.volume, folder / "scan.nii")
    return folder / "scan.nii"


@pytest.mark.parametrize("form", ["labels", "files", "channels"])
def test_masks_land_where_the_phantom_has_them(
    tmp_path: Path, phantom: Phantom, phantom_file: Path, form: str
) -> None:
    """The masks lie on another grid than the scan, in another orientation, and are cropped."""
    affine = phantom.volume.affine
    masks: dict[str, Any] = {"cover_of": {name: MIN_COVERAGE[name] for name in NAMES}}
    column = "mask.nii"
    if form == "labels":
        labels = sum(n * phantom.masks[name].astype(np.uint8) for n, name in enumerate(NAMES, 3))
        write_mask(tmp_path / "mask.nii", *finer(labels, affine), "RAS")
        masks["concepts"] = {name: n for n, name in enumerate(NAMES, 3)}
    elif form == "files":
        column = "masks"
        for name in NAMES:
            file = tmp_path / "masks" / f"{name.replace(' ', '_')}.nii"
            write_mask(file, *finer(phantom.masks[name], affine), "PIR")
        masks["concepts"] = {name: name.replace(" ", "_") for name in NAMES}
    else:
        # As ReXGroundingCT: findings first, the scan's stored voxels, a header of ones.
        stored = np.stack([phantom.masks[name].transpose(2, 1, 0) for name in NAMES])
        Nifti1Image(stored.astype(np.uint8), np.eye(4)).to_filename(tmp_path / "scan.nii")
        entry = {"name": "scan.nii.gz", "categories": {"0": "8d", "1": "2d", "2": "2e"}}
        layouts.write_json(tmp_path / "dataset.json", {"train": [entry]})
        masks |= {"index": tmp_path / "dataset.json", "grid": "scan", "folder": tmp_path}
        masks |= {"pattern": "{name}.nii"}
        masks["concepts"] = dict(zip(NAMES, (["8d"], "2d", "2e"), strict=True))
    layouts.write_rows(tmp_path / "scans.csv", ("image", "masks"), [(phantom_file, column)])
    records, _ = read_records(
        TableData.model_validate(
            {
                "kind": "table",
                "table": tmp_path / "scans.csv",
                "reports": False,
                "split": "all",
                "masks": masks,
            }
        )
    )
    store = DatasetStore(tmp_path / "store", records, Box((112, 224, 224), (8, 16, 16)))
    list(store.fill(workers=1))
    np.testing.assert_allclose(store.volume(0), phantom.volume.hu.clip(-1000, 1000), atol=1)
    found, true = store.patch_labels(0), phantom.patch_labels()
    assert found.shape == true.shape == (18, 14, 14, 14)
    for name in NAMES:
        here, there = (labels[FINDINGS.index(name)] > 0 for labels in (found, true))
        assert there.any()
        assert (here & there).sum() / (here | there).sum() > 0.9, name
    assert not found[~store.annotated].any()


def test_findings_come_first_whatever_the_masks_hold(tmp_path: Path) -> None:
    write_table(tmp_path, ["mask.nii.gz"])
    values = block(5)
    values[0, 0, 0] = 9
    values[-1, -1, -1] = 7
    write_mask(tmp_path / "mask.nii.gz", values, AFFINE)
    concepts = {"liver": [9, 12], "Consolidation": 5, "lung": 7}
    store = table_store(tmp_path, {"concepts": concepts})
    list(store.fill())
    assert [c.name for c in store.concepts] == [*FINDINGS, "liver", "lung"]
    known = np.flatnonzero(store.annotated)
    assert known.tolist() == [FINDINGS.index("Consolidation"), 18, 19]
    labels = store.patch_labels(0)
    assert labels.shape == (20, 2, 2, 2)
    assert np.flatnonzero(labels.any(axis=(1, 2, 3))).tolist() == known.tolist()
    # A single voxel labels its patch: the best covered one counts in any case. The scan is
    # centred in the box, so its first voxel is in the box's first patch.
    assert np.argwhere(labels[18]).tolist() == [[0, 0, 0]]
    assert np.argwhere(labels[19]).tolist() == [[1, 1, 1]]
    assert labels[known[0], 0, 0, 1]
    with pytest.raises(ValueError, match=r"0\.nii\.gz: no masks; add data\.masks"):
        DatasetStore(tmp_path / "s", [replace(store.records[0], masks=None)], BOX).patch_labels(0)


def test_a_changed_mask_or_concept_is_prepared_again_and_nothing_else(tmp_path: Path) -> None:
    write_table(tmp_path, ["a.nii.gz", "b.nii.gz"])
    write_mask(tmp_path / "a.nii.gz", block(), AFFINE)
    write_mask(tmp_path / "b.nii.gz", block(), AFFINE)
    masks: dict[str, Any] = {"concepts": {"Lung nodule": 1}}
    store = table_store(tmp_path, masks)
    assert list(store.fill(workers=1)) == [1, 2]
    before = store.patch_labels(0)
    volumes = [store.volume_file(i).stat().st_mtime_ns for i in range(2)]
    assert list(table_store(tmp_path, masks).fill()) == [2]
    write_mask(tmp_path / "a.nii.gz", block()[::-1, ::-1, ::-1], AFFINE)
    changed = table_store(tmp_path, masks)
    assert list(changed.fill()) == [1, 2]
    assert not np.array_equal(changed.patch_labels(0), before)
    np.testing.assert_array_equal(changed.patch_labels(1), store.patch_labels(1))
    other = table_store(tmp_path, {"concepts": {"Lung nodule": 1}, "cover": 0.5})
    assert list(other.fill(workers=1)) == [1, 2]
    plain = table_store(tmp_path, None)
    assert list(plain.fill()) == [2], "volumes know nothing of masks"
    assert [changed.volume_file(i).stat().st_mtime_ns for i in range(2)] == volumes
    # Sources may be deleted once they are prepared.
    (tmp_path / "a.nii.gz").unlink()
    (tmp_path / "0.nii.gz").unlink()
    gone = table_store(tmp_path, masks)
    assert list(gone.fill()) == [2]
    np.testing.assert_array_equal(gone.patch_labels(0), changed.patch_labels(0))


def _damaged(folder: Path) -> dict[str, Any]:
    (folder / "mask.nii.gz").write_bytes(b"damaged")
    return {}


def _beside(folder: Path) -> dict[str, Any]:
    away = AFFINE.copy()
    away[2, 3] += 900
    write_mask(folder / "mask.nii.gz", block(), away)
    return {}


def _header_of_ones(folder: Path) -> dict[str, Any]:
    Nifti1Image(block().transpose(2, 1, 0), np.eye(4)).to_filename(folder / "mask.nii.gz")
    return {}


def _turned(folder: Path) -> dict[str, Any]:
    angle = np.radians(10)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    write_mask(folder / "mask.nii.gz", block(), turn @ AFFINE)
    return {}


def _other_shape(folder: Path) -> dict[str, Any]:
    write_mask(folder / "mask.nii.gz", block()[:, :, 1:], AFFINE)
    return {"grid": "scan"}


def _four_axes(folder: Path) -> dict[str, Any]:
    Nifti1Image(np.ones((2, 20, 24, 16), np.uint8), AFFINE).to_filename(folder / "mask.nii.gz")
    return {}


def _a_folder(folder: Path) -> dict[str, Any]:
    (folder / "mask.nii.gz").mkdir()
    return {}


def _no_file(folder: Path) -> dict[str, Any]:
    (folder / "mask.nii.gz").mkdir()
    return {"concepts": {"Lung nodule": "nodule"}}


def _nothing(folder: Path) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_damaged, "not a readable NIfTI file; copy it again"),
        (_beside, r"does not overlap the scan \(centres 900 mm apart\)"),
        (_header_of_ones, "its header has no position; if its voxels.*data.masks.grid=scan"),
        (_turned, "its axes are rotated against the scan's; resample it"),
        (_other_shape, r"has \(16, 24, 19\) voxels along \(I, P, L\), its scan \(16, 24, 20\)"),
        (_four_axes, r"a mask of shape \(2, 20, 24, 16\); expected three axes"),
        (_a_folder, "a folder; give its files by name"),
        (_no_file, "has no nodule.nii.gz for 'Lung nodule'; set data.masks.missing=empty"),
        (_nothing, "no such mask; check data.masks"),
    ],
)
def test_a_mask_that_cannot_be_used_is_one_line_or_a_listed_skip(
    tmp_path: Path, make: Any, message: str
) -> None:
    write_table(tmp_path, ["mask.nii.gz", "good"])
    masks = {"concepts": {"Lung nodule": 1}} | make(tmp_path)
    if masks["concepts"]["Lung nodule"] == 1:
        write_mask(tmp_path / "good.nii.gz", block(), AFFINE)
        rows = [("0.nii.gz", "mask.nii.gz"), ("1.nii.gz", "good.nii.gz")]
        layouts.write_rows(tmp_path / "scans.csv", ("image", "masks"), rows)
    else:
        write_mask(tmp_path / "good/nodule.nii", block(), AFFINE)
    with pytest.raises(CTReadError, match=message) as told:
        list(table_store(tmp_path, masks).fill(workers=1))
    assert "mask.nii.gz" in str(told.value)
    assert "\n" not in str(told.value)
    store = table_store(tmp_path, masks, unreadable="skip")
    list(store.fill(workers=1))
    assert [record.name for record in store.records] == ["1.nii.gz"]
    assert store.patch_labels(0)[FINDINGS.index("Lung nodule")].any()
    listed = (tmp_path / "store" / "skipped.csv").read_text()
    # The row names the scan with its path; the reason names the mask by its own name.
    assert "0.nii.gz,mask.nii.gz" in listed.replace('"', "")


def test_a_scan_without_a_mask_is_refused_or_skipped(tmp_path: Path) -> None:
    write_table(tmp_path, ["", "mask.nii.gz"])
    write_mask(tmp_path / "mask.nii.gz", block(), AFFINE)
    masks = {"concepts": {"Lung nodule": 1}}
    with pytest.raises(RecipeError, match=r"0\.nii\.gz: no masks: fill in the table's column"):
        table_store(tmp_path, masks)
    assert len(table_store(tmp_path, masks, unreadable="skip")) == 1
    layouts.write_rows(tmp_path / "scans.csv", ("image",), [("0.nii.gz",)])
    with pytest.raises(RecipeError, match=r"scans\.csv: column masks is missing"):
        table_store(tmp_path, masks)


def test_a_folder_may_leave_out_what_a_scan_does_not_show(tmp_path: Path) -> None:
    write_table(tmp_path, ["", ""])
    write_mask(tmp_path / "seg/0/nodule.nii.gz", block(), AFFINE)
    write_mask(tmp_path / "seg/1/lower.nii.gz", block(), AFFINE, "RAS")
    masks: dict[str, Any] = {
        "folder": tmp_path / "seg",
        "pattern": "{name}",
        "missing": "empty",
        "concepts": {"Lung nodule": "nodule.nii.gz", "left lung": ["upper", "lower"]},
    }
    store = table_store(tmp_path, masks)
    list(store.fill(workers=1))
    shown = [store.patch_labels(i).any(axis=(1, 2, 3)) for i in range(2)]
    nodule = FINDINGS.index("Lung nodule")
    assert [np.flatnonzero(s).tolist() for s in shown] == [[nodule], [18]]
    # The file that comes later is seen.
    write_mask(tmp_path / "seg/1/nodule.nii.gz", block(), AFFINE)
    list(store.fill(workers=1))
    assert store.patch_labels(1)[nodule].any()


def test_a_concept_that_no_scan_shows_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, ["mask.nii.gz"])
    write_mask(tmp_path / "mask.nii.gz", block(), AFFINE)
    store = table_store(tmp_path, {"concepts": {"Lung nodule": 1, "liver": 4}})
    with pytest.raises(
        RecipeError, match=r"concepts: liver: not in any of 1 scan.*check its label"
    ):
        list(store.fill())


def test_rex_grounding_ct_picks_the_scans_of_ct_rate(tmp_path: Path) -> None:
    root = layouts.write_ct_rate(tmp_path / "data")
    for name in ("train_1_a_2", "valid_1_a_1"):
        stored = block().transpose(2, 1, 0)[None].repeat(2, axis=0)
        file = tmp_path / "segmentations" / f"{name}.nii.gz"
        file.parent.mkdir(exist_ok=True)
        stored[0] = 0
        Nifti1Image(stored, np.eye(4)).to_filename(file)
    entries = [
        {"name": "train_1_a_2.nii.gz", "categories": {"0": "1f", "1": "2d"}},
        {"name": "valid_1_a_1.nii.gz", "categories": {"0": "2d", "1": "1f"}},
    ]
    index = tmp_path / "dataset.json"
    layouts.write_json(index, {"train": entries, "val": [], "test": []})
    masks: dict[str, Any] = {
        "folder": tmp_path / "segmentations",
        "index": index,
        "grid": "scan",
        "concepts": {"Lung nodule": "2d"},
    }
    data = {"kind": "ct_rate", "root": root, "split": "all", "vqa": False, "masks": masks}
    records, skips = read_records(CtRateData.model_validate(data))
    assert [record.name for record in records] == ["train_1_a_2", "valid_1_a_1"]
    store = DatasetStore(tmp_path / "store", records, BOX, skips)
    list(store.fill(workers=1))
    nodule = FINDINGS.index("Lung nodule")
    assert store.patch_labels(0)[nodule].any()
    assert not store.patch_labels(1).any(), "its channel of category 2d is empty"
    for change, message in (
        (
            {"concepts": {"Lung nodule": "2z"}},
            r"no finding in .* category '2z'; the categories are 1f, 2d",
        ),
        ({"index_split": "val"}, r"dataset\.json: has no list of scans 'val'"),
    ):
        with pytest.raises(RecipeError, match=message):
            read_records(CtRateData.model_validate(data | {"masks": masks | change}))
    layouts.write_json(index, {"train": [{"name": "x"}]})
    with pytest.raises(RecipeError, match="entry 0 of 'train' has no `name` with `categories`"):
        read_records(CtRateData.model_validate(data))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"concepts": {}}, "at least 1"),
        ({"concepts": {"lung nodule": 1}}, "'lung nodule' must be written 'Lung nodule'"),
        ({"concepts": {"liver": 0}}, "liver: 0 is neither a label from 1 to 32767"),
        ({"concepts": {"liver": [1, "x"]}}, "either numbers .* not both"),
        (
            {"concepts": {"liver": 1}, "cover_of": {"lung": 0.1}},
            "'lung' is not one of the concepts",
        ),
        ({"concepts": {"liver": 1}, "pattern": "x"}, "pattern: 'x' needs {name}"),
        ({"concepts": {"liver": 1}, "index": "i.json"}, "index: needs `folder`"),
        (
            {"concepts": {"liver": "2d"}, "index": "i.json", "folder": "f"},
            "set grid: scan",
        ),
        ({"concepts": {"liver": 1}, "cover": 0}, "greater than 0"),
    ],
)
def test_a_wrong_recipe_is_named(masks: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableData.model_validate({"kind": "table", "table": "x", "masks": masks})


def test_parts_teach_the_same(tmp_path: Path) -> None:
    parts = [
        {"kind": "table", "table": "a", "masks": {"concepts": {name: 1}}} for name in ("x", "y")
    ]
    with pytest.raises(ValueError, match="the parts have masks of different concepts: x and y"):
        SeveralData.model_validate({"kind": "several", "parts": parts})
    parts[1]["masks"] = {"concepts": {"x": "file"}}
    data = SeveralData.model_validate({"kind": "several", "parts": parts})
    assert data.masks is not None
    assert json.dumps(list(data.masks.concepts)) == '["x"]'
