"""The order of samples has each item once a round and depends on the seed alone."""

from __future__ import annotations

import numpy as np

from napari_ct_assistant.training.data.order import shuffled_index


def test_each_item_comes_once_a_round_and_rounds_differ() -> None:
    rounds = [[shuffled_index(7, k, 50) for k in range(r * 50, r * 50 + 50)] for r in range(6)]
    assert all(sorted(one) == list(range(50)) for one in rounds)
    assert len({tuple(one) for one in rounds}) == 6


def test_it_depends_on_seed_and_place_alone() -> None:
    # Not on earlier calls: a resumed run starts in the middle.
    for seed, k in ((0, 0), (3, 149), (0, 77), (5, 77)):
        order = np.random.default_rng([seed, k // 50]).permutation(50)
        assert shuffled_index(seed, k, 50) == order[k % 50]
