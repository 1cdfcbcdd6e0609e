"""Places of findings and their degrees are decided over the volume."""

from __future__ import annotations

import torch

from napari_ct_assistant.model.grounded.concept_maps import DetailReadout, with_places

GRID = (2, 12, 12)
FINDING, LEFT, RIGHT = range(3)
PAIRS = [[FINDING, LEFT], [FINDING, RIGHT]]


def maps() -> torch.Tensor:
    """No finding anywhere; the left half of each row is one place, the right half another."""
    volume = torch.zeros(*GRID, 3)
    volume[:, :, :6, LEFT] = 1
    volume[:, :, 6:, RIGHT] = 1
    return volume


def placed(volume: torch.Tensor) -> torch.Tensor:
    return with_places(volume.flatten(0, 2), PAIRS, GRID)[:, 3:].unflatten(0, GRID)


def test_what_touches_a_second_place_says_the_one_that_most_of_it_lies_in() -> None:
    volume = maps()
    volume[0, 5, 3:7, FINDING] = 1  # three patches left, one right
    said = placed(volume)[0, 5, 3:7]
    assert (said[:, 0] == 1).all(), "left, even from the patch that lies right"
    assert (said[:, 1] < 0.1).all()
    assert not placed(volume)[1].any(), "nothing where the finding is not"


def test_what_lies_evenly_in_both_says_both() -> None:
    volume = maps()
    volume[0, 5, 4:8, FINDING] = 1
    assert (placed(volume)[0, 5, 5:7] == 1).all()


def test_two_of_a_kind_far_apart_each_say_their_own_place() -> None:
    volume = maps()
    volume[0, 5, 0:2, FINDING] = 1
    volume[0, 5, 11, FINDING] = 1
    said = placed(volume)[0, 5]
    assert said[0].tolist() == said[1].tolist() == [1, 0]
    assert said[11].tolist() == [0, 1]


def test_batches_are_told_apart() -> None:
    first, second = maps(), maps()
    first[0, 5, 2, FINDING] = 1
    second[0, 5, 9, FINDING] = 1
    both = torch.stack([first, second]).flatten(1, 3)
    said = with_places(both, PAIRS, GRID)
    for one, alone in zip(said, (first, second), strict=True):
        torch.testing.assert_close(one, with_places(alone.flatten(0, 2), PAIRS, GRID))


def test_without_pairs_nothing_is_appended() -> None:
    flat = maps().flatten(0, 2)
    assert with_places(flat, [], GRID) is flat


def test_a_fresh_readout_believes_most_of_the_patches() -> None:
    readout = DetailReadout([0, 0, 0])
    patches = torch.full((1, 10, 3), 0.01)
    patches[0, :4, 0] = 0.9
    patches[0, :3, 1] = 0.9
    patches[0, 3, 2] = 0.9
    with torch.no_grad():
        judged = readout(patches)[0]
    assert torch.equal(judged[:, 0], patches[0, :, 0]), "findings stay"
    assert (judged[:4, 1] > 0.6).all()
    assert (judged[:4, 2] < 0.3).all(), "also where a patch said so"
    assert readout.siblings(0) == []
    assert readout.siblings(1) == [1, 2]
