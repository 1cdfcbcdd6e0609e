"""An imported encoder as a model that screens: phenotypes with their maps, or places only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.models.installed import describe_model
from napari_ct_assistant.backends.heat_map import HeatMap
from napari_ct_assistant.backends.i3resnet.places.cells import cell_affine, cell_means
from napari_ct_assistant.backends.i3resnet.places.heads import (
    HEADS_FILE,
    PlaceHeads,
    backbone_digest,
    read_heads,
)
from napari_ct_assistant.backends.i3resnet.places.masks import find_body
from napari_ct_assistant.backends.importing import import_model
from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.cli import app
from napari_ct_assistant.report_text.findings import FINDINGS
from tests.backends.i3resnet.tiny_encoder import SIZES, WITH_HEADS, tiny_tensors

SETTINGS = {"size": [64, 64, 48], "spacing": [8.0, 8.0, 12.0]}


def imported(folder: Path, *, heads: bool) -> Path:
    folder.mkdir()
    torch.save(tiny_tensors(WITH_HEADS if heads else SIZES), folder / "release.pt")
    return import_model(folder / "release.pt", folder / "model", settings=SETTINGS).folder


@pytest.fixture(scope="module")
def merlin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("m") / "merlin", heads=True)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone with place heads of its own, of random weights."""
    folder = imported(tmp_path_factory.mktemp("b") / "backbone", heads=False)
    rng = np.random.default_rng(0)
    heads = PlaceHeads(
        "layer3",
        FINDINGS,
        rng.normal(size=(32, 18)).astype(np.float32),
        np.zeros(18, np.float32),
        backbone_digest(folder),
        {"phantoms": 2},
    )
    heads.save(folder / HEADS_FILE)
    return folder


def test_phenotypes_are_a_table_of_findings(merlin: Path, small_volume: CTVolume) -> None:
    assistant = load_assistant(merlin, device="cpu")
    reading = assistant.read(small_volume)
    rows = reading.screen()
    assert [row.name for row in rows] == [f"output {n}" for n in range(1, 8)]
    network = assistant.model
    maps = reading.encoded.maps  # type: ignore[union-attr]
    expected = network.phenotype_logits(maps)[0].sigmoid().tolist()
    np.testing.assert_allclose([row.probability for row in rows], expected, atol=1e-6)
    blind = [row.probability for row in reading.without_image().screen()]
    np.testing.assert_allclose(blind, [row.baseline for row in rows], atol=1e-6)
    assert not any(row.positive for row in rows)  # no threshold is published


def test_what_the_places_add_is_the_phenotype(merlin: Path, small_volume: CTVolume) -> None:
    """The classifier reads the mean: the map's mean and the bias are the logit."""
    assistant = load_assistant(merlin, device="cpu")
    maps = assistant.read(small_volume).encoded.maps  # type: ignore[union-attr]
    classifier = assistant.model.classifier
    added = torch.einsum("c,czxy->zxy", classifier.weight[3].flatten(), maps.layer4[0])
    logit = assistant.model.phenotype_logits(maps)[0, 3]
    torch.testing.assert_close(added.mean() + classifier.bias[3], logit, atol=1e-5, rtol=1e-5)


def test_a_backbone_offers_places_and_no_scores(backbone: Path, small_volume: CTVolume) -> None:
    reading = load_assistant(backbone, device="cpu").read(small_volume)
    rows = reading.screen()
    assert [row.name for row in rows] == list(FINDINGS)
    assert all(row.probability is None and row.margin is None and not row.positive for row in rows)
    assert "every scan has a best place" in reading.checks[0]
    found = reading.finding_evidence("Lung nodule")
    assert found.heat is not None
    assert 1 <= len(found.places) <= 6
    assert found.places[0] == found.heat.hottest == found.ras
    values = [found.heat.value_at(point) for point in found.places]
    assert values == sorted(values, reverse=True)


def test_places_lie_in_the_body(backbone: Path, small_volume: CTVolume) -> None:
    reading = load_assistant(backbone, device="cpu").read(small_volume)
    for name in FINDINGS:
        for point in reading.finding_evidence(name).places:
            index = small_volume.ras_to_index(point)
            near = small_volume.hu[tuple(slice(max(0, round(i) - 4), round(i) + 5) for i in index)]
            assert (near > -300).any(), (name, point)


def test_cells_are_centred_on_multiples_of_the_stride() -> None:
    """A bright voxel is in the cell whose centre is nearest."""
    affine = np.diag([2.0, 2, 2, 1])
    for at in [(0, 0, 0), (7, 40, 11), (9, 8, 12), (63, 63, 47)]:
        values = np.zeros((64, 64, 48), np.float32)
        values[at] = 1
        means = cell_means(values, "layer3")
        assert means.shape == (4, 4, 6)
        cell = np.unravel_index(int(means.argmax()), means.shape)
        centre = (cell_affine(affine, "layer3") @ [*cell, 1])[:3]
        if max(at) < 56:
            assert (np.abs(centre / 2 - at) <= (8, 8, 4)).all()


def test_the_table_is_no_part_of_the_body() -> None:
    hu = np.full((120, 100, 40), -1000, np.float32)
    x, y = np.meshgrid(np.arange(120) - 60, np.arange(100) - 55, indexing="ij")
    hu[(x / 40) ** 2 + (y / 28) ** 2 < 1] = 40
    hu[((x + 18) / 12) ** 2 + (y / 18) ** 2 < 1] = -850
    hu[:, 14:17] = 100  # a table, three voxels thick
    masks = find_body(hu)
    assert not masks.body[:, :20].any()
    assert masks.body[60, 55, 20]
    assert masks.lung[42, 55, 20]
    assert not masks.lung[78, 55, 20]
    assert not masks.lung[2, 90, 20]


def test_peaks_are_apart() -> None:
    values = np.zeros((5, 5, 5), np.float32)
    values[1, 1, 1], values[1, 1, 2], values[4, 4, 4] = 1.0, 0.9, 0.5
    heat = HeatMap(values, np.eye(4))
    assert heat.peaks(5) == [((1.0, 1.0, 1.0), 1.0), ((4.0, 4.0, 4.0), 0.5)]
    assert heat.peaks(1) == [((1.0, 1.0, 1.0), 1.0)]


def test_chains_are_chosen_by_region(backbone: Path, small_volume: CTVolume) -> None:
    assistant = load_assistant(backbone, device="cpu")
    scan = assistant.backend.prepare(small_volume, View())
    assert scan.region == "chest"
    other = assistant.backend.prepare(small_volume, View(region="abdomen"))
    assert not torch.equal(scan.pixel_values, other.pixel_values)
    assert assistant.read(small_volume, region="abdomen").screen() == []
    moved = assistant.backend.prepare(small_volume, View(centre=(0.0, 0.0, 0.0)))
    assert torch.equal(moved.pixel_values, scan.pixel_values)
    assert moved.notes == ("This model reads the middle of every scan: its box is not moved.",)
    with pytest.raises(ValueError, match="region is 'head'; give one of chest, abdomen"):
        assistant.backend.prepare(small_volume, View(region="head"))


def test_the_grid_holds_the_input(backbone: Path, small_volume: CTVolume) -> None:
    scan = load_assistant(backbone, device="cpu").backend.prepare(small_volume, View())
    corner = scan.grid.affine @ [0, 0, 0, 1]
    x, y, z = (n - 1 for n in scan.pixel_values.shape[2:])
    np.testing.assert_allclose(corner, scan.details["input_affine"] @ [x, y, z, 1])


def test_heads_of_other_weights_are_refused(backbone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    torch.save(tiny_tensors(seed=1), other / "release.pt")
    folder = import_model(other / "release.pt", other / "model").folder
    (folder / HEADS_FILE).write_bytes((backbone / HEADS_FILE).read_bytes())
    with pytest.raises(ModelLoadError, match=r"places\.safetensors was trained on other weights"):
        load_assistant(folder, device="cpu")
    (folder / HEADS_FILE).write_bytes(b"x")
    with pytest.raises(ModelLoadError, match="is damaged"):
        read_heads(folder / HEADS_FILE, "model")


def test_the_commands(backbone: Path, tmp_path: Path) -> None:
    scan = tmp_path / "p.nii.gz"
    run = CliRunner().invoke
    assert run(app, ["phantom", str(scan), "--seed", "1", "--resolution", "model"]).exit_code == 0
    made = run(app, ["places", str(scan), "--model", str(backbone), "--json"])
    assert made.exit_code == 0, made.output
    said = json.loads(made.stdout)
    assert set(said["places"]) == set(FINDINGS)
    assert [one["rank"] for one in said["places"]["Lung nodule"]][:1] == [1]
    text = run(app, ["places", str(scan), "--model", str(backbone), "--finding", "Emphysema"])
    assert "Emphysema" in text.output
    assert "do not say whether a finding is there" in text.output
    wrong = run(app, ["places", str(scan), "--model", str(backbone), "--finding", "Flu"])
    assert "--finding Flu: model knows Medical material" in wrong.output
    screened = run(app, ["screen", str(scan), "--model", str(backbone)])
    assert "no score: see its places" in screened.output


def test_it_is_listed_with_its_memory(backbone: Path) -> None:
    model = describe_model("model", "folder", backbone)
    assert model is not None
    assert model.counts is not None
    assert "research only" in model.notice
    held = sum(p.numel() for p in load_assistant(backbone, device="cpu").model.parameters())
    assert held <= model.counts[0].values <= 1.3 * held
