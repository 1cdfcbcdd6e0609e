"""COLIPRI keeps the promises of a screening backend, and reads a scan as the package does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant import CTVolume, load_assistant, open_ct
from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.backends.colipri.backend import ColipriBackend
from napari_ct_assistant.backends.colipri.configuration import Preparation
from napari_ct_assistant.backends.colipri.context import ColipriContext
from napari_ct_assistant.backends.colipri.preparation import make_cube, to_ipl
from napari_ct_assistant.backends.colipri.prompts import SIDES, pair
from tests.backends.colipri.tiny_colipri import save_tiny_colipri
from tests.backends.screening_conformance import ScreeningConformance


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_colipri(tmp_path_factory.mktemp("colipri") / "tiny-colipri")


class TestColipri(ScreeningConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tiny: Path) -> Path:
        return tiny


# ---- against the package


@pytest.mark.parametrize("layout", ["package", "ours"])
def test_the_package_gives_the_same(layout: str, shared_data: Path, tmp_path: Path) -> None:
    parity = shared_data.parent / "parity" / "colipri"
    if not parity.is_dir():
        pytest.skip("the package's figures are absent: no shared/parity beside the project")
    case = json.loads((parity / "case.json").read_text())
    config = case["config"] | {"processor": case["processor"]}
    if layout == "ours":
        image, text = case["config"]["image_encoder"], case["config"]["text_encoder"]
        config = {
            "model_type": "colipri",
            "image_encoder": {
                "num_heads": image["backbone"]["eva_numheads"],
                "pooler_heads": image["pooler"]["num_heads"],
            },
            "text_encoder": {
                "num_heads": text["backbone"]["config"]["num_attention_heads"],
                "pooler_heads": text["pooler"]["num_heads"],
            },
            "preprocessing": case["processor"],
        }
    shutil.copy(parity / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assistant = load_assistant(tmp_path, device="cpu", dtype="float32")
    arrays = np.load(parity / "case.npz")
    volume = open_ct(parity / "scan.nii.gz")
    pixels, _ = assistant.processor.prepare_volume(volume)
    np.testing.assert_allclose(pixels[0, 0], arrays["pre_RAS"], atol=1e-6)
    size, spacing = case["processor"]["input_size"], float(case["processor"]["spacing"])
    sar = make_cube(volume, Preparation("SAR", spacing, size), 8)
    np.testing.assert_allclose(sar.values, arrays["pre_SAR"], atol=1e-6)
    model = assistant.model
    with torch.no_grad():
        found = {
            "grid": model.encode_image(pixels)[0],
            "grid_projected": model.encode_image(pixels, project=True)[0],
            "pooled": model.encode_image(pixels, project=True, pool=True)[0],
            "pooled_normalized": model.encode_image(
                pixels, project=True, pool=True, normalize=True
            )[0],
            "text_normalized": model.encode_text(
                torch.from_numpy(arrays["token_ids"]), torch.from_numpy(arrays["attention_mask"])
            ),
        }
        found["probabilities"] = model.classify(
            found["pooled_normalized"][None], found["text_normalized"]
        )
    for key, values in found.items():
        np.testing.assert_allclose(values, arrays[key], atol=1e-4, err_msg=key)


# ---- where the input lies


@pytest.mark.parametrize("orientation", ["RAS", "SAR"])
@pytest.mark.parametrize("size", [16, 48])
def test_a_voxel_of_the_input_is_where_the_grid_says(
    small_volume: CTVolume, orientation: str, size: int
) -> None:
    hu = np.full(small_volume.shape, -1000, np.int16)
    hu[14:19, 20:26, 28:33] = 900
    centre = small_volume.index_to_ras((16, 22.5, 30))
    volume = CTVolume(hu, small_volume.affine)
    cube = make_cube(volume, Preparation(orientation, 10.0, size), 8, tuple(centre))
    values = to_ipl(cube.values, orientation)
    bright = np.argwhere(values > 0).mean(0)
    found = (cube.grid.affine @ np.append(bright, 1.0))[:3]
    np.testing.assert_allclose(found, centre, atol=3.0)
    assert cube.values.min() == -1.0


def test_both_orders_hold_the_same_voxels(small_volume: CTVolume) -> None:
    ras, sar = (make_cube(small_volume, Preparation(o, 9.0, 24), 8) for o in ("RAS", "SAR"))
    np.testing.assert_allclose(ras.values.transpose(2, 1, 0), sar.values, atol=2e-3)
    np.testing.assert_array_equal(ras.grid.affine, sar.grid.affine)


def test_what_the_cube_does_not_hold_is_said(tiny: Path, small_volume: CTVolume) -> None:
    warnings = load_assistant(tiny, device="cpu").read(small_volume).warnings
    assert any("288 of 320 mm head to feet" in line for line in warnings)


# ---- words


def test_a_finding_is_always_one_pair() -> None:
    assert pair("Lung nodule") == ("No lung nodule present", "Lung nodule present")
    assert pair("  a broken  rib. ") == ("No a broken rib present", "A broken rib present")
    assert pair("COPD") == ("No COPD present", "COPD present")


def test_other_words_do_not_change_a_finding(tiny: Path, small_volume: CTVolume) -> None:
    reading = load_assistant(tiny, device="cpu").read(small_volume)
    alone = {row.name: row.margin for row in reading.screen(["Emphysema"])}
    among = {row.name: row.margin for row in reading.screen()}
    assert alone["Emphysema"] == pytest.approx(among["Emphysema"], abs=1e-6)
    ranks = sorted(row.rank or 0 for row in reading.screen())
    assert ranks == list(range(1, 19))
    best = min(reading.screen(), key=lambda row: row.rank or 99)
    assert best.margin == max(among.values())


# ---- the sides


def sides_of(backend: ColipriBackend, scan: CTVolume, left: float) -> ColipriContext:
    """Return a scan's context; "left" means what tells the scan from its mirror image."""
    context = Assistant(backend).read(scan).encoded
    assert isinstance(context, ColipriContext)
    mirrored = CTVolume(np.ascontiguousarray(scan.hu[:, :, ::-1]), scan.affine)
    other = Assistant(backend).read(mirrored).encoded
    assert isinstance(other, ColipriContext)
    towards = (context.embedding - other.embedding) * left
    for one, two in SIDES:
        backend._texts[one], backend._texts[two] = towards, -towards
    return context


def test_sides_that_swap_with_the_scan_are_trusted(tiny: Path, small_volume: CTVolume) -> None:
    backend = load_assistant(tiny, device="cpu").backend
    assert isinstance(backend, ColipriBackend)
    context = sides_of(backend, small_volume, 1.0)
    assert context.side_swaps() == (4, 4)
    assert context.checks() == (
        "Sides: with the scan mirrored, 4 of 4 left/right texts swap. The model tells left from "
        "right here.",
    )


def test_sides_that_do_not_swap_are_warned_of(tiny: Path, small_volume: CTVolume) -> None:
    symmetric = small_volume.hu.copy()
    symmetric[:, :, 25:] = symmetric[:, :, :25][:, :, ::-1]
    backend = load_assistant(tiny, device="cpu").backend
    assert isinstance(backend, ColipriBackend)
    context = sides_of(backend, small_volume, 1.0)
    context = Assistant(backend).read(CTVolume(symmetric, small_volume.affine)).encoded
    assert isinstance(context, ColipriContext)
    (line,) = context.checks()
    assert "0 of 4" in line
    assert "orientation RAS" in line
