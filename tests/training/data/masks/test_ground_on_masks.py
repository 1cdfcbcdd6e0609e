"""Stage `ground` on scans with mask files: it learns what is annotated, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_ct_assistant.model.encoders import load_encoder
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.run import run_stage
from tests.training.data.datasets import layouts
from tests.training.data.datasets.test_stages_on_layouts import ENCODER, recipe_for
from tests.training.data.masks.test_masks import AFFINE, block, write_mask, write_table


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """Return two scans with label files: a nodule, and a box around it."""
    write_table(tmp_path, ["0_mask.nii.gz", "1_mask.nii.gz"])
    values = np.full((16, 24, 20), 2, np.uint8)
    values[block() > 0] = 1
    for number in range(2):
        write_mask(tmp_path / f"{number}_mask.nii.gz", values, AFFINE, "RAS")
    return {
        "kind": "table",
        "split": "all",
        "table": tmp_path / "scans.csv",
        "reports": False,
        "spacing": [10.0, 6.0, 6.0],
        "masks": {"concepts": {"Lung nodule": 1, "chest": 2}},
    }


@pytest.mark.parametrize(
    ("ground", "learned"),
    [
        ({}, ["Lung nodule"]),
        ({"details": True, "operating_points": 1}, ["Lung nodule", "chest"]),
        ({"details": True, "crop": 3}, ["Lung nodule", "chest"]),
    ],
)
def test_what_has_no_mask_is_not_learned_to_be_absent(
    tmp_path: Path, data: dict[str, Any], ground: dict[str, Any], learned: list[str]
) -> None:
    run_stage("ground", recipe_for(tmp_path, "ground", data, encoder=ENCODER, ground=ground))
    losses = json.loads((tmp_path / "ground" / "losses.json").read_text())
    assert all(0 < row["loss"] < 100 for row in losses)
    encoder = load_encoder(tmp_path / "ground")
    names = list(encoder.config.concept_names)
    assert names == [*FINDINGS, *(["chest"] if "chest" in learned else [])]
    bias = encoder.state_dict()["concepts.bias"]
    changed = torch.nonzero(bias != -4.0).flatten().tolist()
    assert [names[row] for row in changed] == learned


def test_masks_that_teach_nothing_are_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    organs = data | {"masks": {"concepts": {"chest": 2}}}
    with pytest.raises(RecipeError, match=r"none of the 18 findings; set ground\.details=true"):
        run_stage("ground", recipe_for(tmp_path, "ground", organs, encoder=ENCODER))
    bare = {key: value for key, value in data.items() if key != "masks"}
    with pytest.raises(RecipeError, match=r"line \d+: data: stage ground learns from masks; add"):
        load_recipe(recipe_for(tmp_path, "ground", bare, encoder=ENCODER))
    wrong = data | {"masks": {"concepts": {"lung nodule": 1}}}
    with pytest.raises(
        RecipeError, match=r"data\.masks\.concepts: .*must be written 'Lung nodule'"
    ):
        load_recipe(recipe_for(tmp_path, "ground", wrong, encoder=ENCODER))


def test_the_paper_size_recipe_runs_on_rex_grounding_ct(tmp_path: Path) -> None:
    """Only sizes are changed: masks and categories are the recipe's own."""
    from nibabel import Nifti1Image

    layouts.write_ct_rate(tmp_path / "CT-RATE")
    recipe = load_recipe("e3d_gpt/ground")
    masks = recipe.data.masks  # type: ignore[union-attr]
    assert masks is not None
    told = sorted({str(v) for values in masks.concepts.values() for v in values})
    entries = []
    for name in ("train_1_a_1", "train_2_a_1"):
        channels = np.stack([block().transpose(2, 1, 0)] * len(told))
        (tmp_path / "rex/segmentations").mkdir(parents=True, exist_ok=True)
        file = tmp_path / "rex/segmentations" / f"{name}.nii.gz"
        Nifti1Image(channels, np.eye(4)).to_filename(file)
        categories = {str(number): category for number, category in enumerate(told)}
        entries.append({"name": f"{name}.nii.gz", "categories": categories})
    layouts.write_json(tmp_path / "rex/dataset.json", {"train": entries, "val": [], "test": []})
    encoder = {"preset": "e3d_gpt", "changes": ENCODER["changes"] | {"num_attention_heads": 2}}
    encoder["changes"].pop("stem")
    options = [
        f"root={tmp_path}",
        f"data.root={tmp_path / 'CT-RATE'}",
        f"data.masks.folder={tmp_path / 'rex/segmentations'}",
        f"data.masks.index={tmp_path / 'rex/dataset.json'}",
        "data.spacing=[10, 6, 6]",
        f"encoder={json.dumps(encoder)}",
        *("training.samples=2", "training.batch_size=1", "training.log_steps=1"),
        *("training.workers=0", "training.precision=fp32", "ground.operating_points=0"),
    ]
    run_stage("ground", "e3d_gpt/ground", options)
    rows = json.loads((tmp_path / "ground" / "losses.json").read_text())
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert load_encoder(tmp_path / "ground").config.num_concepts == 18
