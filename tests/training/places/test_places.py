"""Heads for places: rows of cells, the fit, hits, edits of a scan, permuted weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant import CTVolume
from napari_ct_assistant.backends.i3resnet.network.modeling import I3ResNet
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.places.cells import feature_map, presence, rows_of
from napari_ct_assistant.training.places.edits import clear_lung_places, erase_nodule, insert_ball
from napari_ct_assistant.training.places.features import PlaceFeatures, features_of
from napari_ct_assistant.training.places.fitting import auroc, choose_strength, fit
from napari_ct_assistant.training.places.hits import count_hits
from napari_ct_assistant.training.places.patients import framed_phantom
from napari_ct_assistant.training.places.permuted import permute_weights
from tests.backends.i3resnet.tiny_encoder import SIZES, tiny_tensors

NODULE = FINDINGS.index("Lung nodule")


def made_up(seed: int) -> PlaceFeatures:
    """Maps in which one channel is high where the nodule is."""
    rng = np.random.default_rng(seed)
    cover = {"layer3": np.zeros((18, 4, 4, 6)), "layer4": np.zeros((18, 2, 2, 3))}
    at = tuple(rng.integers(0, 4, 3))
    cover["layer3"][NODULE][at] = 0.05
    maps = rng.normal(size=(4, 4, 6, 8))
    maps[(*at, 3)] += 6
    whole = {layer: np.ones(one.shape[1:], np.float16) for layer, one in cover.items()}
    return PlaceFeatures(
        {"layer3": maps.astype(np.float16), "layer4": np.zeros((2, 2, 3, 8), np.float16)},
        whole,
        whole,
        {layer: one.astype(np.float16) for layer, one in cover.items()},
        rng.random((16, 16, 12)).astype(np.float16),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("features")
    found = [folder / f"{seed}.npz" for seed in range(18)]
    for seed, file in enumerate(found):
        made_up(seed).save(file)
    return found


def test_heads_find_what_they_were_taught_on_scans_that_they_have_not_seen(
    files: list[Path],
) -> None:
    cells = rows_of(files[:12], "layer3")
    assert (cells.present[:, NODULE] == 1).sum() == 12
    strength, tried = choose_strength(cells)
    assert tried[strength] > 0.95
    hits = count_hits(files[12:], "layer3", fit(cells, strength))
    assert (hits["Lung nodule"].first, hits["Lung nodule"].scans) == (6, 6)
    assert hits["Lung nodule"].chance == pytest.approx(1 / 96)
    assert hits["Emphysema"].scans == 0


def test_voxels_are_those_about_the_cell(files: list[Path]) -> None:
    scan = PlaceFeatures.load(files[0])
    found = feature_map(scan, "voxels")
    assert found.shape == (4, 4, 6, 12 * 12 * 6)
    middle = found[2, 1, 3].reshape(12, 12, 6)[6, 6, 3]
    assert middle == pytest.approx(float(scan.thumbnail[8, 4, 6]), abs=1e-3)


def test_the_edge_of_a_finding_is_neither_there_nor_absent() -> None:
    scan = made_up(0)
    cover = scan.cover["layer3"]
    cover[NODULE] = 0
    cover[NODULE, 0, 0, :3] = (0.9, 0.3, 0.1)
    assert presence(scan, "layer3")[NODULE, 0, 0].tolist() == [1, 1, -1, 0, 0, 0]


def test_auroc() -> None:
    scores = np.array([0.1, 0.9, 0.4, 0.8, 0.7], np.float32)
    assert auroc(scores, np.array([0, 1, 0, 1, -1], np.int8)) == 1
    assert auroc(scores, np.array([1, 1, 0, 0, 0], np.int8)) == pytest.approx(0.5)
    assert auroc(scores, np.array([0, 0, 0, 0, 0], np.int8)) is None


@pytest.fixture(scope="module")
def chest() -> CTVolume:
    """Two lungs in a body, a nodule of 20 mm in one."""
    rng = np.random.default_rng(0)
    affine = np.array([[0, 0, -2.0, 120], [0, -2.0, 0, 120], [-2.0, 0, 0, 80], [0, 0, 0, 1]])
    i, p, left = np.meshgrid(*(np.arange(n) for n in (80, 120, 120)), indexing="ij")
    hu = np.full(i.shape, 40.0)
    lungs = (np.abs(left - 60) > 8) & (np.abs(left - 60) < 46) & (np.abs(p - 60) < 40)
    hu[lungs] = -860 + rng.normal(0, 20, int(lungs.sum()))
    hu[(i - 40) ** 2 + (p - 60) ** 2 + (left - 30) ** 2 <= 25] = 50
    return CTVolume(hu.astype(np.int16), affine)


def test_a_nodule_is_erased_and_nothing_else(chest: CTVolume) -> None:
    centre = tuple(float(x) for x in chest.index_to_ras([40, 60, 30]))
    erased = erase_nodule(chest, centre, 16.0)  # type: ignore[arg-type]
    assert erased.hu[36:45, 56:65, 26:35].max() < -700
    changed = np.argwhere(erased.hu != chest.hu)
    assert np.linalg.norm(2 * (changed - [40, 60, 30]), axis=1).max() <= 16.0


def test_a_ball_lies_in_clear_lung(chest: CTVolume) -> None:
    lung = chest.hu < -500
    places = clear_lung_places(chest, lung, 4)
    assert [x > 0 for x, _, _ in places] == [True, False, True, False]
    for point in places:
        ball = insert_ball(chest, point)
        inside = np.argwhere(ball.hu - chest.hu.astype(int) > 500)
        assert (4 / 3 * np.pi * 10**3) == pytest.approx(len(inside) * 8, rel=0.1)
        assert chest.hu[tuple(inside.T)].max() < -500
    with pytest.raises(ValueError, match="of 500 places lie in clear lung"):
        clear_lung_places(chest, lung, 500)


def test_permuted_weights_keep_their_values(small_volume: CTVolume) -> None:
    network = I3ResNet(SIZES).eval()
    network.load_state_dict(tiny_tensors(), strict=False)
    example = torch.rand(1, 1, 48, 48, 40)
    with torch.no_grad():
        before = network(example).layer4
        weights = [p.detach().clone().flatten().sort().values for p in network.parameters()]
        permute_weights(network, example)
        after = network(example).layer4
    same = [p.detach().flatten().sort().values for p in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert not torch.allclose(before, after, atol=1e-2)
    assert after.isfinite().all()


@pytest.mark.slow
def test_a_phantom_is_framed_and_cached(tmp_path: Path) -> None:
    """About 20 s: a phantom at reading resolution through a tiny network."""
    volume, masks = framed_phantom(1_900_000)
    again, _ = framed_phantom(1_900_000)
    assert np.array_equal(volume.hu, again.hu)
    assert all(mask.shape == volume.shape for mask in masks.values())
    network = I3ResNet(SIZES)
    network.load_state_dict(tiny_tensors(), strict=False)
    made = features_of(network.fold(), volume, masks)
    made.save(tmp_path / "one.npz")
    found = PlaceFeatures.load(tmp_path / "one.npz")
    assert found.maps["layer3"].shape == (14, 14, 20, 32)
    shown = {FINDINGS[n] for n in range(18) if found.cover["layer3"][n].max() > 0}
    assert shown == set(masks)
