"""Heads on a frozen encoder keep the promises of a screening backend, on every encoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.backends.prepared_scan import View
from napari_ct_assistant.backends.probe.encoders import load_scan_encoder
from napari_ct_assistant.backends.probe.heads import Heads, pooled
from napari_ct_assistant.backends.probe.loading import read_heads
from tests.backends.colipri.tiny_colipri import save_tiny_colipri
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint
from tests.backends.probe.tiny_probe import LABELS, save_tiny_probe
from tests.backends.screening_conformance import ScreeningConformance


@pytest.fixture(scope="module")
def colipri(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_colipri(tmp_path_factory.mktemp("encoder") / "tiny-colipri")


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory, colipri: Path) -> Path:
    return save_tiny_probe(tmp_path_factory.mktemp("heads") / "tiny-probe", colipri)


class TestProbe(ScreeningConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, probe: Path) -> Path:
        return probe

    def test_a_row_has_its_calibration(self, probe: Path, small_volume: CTVolume) -> None:
        rows = load_assistant(probe, device="cpu").read(small_volume).screen()
        assert [(row.name, row.threshold) for row in rows] == [
            (LABELS[0], pytest.approx(0.4)),
            (LABELS[1], pytest.approx(0.6)),
        ]


@pytest.mark.parametrize("kind", ["colipri", "nv_reason_ct", "volume_language"])
def test_an_encoder_taken_out_of_its_model_is_the_same(
    kind: str, colipri: Path, tiny_model_folder: Path, tmp_path: Path, small_volume: CTVolume
) -> None:
    source = {
        "colipri": lambda: colipri,
        "nv_reason_ct": lambda: save_tiny_checkpoint(tmp_path / "tiny-nv"),
        "volume_language": lambda: tiny_model_folder,
    }[kind]()
    backend = load_assistant(source, device="cpu", dtype="float32").backend
    encoder = load_scan_encoder(source, source.name, device="cpu", dtype="float32")
    encoder.save(tmp_path / "encoder")
    again = load_scan_encoder(tmp_path / "encoder", "encoder", device="cpu", dtype="float32")
    whole = backend.prepare(small_volume, View())
    expected = backend.encode(whole).vision_tokens[0]
    for one in (encoder, again):
        scan = one.prepare(small_volume, View())
        torch.testing.assert_close(scan.pixel_values, whole.pixel_values)
        torch.testing.assert_close(one.tokens(scan.pixel_values), expected, atol=1e-5, rtol=1e-5)
        values = np.arange(len(expected), dtype=np.float32)
        grid, affine = one.on_scan(values, scan)
        assert grid.shape == scan.grid.tokens
        # The first axis runs to the feet whatever the encoder's own does.
        assert affine[2, 0] < 0


def test_the_places_add_up_to_the_logit() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(12, 5))
    for pooling, width in (("mean", 5), ("max", 5), ("mean_max", 10)):
        mean, scale = rng.normal(size=width), rng.uniform(0.5, 2, width)
        heads = Heads(
            ("x",), pooling, rng.normal(size=(1, width)), np.array([0.3]), mean, scale,
            np.ones(1), np.zeros(1), np.full(1, 0.5),
        )  # fmt: skip
        logit = heads.logits(pooled(tokens, pooling))[0]
        assert heads.contributions(0, tokens).sum() + 0.3 == pytest.approx(logit)


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ModelLoadError) as error:
        load_assistant(folder, device="cpu")
    line = str(error.value)
    assert line.startswith("model: ")
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": []}, ("no list of labels",)),
        ({"labels": ["a", "a"]}, ("twice",)),
        ({"labels": ["a", "b", "c"]}, ("of the wrong shape",)),
        ({"pooling": "median"}, ("pooling 'median'",)),
        ({"format_version": 9}, ("format_version 9",)),
        ({"pooling": "mean"}, ("72 channels", "parts of different models")),
        ({"encoder": {"width": 7}}, ("36 channels", "says 7")),
    ],
)
def test_settings_that_do_not_fit(
    probe: Path, tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    folder = shutil.copytree(probe, tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, *words)


def test_isotonic_points_are_kept_and_checked(probe: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(probe, tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    stored = load_file(folder / "model.safetensors")
    x = np.array([[-1, 0, 2], [-1, 1, 1]], np.float32)
    y = np.array([[0.1, 0.3, 0.8], [0.2, 0.6, 0.6]], np.float32)
    save_file(stored | {"points_logit": x, "points_probability": y}, folder / "model.safetensors")
    heads = read_heads(folder, "model", LABELS, "mean_max")
    assert set(heads.tensors()) == {*stored, "points_logit", "points_probability"}
    features = np.random.default_rng(0).normal(size=(50, len(heads.mean)))
    logits, found = heads.logits(features), heads.probabilities(features)
    for label in range(2):
        expected = np.interp(logits[:, label], x[label], y[label])
        np.testing.assert_allclose(found[:, label], expected, atol=1e-6)
    save_file(
        stored | {"points_logit": x, "points_probability": y[:, ::-1].copy()},
        folder / "model.safetensors",
    )
    refused(folder, "impossible numbers")
    save_file(stored | {"points_logit": x}, folder / "model.safetensors")
    refused(folder, "points_probability", "missing")


def test_without_its_encoder(probe: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(probe, tmp_path / "model")
    shutil.rmtree(folder / "encoder")
    refused(folder, "encoder/", "missing")


def test_another_model_has_no_encoder_for_heads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelLoadError, match="'llama' has no encoder"):
        load_scan_encoder(tmp_path, "llama")
