"""True maps: the form of an encoder's tokens, and what is hidden in them."""

from __future__ import annotations

import numpy as np

from napari_ct_assistant.model.presets import demo_vision
from napari_ct_assistant.training.config.recipe import OracleMapSettings
from napari_ct_assistant.training.data.oracle_tokens import map_tokens, with_mistakes
from tests.training.bright_patch import SHAPE, OneBrightPatch

CONFIG = demo_vision(
    image_size=SHAPE,
    hidden_size=24,
    stem="linear",
    num_concepts=21,
    concept_names=[],
    # Two degrees of finding 0, and a place.
    concept_owners=[*range(18), 0, 0, 20],
    concept_pairs=[[0, 20], [1, 20]],
)


def labels() -> np.ndarray:
    maps = np.zeros((21, 2, 2, 2), np.uint8)
    maps[:18] = OneBrightPatch().patch_labels(1)
    maps[18] = maps[0]
    maps[20] = 1
    return maps


def test_true_maps_have_the_encoders_form() -> None:
    config = demo_vision(image_size=SHAPE, hidden_size=24, stem="linear", concept_scale=2.0)
    tokens = map_tokens(OneBrightPatch().patch_labels(1), config)
    assert tokens.shape == (8, config.output_size)
    assert not tokens[:, :24].any()
    where = tokens[:, 24:].nonzero().tolist()
    assert where == [[4, 0], [4, 1]]
    assert tokens[4, 24] == 2.0
    paired = demo_vision(
        image_size=SHAPE, hidden_size=24, stem="linear", concept_pairs=[[0, 1], [0, 2]]
    )
    tokens = map_tokens(OneBrightPatch().patch_labels(1), paired)
    assert tokens[:, 42:].nonzero().tolist() == [[4, 0]]


def test_a_hidden_finding_leaves_nothing_and_an_unclear_one_no_detail() -> None:
    tokens = map_tokens(labels(), CONFIG)
    rng = np.random.default_rng(0)
    whole = with_mistakes(tokens, CONFIG, OracleMapSettings(), rng)
    assert (whole == tokens).all()
    bright = 4
    hidden = with_mistakes(tokens, CONFIG, OracleMapSettings(hidden=0.999), rng)
    assert hidden[bright, 24:].nonzero()[:, 0].tolist() == [20], "the place alone is left"
    unclear = with_mistakes(tokens, CONFIG, OracleMapSettings(unclear=0.999), rng)
    assert unclear[bright, 24] == unclear[bright, 25] == 1, "the findings are there"
    told = unclear[bright, 24 + 18 : 24 + 20]
    assert (told > 0).all(), "either degree"
    assert (told < 1).all()
    assert not unclear[0, 24 + 18 : 24 + 20].any(), "only where the finding is"


def test_mistakes_are_drawn_as_often_as_asked() -> None:
    tokens = map_tokens(labels(), CONFIG)
    rng = np.random.default_rng(0)
    some = OracleMapSettings(hidden=0.2, unclear=0.5)
    drawn = [with_mistakes(tokens, CONFIG, some, rng)[4, 24:] for _ in range(2000)]
    hidden = np.mean([float(one[0]) == 0 for one in drawn])
    clear = np.mean([float(one[18]) == 1 for one in drawn])
    assert abs(hidden - 0.2) < 0.03
    assert abs(clear - 0.8 * 0.5) < 0.04
