"""The demonstration model's encoder: its concepts, its crops, and how the papers' becomes one."""

from __future__ import annotations

import pytest
import torch

from napari_ct_assistant.model.encoders import make_encoder, make_encoder_config, with_concepts
from tests.tiny_model import tiny_vision


def test_concepts_are_appended() -> None:
    config = tiny_vision(num_concepts=18, concept_scale=4.0)
    vit = make_encoder(config).eval()
    with torch.no_grad():
        tokens = vit(torch.rand(1, 1, 32, 64, 64))
    assert tokens.shape == (1, 64, 24 + 18)
    assert tokens[..., 24:].min() >= 0
    assert tokens[..., 24:].max() <= 4


def test_places_and_details_follow_the_concepts() -> None:
    config = tiny_vision(
        num_concepts=3, concept_scale=4.0, concept_owners=[0, 0, 2], concept_pairs=[[0, 2]]
    )
    assert config.output_size == 24 + 3 + 1
    vit = make_encoder(config).eval()
    with torch.no_grad():
        tokens = vit(torch.rand(1, 1, 32, 64, 64)) / 4
    assert tokens.shape == (1, 64, config.output_size)
    finding, detail, _, placed = tokens[0, :, 24:].T
    torch.testing.assert_close(placed, finding, msg="the only place is where it is")
    share = detail / finding
    torch.testing.assert_close(share, share[:1].expand_as(share), msg="one degree, everywhere")


def test_crops_are_embedded_as_their_place_in_the_volume() -> None:
    vit = with_concepts(make_encoder(tiny_vision()))
    x = torch.rand(2, 1, 32, 64, 64)
    start = torch.tensor([[1, 0, 2], [2, 1, 0]])
    crops = torch.stack(
        [
            x[n, :, 8 * i : 8 * i + 16, 16 * j : 16 * j + 48, 16 * k : 16 * k + 32]
            for n, (i, j, k) in enumerate(start.tolist())
        ]
    )
    whole = vit.embed(x).unflatten(1, (4, 4, 4))
    for n, (i, j, k) in enumerate(start.tolist()):
        expected = whole[n, i : i + 2, j : j + 3, k : k + 2].flatten(0, 2)
        torch.testing.assert_close(vit.embed_crops(crops, start)[n], expected)


def test_the_papers_encoder_can_have_concepts() -> None:
    papers = make_encoder(tiny_vision(pos_embed="learned", class_token=True)).eval()
    grounded = with_concepts(papers).eval()
    assert grounded.config.num_concepts == 0
    assert with_concepts(grounded) is grounded
    x = torch.rand(1, 1, 32, 64, 64)
    with torch.no_grad():
        assert torch.equal(grounded(x), papers(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_concepts": 2, "concept_pairs": [[0, 2]]}, r"\[0, 2\] is not a pair of the 2 conc"),
        (
            {"num_concepts": 2, "concept_owners": [0]},
            r"concept_owners \[0\] must give one of",
        ),
        ({"num_concepts": 2, "concept_names": ["one"]}, "1 names for num_concepts 2"),
        ({"num_concepts": 2, "hidden_size": 25}, r"must divide hidden_size \(25\)"),
    ],
)
def test_impossible_configurations_quote_their_numbers(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vision(**changes)


def test_stem_levels_must_reach_the_patch() -> None:
    config = tiny_vision(stem="convolution", stem_channels=(4, 4), stem_depths=(1, 1))
    with pytest.raises(
        ValueError, match=r"patch_size \(8, 16, 16\) is not reached by 2 stem levels"
    ):
        make_encoder(config)


def test_another_kind_of_encoder_is_named() -> None:
    with pytest.raises(ValueError, match="model_type is 'vit', expected ct_vision_3d or ct_groun"):
        make_encoder_config({"model_type": "vit"})
    with pytest.raises(ValueError, match="model_type is 'ct_grounded_vision_3d', expected 'ct_v"):
        type(tiny_vision()).from_dict(tiny_vision(num_concepts=1).to_dict())
