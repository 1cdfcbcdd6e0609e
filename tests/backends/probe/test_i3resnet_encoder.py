"""Heads on the encoder of Merlin and Astra: the published figures, the chains, a whole training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ct_assistant import CTVolume, load_assistant, open_ct
from napari_ct_assistant.backends.importing import import_model
from napari_ct_assistant.backends.prepared_scan import View
from napari_ct_assistant.backends.probe.encoders import load_scan_encoder
from napari_ct_assistant.cli import app
from napari_ct_assistant.volume import write_nifti
from tests.backends.i3resnet.tiny_encoder import WITH_HEADS, tiny_tensors
from tests.backends.probe.tiny_probe import save_tiny_probe
from tests.backends.screening_conformance import ScreeningConformance
from tests.training.probing.scans import scan_of

SETTINGS = {"size": [64, 64, 48], "spacing": [8.0, 8.0, 12.0]}


@pytest.fixture(scope="module")
def merlin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Merlin: a classifier and an image-text head beside the network."""
    folder = tmp_path_factory.mktemp("merlin")
    torch.save(tiny_tensors(WITH_HEADS), folder / "release.pt")
    return import_model(folder / "release.pt", folder / "model", settings=SETTINGS).folder


class TestHeadsOnI3ResNet(ScreeningConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory, merlin: Path) -> Path:
        return save_tiny_probe(tmp_path_factory.mktemp("heads") / "tiny-heads", merlin)


def test_the_published_vector_is_the_mean_of_the_places(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data.parent / "parity" / "i3resnet"
    if not folder.is_dir():
        pytest.skip("the releases' figures are absent: no shared/parity beside the project")
    said = json.loads((folder / "case.json").read_text())
    with np.load(folder / "case.npz") as arrays:
        expected, volume = arrays["map"], open_ct(folder / said["scan"])
    settings = {"size": said["size"], "spacing": said["merlin_spacing"]}
    import_model(folder / "model.safetensors", tmp_path / "tiny", settings=settings)
    encoder = load_scan_encoder(tmp_path / "tiny", "tiny", device="cpu")
    encoder.save(tmp_path / "alone")
    for one in (encoder, load_scan_encoder(tmp_path / "alone", "alone", device="cpu")):
        tokens = one.tokens(one.prepare(volume, View("chest")).pixel_values)
        places = expected.reshape(expected.shape[-4], -1).T
        np.testing.assert_allclose(tokens.numpy(), places, atol=1e-4)


def test_the_file_of_the_encoder_has_no_other_heads(merlin: Path, tmp_path: Path) -> None:
    load_scan_encoder(merlin, "merlin", device="cpu").save(tmp_path / "encoder")
    assistant = load_assistant(tmp_path / "encoder", device="cpu")
    assert assistant.model.classifier is None
    assert assistant.model.contrastive_head is None


def test_a_place_lies_where_its_vector_comes_from(merlin: Path, small_volume: CTVolume) -> None:
    """One bright block: the channel that it changes most changes in the cell about it."""
    encoder = load_scan_encoder(merlin, "merlin", device="cpu")
    hu = np.full(small_volume.shape, -900, np.int16)
    plain = CTVolume(hu, small_volume.affine)
    d, h, w = (n // 5 for n in hu.shape)
    changed = hu.copy()
    changed[:d, -h:, :w] = 100
    block = CTVolume(changed, small_volume.affine)
    view = View("chest")
    scan = encoder.prepare(block, view)
    before = encoder.tokens(encoder.prepare(plain, view).pixel_values)
    moved = (encoder.tokens(scan.pixel_values) - before).norm(dim=1)
    values, affine = encoder.on_scan(moved.numpy(), scan)
    place = np.unravel_index(values.argmax(), values.shape)
    mm = affine[:3, :3] @ place + affine[:3, 3]
    index = np.linalg.inv(small_volume.affine) @ [*mm, 1.0]
    share = index[:3] / hu.shape
    assert share[0] < 0.5
    assert share[1] > 0.5
    assert share[2] < 0.5


def test_heads_keep_the_region_that_they_were_trained_on(merlin: Path, tmp_path: Path) -> None:
    """Trained and read from the command line; the folder's own chain is the other one."""
    rows = ["image,patient,Bright block"]
    for number in range(24):
        write_nifti(scan_of(number, number % 2 == 0), tmp_path / f"{number}.nii.gz")
        rows.append(f"{number}.nii.gz,p{number},{1 - number % 2}")
    (tmp_path / "scans.csv").write_text("\n".join(rows) + "\n")
    run = CliRunner()
    done = run.invoke(
        app,
        ["train", "probe", "probe/your_labels", f"root={tmp_path}", "output=heads",
         f"data.table={tmp_path / 'scans.csv'}", f"probe.encoder={merlin}",
         f"probe.labels={tmp_path / 'scans.csv'}", "probe.findings=[Bright block]",
         "probe.region=abdomen", "probe.calibration=isotonic", "validation.share=0.4"],
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "heads" / "figures.json").read_text())
    assert figures["findings"][0]["auroc"] > 0.9
    assert len(list((tmp_path / "heads" / "features").glob("*.npy"))) == 24
    assistant = load_assistant(tmp_path / "heads", device="cpu")
    reading = assistant.read(scan_of(100, True))
    assert reading.encoded.scan.region == "abdomen"
    assert reading.screen()[0].positive
    assert reading.finding_evidence("Bright block").heat is not None
    said = run.invoke(
        app,
        ["screen", str(tmp_path / "1.nii.gz"), "--model", str(tmp_path / "heads"), "--json"],
    )
    assert said.exit_code == 0, said.stderr
    row = json.loads(said.stdout)["findings"][0]
    assert row["probability"] < row["threshold"]
    said = run.invoke(
        app,
        ["screen", str(tmp_path / "1.nii.gz"), "--model", str(tmp_path / "heads"),
         "--region", "chest"],
    )  # fmt: skip
    assert said.exit_code != 0
    assert "chest" in said.stderr
    assert "Traceback" not in said.stderr
