"""A scan is prepared for training as it is for reading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ct_assistant.training.data.datasets.preparing import Box
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.volume_dataset import to_pixel_values
from napari_ct_assistant.volume import open_ct
from tests.tiny_model import tiny_model


@pytest.mark.parametrize("preparation", ["spacing", "minmax"])
@pytest.mark.parametrize("scan", ["abdomen_ts/example_ct.nii.gz", "abdomen_crlm_1004"])
def test_prepared_for_training_as_for_reading(
    tmp_path: Path, shared_data: Path, scan: str, preparation: str
) -> None:
    _, processor = tiny_model()
    processor.preparation = preparation
    pixel_values, _ = processor.prepare_volume(open_ct(shared_data / scan))
    box = Box(processor.image_size, processor.patch_size, preparation, processor.spacing)  # type: ignore[arg-type]
    record = ScanRecord("real", scan, shared_data / scan, "p")
    store = DatasetStore(tmp_path, [record], box)
    list(store.fill())
    trained_on = to_pixel_values(store.volume(0))
    # Stored HU are integers, so pixel values differ by at most 0.5 / 2000.
    torch.testing.assert_close(trained_on, pixel_values[0], atol=2.6e-4, rtol=0)
    assert trained_on.std() > 0.05
