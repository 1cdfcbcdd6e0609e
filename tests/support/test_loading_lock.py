"""Models load in several threads: none of them unties the weights of the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from napari_ct_assistant import load_assistant
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.support.loading_lock import LOADING_LOCK


def test_threads_that_load_leave_transformers_as_it_was(tiny_model_folder: Path) -> None:
    before = PreTrainedModel.tie_weights
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(VolumeLanguageModel.from_pretrained, [tiny_model_folder] * 12):
            pass
    assert PreTrainedModel.tie_weights is before


def test_a_load_waits_for_the_one_before(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = PreTrainedModel.tie_weights
    with ThreadPoolExecutor(1) as pool, LOADING_LOCK:
        other = pool.submit(load_assistant, tiny_model_folder, device="cpu")
        with monkeypatch.context() as patch:
            # As `from_pretrained` does for as long as it takes.
            patch.setattr(PreTrainedModel, "tie_weights", lambda *_, **__: None)
            assert not other.done()
        assert not other.done()
        LOADING_LOCK.release()
        try:
            assert other.result(60).model.num_image_tokens
        finally:
            LOADING_LOCK.acquire()
    assert PreTrainedModel.tie_weights is before
