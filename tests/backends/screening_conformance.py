"""What a backend promises that screens and writes no text; a family's test gives it a folder."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import Assistant, ModelLoadError, Reading
from napari_ct_assistant.assistant.models.installed import describe_model
from napari_ct_assistant.backends.protocol import EncodingStopped
from napari_ct_assistant.backends.screening import WritesNoTextError


def numbers(reading: Reading) -> list[float]:
    return [row.score for row in reading.screen()]


class ScreeningConformance:
    """The tests of the protocol. A subclass has a class-scoped fixture `folder`."""

    @pytest.fixture(scope="class")
    @classmethod
    def assistant(cls, folder: Path) -> Assistant:
        return load_assistant(folder, device="cpu", dtype="float32")

    @pytest.fixture(scope="class")
    @classmethod
    def reading(cls, assistant: Assistant, small_volume: CTVolume) -> Reading:
        return assistant.read(small_volume)

    @pytest.fixture(scope="class")
    @classmethod
    def turned(cls, small_volume: CTVolume) -> CTVolume:
        """Another scan: the first one, left and right exchanged, and brighter."""
        hu = np.clip(small_volume.hu[:, :, ::-1].astype(int) + 400, -1000, 3000)
        return CTVolume(np.ascontiguousarray(hu, dtype=np.int16), small_volume.affine)

    def test_the_screen_has_the_labels_of_the_family(
        self, assistant: Assistant, reading: Reading
    ) -> None:
        labels = assistant.backend.capabilities.labels[reading.scan.region]
        rows = reading.screen()
        assert tuple(row.name for row in rows) == labels
        for row in rows:
            if row.probability is None:
                assert row.margin is not None
                assert row.threshold is None
            else:
                assert 0 <= row.probability <= 1

    def test_encoding_once_is_encoding_each_time(
        self, assistant: Assistant, reading: Reading, small_volume: CTVolume
    ) -> None:
        first = numbers(reading)
        reading.finding_evidence(reading.screen()[0].name)
        np.testing.assert_array_equal(numbers(reading), first)
        np.testing.assert_allclose(numbers(assistant.read(small_volume)), first, atol=1e-6)

    def test_blind_is_the_same_for_every_scan_and_another_scan_is_not(
        self, assistant: Assistant, reading: Reading, turned: CTVolume
    ) -> None:
        rows, others = reading.screen(), assistant.read(turned).screen()
        baselines = [row.baseline for row in rows]
        np.testing.assert_allclose(baselines, [row.baseline for row in others], atol=1e-6)
        np.testing.assert_allclose(numbers(reading.without_image()), baselines, atol=1e-6)
        gap = np.subtract([r.score for r in rows], [r.score for r in others])
        assert np.abs(gap).max() > 1e-6

    def test_it_writes_no_text(self, assistant: Assistant, reading: Reading) -> None:
        assert not assistant.backend.capabilities.text
        for call in (reading.draft_report, lambda: reading.ask("And?")):
            with pytest.raises(WritesNoTextError):
                call()

    def test_stopping_ends_the_encoding(self, assistant: Assistant, small_volume: CTVolume) -> None:
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(EncodingStopped):
            assistant.read(small_volume, cancel=cancel)

    def test_the_heat_lies_in_the_box_that_is_read(self, reading: Reading) -> None:
        heats = [reading.finding_evidence(row.name).heat for row in reading.screen()[:6]]
        found = [heat for heat in heats if heat is not None]
        assert found
        box = reading.grid
        for heat in found:
            inside = np.linalg.inv(box.affine) @ np.append(heat.hottest, 1.0)
            assert ((inside[:3] >= -0.6) & (inside[:3] <= np.array(box.shape) - 0.4)).all()

    def test_the_estimate_covers_the_weights(self, folder: Path, assistant: Assistant) -> None:
        model = describe_model(str(folder), "folder", folder)
        assert model is not None
        assert not model.writes_text
        assert model.counts is not None
        counts, tokens = model.counts
        held = sum(p.nbytes for p in assistant.model.parameters())
        need = counts.need(4, tokens=tokens)
        assert held <= need.weights <= 1.1 * held + 100_000
        assert need.cache > 0

    def test_a_missing_tensor_is_one_line(self, folder: Path, tmp_path: Path) -> None:
        broken = shutil.copytree(folder, tmp_path / "broken")
        (broken / "SHA256SUMS").unlink(missing_ok=True)
        tensors = load_file(broken / "model.safetensors")
        gone = sorted(tensors)[len(tensors) // 2]
        del tensors[gone]
        save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelLoadError, match="missing") as error:
            load_assistant(broken, device="cpu")
        assert gone in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_file_cut_short_is_one_line(self, folder: Path, tmp_path: Path) -> None:
        broken = shutil.copytree(folder, tmp_path / "broken")
        (broken / "SHA256SUMS").unlink(missing_ok=True)
        file = broken / "model.safetensors"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        with pytest.raises(ModelLoadError, match=r"model\.safetensors") as error:
            load_assistant(broken, device="cpu")
        assert "\n" not in str(error.value)

    def test_a_closed_model_says_so(self, folder: Path, small_volume: CTVolume) -> None:
        assistant = load_assistant(folder, device="cpu")
        reading = assistant.read(small_volume)
        assistant.close()
        with pytest.raises(ModelLoadError, match="load it again"):
            reading.screen()
