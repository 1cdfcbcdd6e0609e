"""The order in which training draws its items, the same for a resumed run."""

from __future__ import annotations

import numpy as np


def shuffled_index(seed: int, k: int, count: int) -> int:
    """Return which of `count` items sample k is, each once a round in an order of its own."""
    round_, place = divmod(k, count)
    return int(np.random.default_rng([seed, round_]).permutation(count)[place])
