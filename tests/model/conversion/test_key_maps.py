"""Key maps cover the published models' names and shapes at full size, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_ct_assistant.model import VisionTransformer3D, VolumeLanguageModel
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.conversion import key_maps, m3d
from napari_ct_assistant.model.conversion.key_maps import (
    M3D_CLIP,
    M3D_LAMED,
    SKIPPED,
    inverted,
    m3d_to_ours,
    map_keys,
    ours_to_m3d,
)
from napari_ct_assistant.model.errors import ModelLoadError

CONFIGS: dict[str, dict[str, Any]] = {
    "M3D-LaMed-Llama-2-7B": {"num_attention_heads": 32, "num_key_value_heads": 32},
    "M3D-LaMed-Phi-3-4B": {
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "pad_token_id": 32000,
        "sliding_window": 2047,
    },
}


@pytest.fixture(scope="module")
def key_lists(shared_data: Path) -> Path:
    """Return the folder of the published models' names and shapes."""
    folder = shared_data.parent / "facts" / "m3d"
    if not folder.is_dir():
        pytest.skip("the published models' key lists are absent: no shared/facts/m3d folder")
    return folder


def listed(folder: Path, name: str) -> dict[str, torch.Tensor]:
    shapes = json.loads((folder / f"{name}.keys.json").read_text())
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def shapes_of(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


@pytest.mark.parametrize("name", list(CONFIGS))
def test_a_full_size_model_maps_completely_both_ways(key_lists: Path, name: str) -> None:
    theirs = listed(key_lists, name)
    segmentation = listed(key_lists, "seg_module")
    config = m3d.lamed_config(CONFIGS[name], shapes_of(theirs), image_token_id=32000)
    with torch.device("meta"):
        model = VolumeLanguageModel(config)
    own = model.state_dict()
    assert shapes_of(m3d_to_ours(theirs | segmentation)) == shapes_of(own)
    assert shapes_of(ours_to_m3d(own)) == shapes_of(theirs)
    _, skipped = map_keys(theirs | segmentation, M3D_LAMED, SKIPPED["m3d_lamed"])
    assert skipped == list(segmentation)
    vit = sum(p.numel() for p in model.vision_tower.parameters())
    assert vit == 87_389_184
    if config.hidden_size == 4096:
        assert sum(p.numel() for p in model.projector.parameters()) == 19_931_136
    assert model.num_image_tokens == 256


def test_m3d_clip_maps_completely_both_ways(key_lists: Path) -> None:
    theirs = listed(key_lists, "M3D-CLIP")
    mapped, skipped = map_keys(theirs, M3D_CLIP, SKIPPED["m3d_clip"])
    vision = {key for key in theirs if key.startswith("vision_encoder.")}
    assert set(mapped) == vision
    assert set(skipped) == set(theirs) - vision
    with torch.device("meta"):
        vit = VisionTransformer3D(
            m3d.vision_config(
                {}, {k.removeprefix("vision_encoder."): tuple(theirs[k].shape) for k in vision}
            )
        )
    assert set(mapped.values()) == set(vit.state_dict())
    back, _ = map_keys(mapped.values(), inverted(M3D_CLIP))
    assert {back[ours]: ours for ours in mapped.values()} == mapped


def test_maps_are_one_to_one() -> None:
    for mapping in key_maps.MAPS.values():
        assert inverted(inverted(mapping)) == mapping


def test_values_survive_both_ways() -> None:
    from tests.model.conversion.m3d_reference import build

    reference, config = build("phi3", vocabulary=50, channels=2)
    state = reference.checkpoint()
    ours = m3d_to_ours(state, patch=tuple(config["patch_size"]), channels=2)
    again = ours_to_m3d(ours)
    assert set(again) == set(state)
    assert all(torch.equal(again[key], state[key]) for key in state)


def test_unknown_keys_are_listed() -> None:
    with pytest.raises(ModelLoadError, match=r"^2 unknown tensor\(s\): model\.odd, x\.3\.y$"):
        map_keys(["model.norm.weight", "model.odd", "x.3.y"], M3D_LAMED)


def test_a_number_that_is_part_of_the_name_is_no_layer() -> None:
    assert key_maps.map_key("model.mm_projector.projector.1.weight", M3D_LAMED) is None
    assert (
        key_maps.map_key("model.layers.17.self_attn.o_proj.weight", M3D_LAMED)
        == "language_model.model.layers.17.self_attn.o_proj.weight"
    )


def test_other_networks_of_m3ds_code_are_refused_by_name() -> None:
    for key, value in {"mm_projector_type": "linear", "proj_pooling_type": "sequence"}.items():
        with pytest.raises(ModelLoadError, match=f"{key} '{value}'; only"):
            m3d.lamed_config({key: value}, {}, 0)


def test_configuration_is_ours() -> None:
    assert VolumeLanguageConfig.model_type == "ct_volume_language"
