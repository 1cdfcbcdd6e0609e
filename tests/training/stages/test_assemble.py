"""Stage `align` puts an encoder into a model that was trained on its channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ct_assistant.model.encoders import make_encoder, make_encoder_config
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.stages.assemble import with_encoder
from tests.tiny_model import tiny_model


def saved(folder: Path) -> VisionConfig3D:
    model, processor = tiny_model()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.config.vision_config


def test_an_encoder_with_the_same_channels_is_put_in(tmp_path: Path) -> None:
    config = saved(tmp_path)
    deeper = make_encoder_config(config.to_dict() | {"num_hidden_layers": 3})
    encoder = make_encoder(deeper)
    model, _ = with_encoder(tmp_path, encoder)
    assert model.config.vision_config.num_hidden_layers == 3
    pixels = torch.rand(1, 1, *config.image_size)
    with torch.no_grad():
        assert torch.equal(model.eval().vision_tower(pixels), encoder.eval()(pixels))
    model.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again")
    assert len(again.vision_tower.blocks) == 3


def test_an_encoder_with_other_channels_is_refused(tmp_path: Path) -> None:
    config = saved(tmp_path)
    wider = make_encoder_config(config.to_dict() | {"hidden_size": config.hidden_size + 24})
    with pytest.raises(RecipeError, match=r"was trained with another output_size: 24, not 48"):
        with_encoder(tmp_path, make_encoder(wider))
