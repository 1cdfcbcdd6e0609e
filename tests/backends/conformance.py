"""What every backend promises; a family's test module gives it a tiny model (docs)."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from napari_ct_assistant import CTVolume, load_assistant
from napari_ct_assistant.assistant import (
    Assistant,
    GenerationSettings,
    ModelLoadError,
    Reading,
)
from napari_ct_assistant.assistant.models.installed import describe_model
from napari_ct_assistant.backends.protocol import EncodingStopped

QUESTION = "Is there a pleural effusion?"
SHORT = GenerationSettings(max_new_tokens=12)


class BackendConformance:
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

    def test_encoding_once_is_encoding_each_time(
        self, assistant: Assistant, reading: Reading, small_volume: CTVolume
    ) -> None:
        first = reading.ask(QUESTION, settings=SHORT, evidence=False)
        rows = [row.probability for row in reading.screen()]
        reading.draft_report(settings=SHORT)
        again = reading.ask(QUESTION, settings=SHORT, evidence=False)
        fresh = assistant.read(small_volume)
        anew = fresh.ask(QUESTION, settings=SHORT, evidence=False)
        assert (first.text, first.reasoning) == (again.text, again.reasoning)
        assert (first.text, first.reasoning) == (anew.text, anew.reasoning)
        np.testing.assert_allclose([r.probability for r in fresh.screen()], rows, atol=1e-5)

    def test_stopping_keeps_what_was_written(self, reading: Reading) -> None:
        cancel = threading.Event()

        def stop(_: str) -> None:
            cancel.set()

        settings = GenerationSettings(max_new_tokens=40)
        draft = reading.draft_report(
            on_text=stop, on_reasoning=stop, cancel=cancel, settings=settings, evidence=False
        )
        assert draft.stopped
        assert draft.incomplete
        assert 0 < draft.tokens < 40

    def test_stopping_ends_the_encoding(self, assistant: Assistant, small_volume: CTVolume) -> None:
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(EncodingStopped):
            assistant.read(small_volume, cancel=cancel)

    def test_a_cut_answer_is_incomplete(self, reading: Reading) -> None:
        answer = reading.ask(
            QUESTION, settings=GenerationSettings(max_new_tokens=1), evidence=False
        )
        assert answer.cut
        assert answer.incomplete

    def test_a_follow_up_is_the_whole_conversation_rendered_anew(
        self, assistant: Assistant, reading: Reading, small_volume: CTVolume
    ) -> None:
        if not assistant.backend.capabilities.follow_ups:
            assert reading.ask("And?", history=[(QUESTION, "No.")]).history_turns == 0
            return
        turns = [(QUESTION, "No.")]
        answer = reading.ask("And where?", history=turns, settings=SHORT, evidence=False)
        assert answer.history_turns == 1
        fresh = assistant.read(small_volume)
        anew = fresh.ask("And where?", history=turns, settings=SHORT, evidence=False)
        assert (anew.text, anew.reasoning) == (answer.text, answer.reasoning)
        assert (
            reading.context.prompt("And where?", history=turns).ids[:5]
            == (reading.context.prompt(QUESTION).ids[:5])
        )

    def test_the_screen_has_the_labels_of_the_family(
        self, assistant: Assistant, reading: Reading
    ) -> None:
        labels = assistant.backend.capabilities.labels[reading.scan.region]
        rows = reading.screen()
        assert tuple(row.name for row in rows) == labels
        assert all(0 <= row.probability <= 1 for row in rows)

    def test_blind_is_the_same_for_every_scan_and_another_scan_is_not(
        self, assistant: Assistant, reading: Reading, turned: CTVolume
    ) -> None:
        rows, others = reading.screen(), assistant.read(turned).screen()
        baselines = [row.baseline for row in rows]
        np.testing.assert_allclose(baselines, [row.baseline for row in others], atol=1e-6)
        blind = [row.probability for row in reading.without_image().screen()]
        np.testing.assert_allclose(blind, baselines, atol=1e-6)
        gap = np.subtract([r.probability for r in rows], [r.probability for r in others])
        assert np.abs(gap).max() > 1e-6

    def test_support_is_the_gain_over_blind(self, reading: Reading) -> None:
        found = reading.evidence(QUESTION, "No.")
        assert found.support == pytest.approx(reading.support([(QUESTION, "No.")])[0], abs=1e-3)
        blind = reading.without_image().support([(QUESTION, "No.")])[0]
        assert blind == pytest.approx(0, abs=1e-4)

    def test_the_heat_lies_in_the_box_that_is_read(
        self, assistant: Assistant, reading: Reading
    ) -> None:
        if not assistant.backend.capabilities.evidence:
            pytest.skip("the family finds no places")
        heat = reading.evidence(QUESTION, "No.").heat
        assert heat is not None
        box = reading.grid
        inside = np.linalg.inv(box.affine) @ np.append(heat.hottest, 1.0)
        assert ((inside[:3] >= -0.6) & (inside[:3] <= np.array(box.shape) - 0.4)).all()

    def test_the_estimate_covers_the_weights(self, folder: Path, assistant: Assistant) -> None:
        model = describe_model(str(folder), "folder", folder)
        assert model is not None
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
        gone = next(key for key in sorted(tensors) if "layers.0.mlp" in key)
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
            reading.ask(QUESTION)
