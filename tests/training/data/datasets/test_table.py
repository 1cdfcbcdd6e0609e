"""A hospital's own table: scans and reports become training volumes, errors name the row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.datasets.read_records import open_dataset
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.volume import CTReadError, CTVolume, write_nifti


def open_table(folder: Path, table: Path) -> DatasetStore:
    data = TableData(kind="table", table=table, spacing=(10.0, 6.0, 6.0), split="all")
    return open_dataset(data, folder, size=(32, 64, 64), patch=(8, 16, 16))


@pytest.fixture
def table(tmp_path: Path, small_volume: CTVolume) -> Path:
    write_nifti(small_volume, tmp_path / "a.nii.gz")
    file = tmp_path / "scans.csv"
    file.write_text('image,report\na.nii.gz,"Findings: A ball,  in water."\n')
    return file


def test_a_scan_is_prepared_once_with_its_hu(tmp_path: Path, table: Path) -> None:
    store = open_table(tmp_path / "store", table)
    assert list(store.fill()) == [1]
    hu = store.volume(0)
    assert hu.shape == (32, 64, 64)
    assert hu.dtype == np.int16
    # Water in the middle, air around it, and the ball of 300 HU.
    assert hu[16, 40, 32] == 0
    assert hu[0, 0, 0] == -1000
    assert 150 < hu.max() <= 300
    written = store.volume_file(0).stat().st_mtime_ns
    assert list(store.fill()) == [1]
    assert store.volume_file(0).stat().st_mtime_ns == written
    turn = store.turns(0, ConversationSettings(), np.random.default_rng(0))[0]
    assert turn.answer == "Findings: A ball, in water."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,text\na,b\n", "column report is missing"),
        ("image,report\n", "no rows"),
        ("image,report\na.nii.gz,\n", "row 2: image or report is empty"),
    ],
)
def test_an_error_in_a_table_names_it(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message):
        open_table(tmp_path / "store", file)


def test_an_unreadable_scan_is_an_error_not_another_sample(tmp_path: Path, table: Path) -> None:
    table.write_text("image,report\nmissing.nii.gz,Text.\n")
    store = open_table(tmp_path / "store", table)
    with pytest.raises(CTReadError, match=r"missing\.nii\.gz"):
        list(store.fill())


def test_mae_on_a_table(tmp_path: Path, table: Path) -> None:
    changes = "image_size: [32, 64, 64], hidden_size: 24, num_hidden_layers: 1, stem: linear"
    run_stage(
        "mae",
        "demo/mae",
        [
            f"root={tmp_path}",
            f"data={{kind: table, table: {table}, split: all}}",
            f"encoder={{preset: demo, changes: {{{changes}}}}}",
            "training.samples=2",
        ],
    )
    assert (tmp_path / "1-mae" / "model.safetensors").is_file()
