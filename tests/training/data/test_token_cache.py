"""The cache of encoder tokens that stages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from napari_ct_assistant.model import VisionTransformer3D
from napari_ct_assistant.training.data.token_cache import TokenCache
from napari_ct_assistant.training.data.volume_dataset import to_pixel_values
from napari_ct_assistant.training.data.volume_store import VolumeStore
from tests.tiny_model import tiny_vision


class Scans:
    """Three scans of one grey value each."""

    key = "scans 0:3"

    def __len__(self) -> int:
        return 3

    def volume(self, index: int) -> Any:
        return np.full((32, 64, 64), 100 * index, np.int16)


STORE = cast("VolumeStore", Scans())


def make_encoder(seed: int) -> VisionTransformer3D:
    torch.manual_seed(seed)
    return VisionTransformer3D(tiny_vision()).eval()


def test_tokens_are_those_of_the_encoder_and_are_kept(tmp_path: Path) -> None:
    encoder = make_encoder(0)
    TokenCache(tmp_path, encoder, STORE).fill()
    again = TokenCache(tmp_path, encoder, STORE)
    assert again.state["done"] == 3
    with torch.inference_mode():
        expected = encoder(to_pixel_values(STORE.volume(2))[None])[0]
    torch.testing.assert_close(again[2], expected, rtol=1e-3, atol=1e-3)  # kept as float16


def test_what_one_encoder_finished_says_nothing_of_another_s_cache(tmp_path: Path) -> None:
    first, second = make_encoder(0), make_encoder(1)
    TokenCache(tmp_path, first, STORE).fill()
    # Opened for another encoder, and ended before it had kept anything.
    TokenCache(tmp_path, second, STORE)
    assert TokenCache(tmp_path, first, STORE).state["done"] == 0
